/** The other questions that Patch asks: latents, causal tracing, paths, sets of pairs, another position; and that each is put by its script exactly as by the page. */
import { describe, expect, it } from 'vitest';
import type { DictionaryInfo, Grid, Lab, PatchSetRequest, PathRequest, RunRequest, SweepRequest } from '../../../workers/api';
import { LabError } from '../../../workers/errors';
import type { Bench } from '../../../src/lab/bench.svelte';
import { Dials } from '../../../src/lab/dials.svelte';
import { parseLine, readPairs } from '../../../src/lab/pair-lines';
import { dialOfCell } from '../../../src/lab/patch-dial';
import { patchLines } from '../../../src/lab/script-causal';
import { PatchStore } from '../../../src/lab/patch.svelte';

const CLEAN = [0, 1, 2, 3];
const SAE: DictionaryInfo = {
  ...{ id: 'sae', name: 'SAE', kind: 'relu', hookIn: ['blocks.0.hook_resid_post'], hookOut: 'blocks.0.hook_resid_post' },
  ...{ dIn: 4, dOut: 4, latents: 8, contract: {}, fits: ['m'] },
};
const NEURONS: DictionaryInfo = { ...SAE, id: 'neurons:blocks.1', name: 'Neurons', hookOut: 'blocks.1.mlp.hook_post' };

const grid = (axes: Grid['axes'], value: number[], spread?: number[]): Grid => {
  const shape = axes.map(({ labels }) => labels.length);
  const tensor = (data: number[]) => ({ shape, data: Float32Array.from(data) });
  return {
    ...{ axes, value: tensor(value), raw: tensor(value), clean: 3, corrupted: -2 },
    ...{ milliseconds: 1, rowsComputed: 1, rowsNaive: 4, rowsSkipped: 0, ...(spread ? { spread: tensor(spread) } : {}) },
  };
};
const labels = (n: number): string[] => Array.from({ length: n }, (_, i) => String(i));

/** Texts are their words' digits: “0 1 5 3”. */
const idsOf = (text: string): number[] => text.split(' ').map(Number);

function made() {
  const asked: { sweep: SweepRequest[]; path: PathRequest[]; set: PatchSetRequest[]; run: RunRequest[]; batch: number } = {
    ...{ sweep: [], path: [], set: [], run: [], batch: 0 },
  };
  const named = (given: string | number) =>
    typeof given === 'number'
      ? Promise.resolve({ id: given, piece: ` t${given}` })
      : /^ ?t\d$/.test(given)
        ? Promise.resolve({ id: Number(given.at(-1)), piece: ` t${given.at(-1)}` })
        : Promise.reject(new LabError('not-one-token', `“${given}” is no token.`, 'Give one.'));
  const lab = {
    tokenize: (text: string) => Promise.resolve({ ids: idsOf(text), pieces: idsOf(text).map((id) => ` t${id}`) }),
    token: named,
    batch: (requests: readonly RunRequest[]) => {
      asked.batch++;
      // The likeliest after position p is 10·p + 7, then 10·p + 8.
      const top = { ids: CLEAN.map((_, p) => [10 * p + 7, 10 * p + 8]), probabilities: CLEAN.map(() => [0.9, 0.1]) };
      return Promise.resolve(requests.map(() => ({ ids: [], taps: {}, milliseconds: 1, top })));
    },
    encode: ({ prompt }: { prompt: number[] }) =>
      Promise.resolve({
        rows: prompt.map((id) => (id === 5 ? [[2, 4]] : id === 2 ? [[2, 1]] : [])),
        truncated: false,
        errorNorm: [],
        inputNorm: [],
      }),
    run: (request: RunRequest) => {
      asked.run.push(request);
      const hook = request.taps?.[0];
      const data = Float32Array.from({ length: 16 }, (_, i) => i + (Number((request.prompt as number[])[2]) === 5 ? 100 : 0));
      return Promise.resolve({
        ...{ ids: [], milliseconds: 1, top: { ids: [[7, 9]], probabilities: [[0.9, 0.1]] } },
        taps: hook ? { [hook]: { shape: [4, 4], data } } : {},
      });
    },
    sweep: (request: SweepRequest) => {
      asked.sweep.push(request);
      if (request.grid === 'latent') return Promise.resolve(grid([{ name: 'latent', labels: ['2', '6'] }], [0.5, -0.1]));
      const axes = [
        { name: 'layer', labels: labels(2) },
        { name: 'position', labels: labels(4) },
      ];
      return Promise.resolve(grid(axes, [0, 0, 1, 0, 0, 0, 0, 0.5], request.pairs ? Array<number>(8).fill(0.25) : undefined));
    },
    pathPatch: (request: PathRequest) => {
      asked.path.push(request);
      return Promise.resolve(
        grid(
          [
            { name: 'layer', labels: labels(2) },
            { name: 'head', labels: ['0', '1', 'MLP'] },
          ],
          [0, 0.3, 0, 0, 0, 0.6],
        ),
      );
    },
    patchSet: (request: PatchSetRequest) => {
      asked.set.push(request);
      return Promise.resolve({ value: asked.set.length, raw: 2, clean: 3, corrupted: -2 });
    },
  } as unknown as Lab;
  const prompt = {
    chatting: false,
    text: '0 1 2 3',
    selected: undefined,
    ids: CLEAN,
    tokens: CLEAN.map((id) => ({ id, piece: ` t${id}` })),
  };
  const machine = { model: { id: 'm', name: 'Model', layers: 2, heads: 2, kvHeads: 1 }, special: new Set<number>() };
  const dials = new Dials(
    lab,
    () => 'm',
    () => [SAE, NEURONS],
    () => 4,
  );
  const features = { dictionaries: [SAE, NEURONS] };
  const names = { text: (_: string, latent: number) => (latent === 2 ? 'lighthouse' : undefined) };
  const store = new PatchStore(lab, { prompt, machine, dials, features, labels: names } as unknown as Bench);
  return { asked, lab, store, dials };
}

async function ready() {
  const all = made();
  all.store.contrast = '0 1 5 3';
  await all.store.read();
  await all.store.suggest();
  return all;
}

/** The script's calls, against a lab that writes down what it was asked. */
async function scripted(store: PatchStore): Promise<{ call: string; request: unknown }[]> {
  const calls: { call: string; request: unknown }[] = [];
  const answer = { axes: [], value: { shape: [], data: [] } };
  const note = (call: string) => (request: unknown) => Promise.resolve((calls.push({ call, request }), answer));
  const lab = { sweep: note('sweep'), pathPatch: note('pathPatch'), attribute: note('attribute') };
  const run = new Function('lab', 'console', `return (async () => {${(store.script() ?? []).join('\n')}})()`) as (
    lab: unknown,
    console: unknown,
  ) => Promise<void>;
  await run(lab, { log: () => undefined, table: () => undefined });
  return calls;
}

describe('latents', () => {
  it('are swept as a grid of their own, named by label, and go to the set as what they are', async () => {
    const { store, asked, lab, dials } = await ready();
    store.over = 'sae';
    expect([store.grid, store.dictionary?.name]).toEqual(['latent', 'SAE']);
    await store.run();
    expect(asked.sweep[0]).toMatchObject({ over: { dictionary: 'sae' }, grid: 'latent', method: 'exact' });
    const answer = store.answer;
    if (!answer) throw new Error('no answer');
    expect([answer.name(0), answer.name(1)]).toEqual(['lighthouse · latent 2', 'latent 6']);
    // Its run: set, where the two runs differ, to what it is in the prompt.
    await answer.look(0);
    expect(asked.run.at(-1)?.edits).toEqual([
      { kind: 'latent', dictionary: 'sae', latent: 2, op: 'set', at: SAE.hookOut, value: 1, where: [2] },
    ]);
    answer.gather(0);
    await answer.patchTogether();
    expect(asked.set[0]?.parts).toEqual([{ at: SAE.hookOut, dictionary: 'sae', latent: 2 }]);
    // A dial of it: the contrast's number, where the two differ.
    const part = answer.part(0);
    const dial = part && (await dialOfCell(lab, dials, answer, part, answer.name(0)));
    expect(dial).toMatchObject({ kind: 'latent', value: 4, scope: 'positions', positions: [2], at: SAE.hookOut });
    // The dial is part of the next question, on the page and in the script.
    await store.run();
    expect(asked.sweep[1]?.edits).toHaveLength(1);
    expect(await scripted(store)).toEqual([{ call: 'sweep', request: asked.sweep[1] }]);
  });

  it('of both methods are the same latents in the same order', async () => {
    const { store, asked } = await ready();
    store.over = 'sae';
    store.method = 'both';
    await store.run();
    expect(asked.sweep.map(({ method, latents }) => [method, latents])).toEqual([
      ['attribution', undefined],
      ['exact', [2, 6]],
    ]);
  });

  it('that are neurons are read at their own hook', async () => {
    const { store, asked } = await ready();
    store.over = NEURONS.id;
    await store.run();
    await store.answer?.look(0);
    expect(store.answer?.name(0)).toContain('neuron 2');
    // Row p of the tap holds 4p + latent, in the contrast 100 more: all four differ.
    expect(asked.run.at(-1)?.edits?.map((edit) => [edit.kind === 'latent' && edit.value, edit.where])).toEqual(
      [0, 1, 2, 3].map((p) => [4 * p + 2, [p]]),
    );
  });

  it('of a dictionary that has left give way to the stream', async () => {
    const { store } = await ready();
    store.restore({ over: 'gone', grid: 'layer-position' });
    expect([store.overNow, store.grid]).toEqual(['resid_pre', 'layer-position']);
  });
});

describe('causal tracing', () => {
  it('needs no contrast, but tokens to be noised; its second answer is the runner-up', async () => {
    const { store, asked } = made();
    store.noise.on = true;
    await store.suggest();
    expect([store.correct.token?.id, store.wrong.token?.id]).toEqual([37, 38]);
    expect(store.request).toBeUndefined();
    for (const position of [2, 1, 9]) store.noise.toggle(position);
    store.noise.seed = 5;
    store.method = 'both';
    await store.run();
    const request = {
      ...{ clean: CLEAN, corrupted: CLEAN, metric: { kind: 'logit-diff', correct: 37, wrong: 38 }, direction: 'denoise' },
      ...{ over: 'resid_pre', grid: 'layer-position' },
      noise: { positions: [1, 2], scale: 3, draws: 8, seed: 5 },
    };
    expect(asked.sweep).toEqual([
      { ...request, method: 'attribution' },
      { ...request, method: 'exact' },
    ]);
    expect(store.answer?.part(2), 'no run of its own').toBeUndefined();
    expect(store.answer?.verifiable).toBe(false);
    expect(await scripted(store)).toEqual([
      { call: 'sweep', request: asked.sweep[1] },
      { call: 'sweep', request: asked.sweep[0] },
    ]);
  });
});

describe('a path', () => {
  it('ends at receivers that the model has', async () => {
    const { store, asked } = await ready();
    store.path.on = true;
    for (const receiver of [
      { layer: 1, head: 1, input: 'q' },
      { layer: 1, head: 1, input: 'v' },
      { layer: 7, mlp: true },
    ] as const)
      store.path.add(receiver);
    store.path.throughMlps = true;
    await store.run();
    // One key head: the second has no values of its own.
    expect(asked.path).toEqual([
      {
        ...{ clean: CLEAN, corrupted: [0, 1, 5, 3], metric: { kind: 'logit-diff', correct: 37, wrong: 38 }, direction: 'denoise' },
        receivers: ['logits', { layer: 1, head: 1, input: 'q' }],
        throughMlps: true,
      },
    ]);
    expect(store.answer?.name(5)).toBe('layer 1, MLP');
    expect(store.answer?.part(5)).toBeUndefined();
    expect(await scripted(store)).toEqual([{ call: 'pathPatch', request: asked.path[0] }]);
    store.path.receivers = [];
    expect(store.request).toBeUndefined();
  });
});

describe('a position other than the last', () => {
  it('is where the answers are read and the metric is taken', async () => {
    const { store } = await ready();
    store.position = 1;
    await store.suggest();
    expect(store.metricNow).toEqual({ kind: 'logit-diff', correct: 17, wrong: 18, position: 1 });
    expect(store.said).toContain('at position 1');
    store.position = 3;
    expect(store.metricNow, 'the last is −1, unsaid').not.toHaveProperty('position');
  });
});

describe('a set of pairs', () => {
  const LINES = ['0 1 2 3 | 0 1 5 3 | t4 | t6', 'alone', '0 1 2 3\t0 1 5 3 3', '0 1 2 3 | 0 1 5 3 | nothing', '0 1 6 3\t0 1 5 3'].join(
    '\n',
  );

  it('takes lines that are pairs, and leaves the others where they are, each with its reason', async () => {
    const { store } = await ready();
    store.pairs.draft = LINES;
    await store.pairs.addLines();
    expect(store.pairs.list.map(({ clean }) => clean)).toEqual(['0 1 2 3', '0 1 6 3']);
    expect(store.pairs.draft.split('\n')).toEqual(['alone', '0 1 2 3\t0 1 5 3 3', '0 1 2 3 | 0 1 5 3 | nothing']);
    expect(store.pairs.complaints.map(({ line, message }) => [line, message])).toEqual([
      [1, 'It has no two texts.'],
      [2, expect.stringContaining('They part at position 2')],
      [3, '“nothing” is no token.'],
    ]);
  });

  it('is swept as one request, each pair with its own answers, and says its mean and spread', async () => {
    const { store, asked } = await ready();
    store.pairs.draft = LINES;
    await store.pairs.addLines();
    store.pairs.on = true;
    await store.run();
    const metric = { kind: 'logit-diff', correct: 37, wrong: 38 };
    expect(asked.sweep[0]).toMatchObject({
      ...{ clean: CLEAN, corrupted: [0, 1, 5, 3], metric: { ...metric, correct: 4, wrong: 6 } },
      pairs: [{ clean: [0, 1, 6, 3], corrupted: [0, 1, 5, 3], metric }],
    });
    const { answer } = store;
    expect(answer?.grid?.spread?.data[0]).toBe(0.25);
    // Together: each pair by itself, and the mean.
    answer?.gather(2);
    await answer?.patchTogether();
    expect(asked.set.map(({ metric: own }) => own)).toEqual([{ ...metric, correct: 4, wrong: 6 }, metric]);
    expect(answer?.all?.value).toBe(1.5);
    expect(await scripted(store)).toEqual([{ call: 'sweep', request: asked.sweep[0] }]);
  });

  it('of unequal lengths says what to do, unless the grid has no positions', async () => {
    const { store } = await ready();
    await store.pairs.add({ clean: '0 1 2', contrast: '0 1 5' }, { clean: '0 1 2 3', contrast: '0 1 5 3' });
    store.pairs.on = true;
    expect(store.uneven).toContain('3 to 4 tokens');
    expect(store.request).toBeUndefined();
    store.over = 'z';
    expect([store.uneven, store.request?.pairs?.length]).toEqual(['', 1]);
  });

  it('comes back over a reload with what was being written, whatever was kept', async () => {
    const { store } = await ready();
    await store.pairs.add({ clean: '0 1 2 3', contrast: '0 1 5 3', correct: ' t4' });
    store.pairs.draft = 'half a li';
    store.noise.toggle(2);
    const again = made().store;
    again.restore(JSON.parse(JSON.stringify(store.kept())) as Record<string, unknown>);
    expect([again.pairs.list, again.pairs.draft, again.noise.positions]).toEqual([store.pairs.list, 'half a li', [2]]);
    again.restore({ pairs: { list: [1, { clean: 2 }], on: true }, noise: 'x', path: { receivers: ['logits', { layer: -1 }, 3] } });
    expect([again.pairs.list, again.pairs.on, again.path.receivers]).toEqual([[], false, ['logits']]);
    expect(readPairs('x')).toEqual([]);
    expect(parseLine('a|')).toBeUndefined();
  });
});

it('both methods and direct attribution are written where they are on the screen', async () => {
  const { store } = await ready();
  store.method = 'both';
  store.writes.open = true;
  const calls = await scripted(store);
  expect(calls.map(({ call }) => call)).toEqual(['sweep', 'sweep', 'attribute']);
  expect(calls[2]?.request).toEqual({ prompt: CLEAN, metric: { kind: 'logit-diff', correct: 37, wrong: 38 }, by: 'head' });
  expect(patchLines({ request: store.request ?? expect.fail(), methods: ['exact'], texts: ['a\nb', 'c'] })[0]).toBe('// clean: a b');
});
