/** Patch and its answers, and the dials made of cells and heads, over a lab that answers at once. */
import { describe, expect, it, vi } from 'vitest';
import type { Edit, Grid, Lab, PatchSetRequest, RunRequest, SweepRequest } from '../../../workers/api';
import { LabError } from '../../../workers/errors';
import { AttentionStore } from '../../../src/lab/attention.svelte';
import type { Bench } from '../../../src/lab/bench.svelte';
import { liveOf, moved, onShelf, toEdit } from '../../../src/lab/dial';
import { Dials } from '../../../src/lab/dials.svelte';
import { PatchStore } from '../../../src/lab/patch.svelte';
import { range } from '../../../src/lab/measure';
import { readSession } from '../../../src/lab/session';

const CLEAN = [0, 1, 2, 3];
const CORRUPTED = [0, 1, 5, 3];

const gridOf = (shape: number[], names: string[], value: number[], raw = value): Grid => ({
  axes: names.map((name, i) => ({ name, labels: Array.from({ length: shape[i] ?? 0 }, (_, k) => String(k)) })),
  value: { shape, data: Float32Array.from(value) },
  raw: { shape, data: Float32Array.from(raw) },
  clean: 3,
  corrupted: -2,
  milliseconds: 5,
  rowsComputed: 4,
  rowsNaive: 16,
  rowsSkipped: 0,
});

/** A lab of its own: what was asked, and answers by rule. */
function made({ tokens = CORRUPTED, exact = [0, 1, 0, 0, 0, 0, 0.5, -0.25], approximate = [0, 0.8, 0, 0, 0, 0, 0.6, -0.1] } = {}) {
  const asked: { sweep: SweepRequest[]; set: PatchSetRequest[]; run: RunRequest[] } = { sweep: [], set: [], run: [] };
  const top = (ids: number[]) => ({ ids: [ids], probabilities: [ids.map((_, i) => 0.9 - i / 10)] });
  const lab = {
    tokenize: () => Promise.resolve({ ids: tokens, pieces: tokens.map((id) => ` t${id}`) }),
    token: (given: string | number) =>
      typeof given === 'number'
        ? Promise.resolve({ id: given, piece: ` t${given}` })
        : / t\d$/.test(given)
          ? Promise.resolve({ id: Number(given.at(-1)), piece: given })
          : Promise.reject(new LabError('not-one-token', `“${given}” is no token.`, '')),
    batch: (requests: readonly RunRequest[]) =>
      Promise.resolve(requests.map(({ prompt }) => ({ ids: [], taps: {}, milliseconds: 1, top: top(prompt[2] === 2 ? [7, 8] : [9, 7]) }))),
    run: (request: RunRequest) => {
      asked.run.push(request);
      const taps = Object.fromEntries(
        (request.taps ?? []).map((hook) => [
          hook,
          hook.endsWith('pattern')
            ? { shape: [2, 4, 4], data: Float32Array.from({ length: 32 }, (_, i) => (request.edits?.length ? 0.5 : 0.25) + i / 100) }
            : { shape: [4, 2, 1], data: new Float32Array(8).fill(2) },
        ]),
      );
      return Promise.resolve({ ids: [], taps, milliseconds: 1, top: top([7, 9]) });
    },
    planSweep: () => Promise.resolve({ cells: 8, rowsComputed: 4, rowsNaive: 16, chunks: 1, bytes: 100, submissions: 2 }),
    sweep: (request: SweepRequest, job?: { signal?: AbortSignal; progress?: (done: number, of: number) => void }) => {
      asked.sweep.push(request);
      job?.progress?.(4, 8);
      if (job?.signal?.aborted) return Promise.reject(new LabError('cancelled', 'Cancelled.', ''));
      const shape = request.grid === 'layer-position' ? [2, 4] : [2, 4];
      const names = request.grid === 'layer-position' ? ['layer', 'position'] : ['layer', 'head'];
      return Promise.resolve(gridOf(shape, names, request.method === 'attribution' ? approximate : exact));
    },
    patchSet: (request: PatchSetRequest) => {
      asked.set.push(request);
      return Promise.resolve({ value: 0.9 / request.parts.length, raw: 2, clean: 3, corrupted: -2 });
    },
    attribute: () => Promise.resolve({ parts: [{ name: 'embed', value: 1 }], total: 1, scale: 2, position: 3 }),
  } as unknown as Lab;
  const prompt = {
    ids: CLEAN,
    chatting: false,
    text: 'x',
    selected: undefined as number | undefined,
    tokens: CLEAN.map((id) => ({ id, piece: ` t${id}`, probability: NaN })),
  };
  const machine = { model: { id: 'm', name: 'Model', layers: 2, heads: 2 }, special: new Set<number>() };
  const dials = new Dials(
    lab,
    () => 'm',
    () => [],
    () => prompt.ids.length,
  );
  const bench = { prompt, machine, dials } as unknown as Pick<Bench, 'prompt' | 'machine' | 'dials'>;
  const store = new PatchStore(lab, bench);
  return { asked, lab, prompt, dials, store, bench };
}

async function answered(options?: Parameters<typeof made>[0], set: (store: PatchStore) => void = () => undefined) {
  const all = made(options);
  all.store.contrast = 'the other';
  await all.store.read();
  await all.store.suggest();
  set(all.store);
  await all.store.run();
  const { answer } = all.store;
  if (!answer) throw new Error('no answer');
  return { ...all, answer };
}

describe('the question', () => {
  it('names the two answers as the model has them, and asks for what is on the screen', async () => {
    const { store, asked } = await answered();
    expect([store.correct.token?.id, store.wrong.token?.id]).toEqual([7, 9]);
    expect(asked.sweep).toEqual([
      {
        clean: CLEAN,
        corrupted: CORRUPTED,
        metric: { kind: 'logit-diff', correct: 7, wrong: 9 },
        direction: 'denoise',
        over: 'resid_pre',
        grid: 'layer-position',
        method: 'exact',
      },
    ]);
    expect(store.said).toBe('logit “t7” − logit “t9”');
    expect([store.running, store.problem, store.stale]).toEqual([undefined, undefined, false]);
    store.direction = 'noise';
    expect(store.stale).toBe(true);
  });

  it('asks nothing of texts that do not line up', async () => {
    const { store, asked } = made({ tokens: [0, 1, 5, 6, 3] });
    store.contrast = 'longer';
    await store.read();
    await store.suggest();
    await store.run();
    expect(store.request).toBeUndefined();
    expect(store.alignment.problem?.message).toContain('They part at position 2');
    expect(asked.sweep).toEqual([]);
  });

  it('lets a hand choose an answer, says what is no token, and keeps it while the pair stays', async () => {
    const { store } = await answered();
    await store.answerIs('wrong', 't4');
    expect(store.wrong.token).toEqual({ id: 4, piece: ' t4' });
    await store.answerIs('wrong', 'nothing');
    expect(store.wrong).toMatchObject({ text: 'nothing', problem: '“nothing” is no token.' });
    expect(store.request).toBeUndefined();
    await store.suggest();
    expect(store.wrong.text).toBe('nothing');
  });

  it('takes a grid that fits what is patched', async () => {
    const { store } = made();
    store.over = 'z';
    expect(store.grid).toBe('layer-head');
    store.choose('layer-position-head');
    expect(store.grid).toBe('layer-position-head');
    store.over = 'attn_out';
    expect(store.grid).toBe('layer-position');
  });

  it('plans without running', async () => {
    const { store, asked } = made();
    store.contrast = 'the other';
    await store.read();
    await store.suggest();
    await store.replan();
    expect(store.planNow?.cells).toBe(8);
    expect(asked.sweep).toEqual([]);
  });

  it('that is cancelled leaves no complaint and what was there', async () => {
    const { store, answer, lab } = await answered();
    vi.spyOn(lab, 'sweep').mockImplementation(
      (_request, job) =>
        new Promise((_, reject) => job?.signal?.addEventListener('abort', () => reject(new LabError('cancelled', 'Cancelled.', '')))),
    );
    const running = store.run();
    expect(store.running?.stage).toBe('Patching');
    store.cancel();
    await running;
    expect([store.problem, store.running]).toEqual([undefined, undefined]);
    expect(store.answer).toBe(answer);
  });
});

describe('the answer', () => {
  it('shows one cell’s run: the other run’s values at that place', async () => {
    const { answer, asked } = await answered();
    await answer.look(6);
    expect(asked.run.at(-1)).toEqual({
      prompt: CORRUPTED,
      edits: [{ kind: 'replace', at: 'blocks.1.hook_resid_pre', where: [2], value: { prompt: CLEAN, from: [2] } }],
      logits: { top: 8 },
    });
    expect(answer.detail?.top.map(({ id }) => id)).toEqual([7, 9]);
    expect(answer.name(6)).toBe('layer 1, at “ t2”, position 2');
  });

  it('in the other direction runs the prompt, and tells what is lost', async () => {
    const { answer, asked } = await answered({}, (store) => (store.direction = 'noise'));
    await answer.look(1);
    expect(asked.run.at(-1)).toMatchObject({ prompt: CLEAN, edits: [{ value: { prompt: CORRUPTED } }] });
    expect(answer.grid && answer.shown(answer.grid, 6)).toBeCloseTo(-0.5, 6);
  });

  it('gathers cells once each, and patches them together', async () => {
    const { answer, asked } = await answered();
    for (const cell of [1, 6, 1]) answer.gather(cell);
    expect(answer.set.map(({ value }) => value)).toEqual([1, 0.5]);
    await answer.patchTogether();
    expect(asked.set.at(-1)?.parts).toEqual([
      { at: 'blocks.0.hook_resid_pre', positions: [1] },
      { at: 'blocks.1.hook_resid_pre', positions: [2] },
    ]);
    expect(answer.all?.value).toBeCloseTo(0.45, 6);
    answer.drop(answer.set[0]?.name ?? '');
    expect(answer.all, 'of another set').toBeUndefined();
  });

  it('carries the set over to another grid of the same two runs, and to no other', async () => {
    const { store, answer } = await answered();
    answer.gather(1);
    store.over = 'z';
    await store.run();
    expect(store.answer?.set).toHaveLength(1);
    store.direction = 'noise';
    await store.run();
    expect(store.answer?.set).toEqual([]);
  });

  it('holds the approximation against the exact result', async () => {
    const { answer, asked } = await answered({}, (store) => (store.method = 'both'));
    expect(asked.sweep.map(({ method }) => method)).toEqual(['attribution', 'exact']);
    expect(answer.pairs()).toHaveLength(8);
    expect(answer.r()).toBeGreaterThan(0.9);
  });

  it('verifies the approximation’s largest cells exactly', async () => {
    const { answer, asked } = await answered({}, (store) => (store.method = 'attribution'));
    expect(answer.pairs()).toEqual([]);
    await answer.verify(2);
    expect(asked.set.map(({ parts }) => parts[0])).toEqual([
      { at: 'blocks.0.hook_resid_pre', positions: [1] },
      { at: 'blocks.1.hook_resid_pre', positions: [2] },
    ]);
    expect(answer.pairs().map(({ cell }) => cell)).toEqual([1, 6]);
    expect(answer.working).toBeUndefined();
  });

  it('of two runs that the metric cannot tell apart shows the metric itself', async () => {
    const none = Array<number>(8).fill(Number.NaN);
    const { answer } = await answered({ exact: none });
    expect(answer.bare).toBe(true);
    expect(answer.grid && answer.shown({ ...answer.grid, raw: { shape: [2, 4], data: new Float32Array(8).fill(-1.5) } }, 0)).toBeCloseTo(
      0.5,
    );
  });
});

describe('a dial that replaces', () => {
  it('is an edit whose share is its strength, at the positions of the other text', () => {
    const { dials } = made();
    const dial = dials.addReplace({ name: 'a', at: 'blocks.0.attn.hook_z', by: CORRUPTED, head: 1, positions: [2] });
    dial.value = 0.25;
    expect(toEdit({ ...dial, value: 0.25 }, 2)).toEqual({
      kind: 'replace',
      at: 'blocks.0.attn.hook_z',
      head: 1,
      where: [2],
      value: { prompt: CORRUPTED, from: [2] },
      strength: 0.5,
      enabled: true,
    } satisfies Edit);
    expect(dials.addReplace({ name: 'a', at: 'blocks.0.attn.hook_z', by: CORRUPTED, head: 1, positions: [2] }).id).toBe(dial.id);
    expect(dials.list).toHaveLength(1);
  });

  it('moves live by strength alone: the edit has no number of its own', () => {
    const { dials } = made();
    const dial = dials.addReplace({ name: 'a', at: 'blocks.0.attn.hook_z', by: 'zero', head: 0, positions: [] });
    const before = liveOf([dial], 1);
    expect(moved(before, liveOf([{ ...dial, value: 0.5 }], 1))).toEqual([{ edit: 0, change: { strength: 0.5 } }]);
    expect(toEdit(dial, 1)).toMatchObject({ where: 'all', value: 'zero', strength: 1 });
    expect(range(dial, undefined)).toMatchObject({ min: -1, max: 1 });
  });

  it('rests on a prompt of another length, and acts only where its share is not nothing', () => {
    const { dials, prompt } = made();
    const dial = dials.addReplace({ name: 'a', at: 'blocks.0.hook_resid_pre', by: CORRUPTED, positions: [2] });
    expect([dials.rests(dial), dials.active]).toEqual([false, true]);
    dials.set(dial.id, { value: 0 });
    expect(dials.active).toBe(false);
    prompt.ids = [0, 1];
    expect(dials.rests(dial)).toBe(true);
  });

  it('stays over a reload, and where vectors leave the shelf', () => {
    const { dials } = made();
    const dial = { ...dials.addReplace({ name: 'a', at: 'blocks.0.attn.hook_z', by: CORRUPTED, head: 1, positions: [2] }) };
    dials.keepOnly([]);
    expect(dials.list).toHaveLength(1);
    const back = readSession(JSON.stringify({ dials: [dial] })).dials;
    expect(back).toEqual([dial]);
    expect(onShelf(back, [], [])).toEqual(back);
    expect(readSession(JSON.stringify({ dials: [{ ...dial, replace: { by: 'other' } }] })).dials, 'of nothing that is known').toEqual([]);
  });
});

describe('attention', () => {
  it('reads every head with the dials and, to compare, without them', async () => {
    const { lab, bench, dials, asked } = made();
    const store = new AttentionStore(lab, bench);
    await store.run();
    expect([store.layers, store.heads, store.baseline]).toEqual([2, 2, undefined]);
    expect(asked.run).toHaveLength(1);
    dials.addReplace({ name: 'a', at: 'blocks.0.attn.hook_z', by: 'zero', head: 0, positions: [] });
    await store.run();
    expect(asked.run.map(({ edits }) => edits?.length)).toEqual([0, 1, 0]);
    const at = (view: typeof store.view) => {
      store.view = view;
      return store.map({ layer: 1, head: 0 })(3, 1);
    };
    expect(at('edited')).toBeCloseTo(0.5 + 0.13, 5);
    expect(at('baseline')).toBeCloseTo(0.25 + 0.13, 5);
    expect(at('difference')).toBeCloseTo(0.25, 5);
    store.weighted = true;
    expect(at('edited')).not.toBeCloseTo(0.63, 3);
  });

  it('says what a model without scores says, and keeps its order', async () => {
    const { lab, bench } = made();
    const refused = {
      ...lab,
      headScores: () => Promise.reject(new LabError('not-yet', 'Scores are not here.', 'Later.')),
    } as unknown as Lab;
    const store = new AttentionStore(refused, bench);
    await store.run();
    await store.score();
    expect(store.scoresProblem?.code).toBe('not-yet');
    expect(store.scoring).toBeUndefined();
    expect(store.list.map(({ layer, head }) => `${layer}.${head}`)).toEqual(['0.0', '0.1', '1.0', '1.1']);
  });
});
