/**
 * Exact sweeps against the same thing done one cell at a time with plain edits: for every `over` and grid, on models of different form, to 1e-5 of the metric's
 * scale. And what must hold besides: skipping changes nothing, a whole patch is the other run, rows are counted as planned.
 */
import { afterAll, describe, expect, test } from 'vitest';
import type { Grid, Receiver } from '../../workers/api';
import type { EngineEdit } from '../../workers/contract';
import type { EngineMetric, EnginePath, EngineSweep } from '../../workers/contract-sweep';
import { isStream, type GridKind, type Over } from '../../workers/model/causal/grid';
import { add, openBench, run, vector, type Opened } from '../support/engine';
import { loadFixture, type FixtureName } from './fixture';
import { oneByOne, pathByHand, type OneGrid, type Slow } from './one-by-one';
import { specOf } from './twin';

const SAME = 1e-5;

const CLEAN = [1, 5, 9, 14, 3, 22];
const CORRUPTED = [1, 6, 9, 14, 2, 22];

const METRICS: readonly [EngineMetric, ...EngineMetric[]] = [
  { kind: 'logit-diff', position: -1, tokens: [4, 7] },
  { kind: 'log-prob', position: 4, tokens: [11] },
  { kind: 'kl', position: -1, tokens: [] },
  { kind: 'probability', position: -1, tokens: [11] },
];

const OVERS: readonly Over[] = ['resid_pre', 'resid_mid', 'attn_out', 'mlp_out', 'z', 'q', 'k', 'v', 'pattern'];
const gridsOf = (over: Over): GridKind[] =>
  isStream(over)
    ? ['layer-position']
    : over === 'pattern'
      ? ['layer-head', 'layer-position-head', 'head-dest-src']
      : ['layer-position', 'layer-head', 'layer-position-head'];

const request = (over: Over, grid: GridKind, rest: Partial<EngineSweep> = {}): OneGrid => ({
  pairs: [{ clean: CLEAN, corrupted: CORRUPTED }],
  metric: { kind: 'logit-diff', position: -1, tokens: [4, 7] },
  edits: [],
  direction: 'denoise',
  grid,
  skip: false,
  ...rest,
  over,
});

function expectGrid(what: string, found: Grid, slow: Slow): void {
  const scale = Math.max(...[...slow.raw.values(), slow.clean, slow.corrupted].map(Math.abs));
  expect(found.raw.data.length, what).toBe(slow.size);
  expect(found.raw.data.filter((x) => !Number.isNaN(x)).length, what).toBe(slow.cells);
  const of = [...slow.raw].flatMap(([index, expected]) => ({ index, expected, found: found.raw.data[index] ?? NaN }));
  const baselines = [
    { index: -1, expected: slow.clean, found: found.clean },
    { index: -2, expected: slow.corrupted, found: found.corrupted },
  ];
  for (const each of [...of, ...baselines])
    expect(Math.abs(each.found - each.expected) / scale, `${what}, ${JSON.stringify(each)} of ${scale}`).toBeLessThanOrEqual(SAME);
}

/** One engine for all, so that kernels are compiled once: it has the fixture that was asked for last. */
let last: { name: FixtureName; opened: Promise<Opened> } | undefined;
function opened(name: FixtureName): Promise<Opened> {
  const open = async (): Promise<Opened> => {
    const fixture = await loadFixture(name);
    return { fixture, bench: await openBench(fixture.files) };
  };
  if (last?.name !== name) last = { name, opened: open() };
  return last.opened;
}
afterAll(async () => {
  const { bench } = (await last?.opened) ?? {};
  await bench?.engine.unload(bench.record.id);
});

describe.each([
  ['gpt2-odd', OVERS],
  ['llama-gqa', ['resid_mid', 'q', 'k', 'pattern']],
  ['gemma2-caps', ['attn_out', 'v', 'pattern']],
  ['neox-partial', ['resid_pre', 'mlp_out', 'z']],
] as const)('%s', (name, overs) => {
  test('every grid is what single edits give', { timeout: 300_000 }, async () => {
    const { fixture, bench } = await opened(name);
    const spec = specOf(fixture);
    const inForce = [
      add('blocks.1.hook_resid_pre', vector(spec.dModel, 3), { scale: 0.3 }),
      add('blocks.0.attn.hook_z', vector(spec.dHead, 5), { where: [2, 3] }),
    ];
    const [plain] = METRICS;
    const requests = overs
      .flatMap((over) => gridsOf(over).map((grid) => ({ over, grid })))
      .map(({ over, grid }, n) =>
        request(over, grid, {
          metric: METRICS[n % 4] ?? plain,
          direction: n % 2 ? 'noise' : 'denoise',
          edits: n % 3 ? [] : inForce,
          skip: n % 5 === 4,
        }),
      );
    const slow = await oneByOne(bench.engine, spec, requests, 8);
    for (const [i, each] of requests.entries()) {
      const found = await bench.engine.sweep(each, 'sweep');
      const expected = slow[i];
      if (expected) expectGrid(`${each.over} by ${each.grid}, ${each.metric.kind}`, found, expected);
    }
  });
});

describe('gpt2-odd besides', () => {
  const at = (grid: Grid, index: number): number => grid.raw.data[index] ?? NaN;

  test('ablations by zero and by the mean are those edits', async () => {
    const { fixture, bench } = await opened('gpt2-odd');
    const requests = (['zero', 'mean'] as const).map((ablate) => request('z', 'layer-head', { direction: 'noise', ablate, skip: true }));
    const slow = await oneByOne(bench.engine, specOf(fixture), requests, 9);
    for (const [i, each] of requests.entries()) {
      const expected = slow[i];
      if (expected) expectGrid(each.ablate ?? '', await bench.engine.sweep(each, 'ablate'), expected);
    }
  });

  test('skipping changes no number; a whole stream patched is the other run; what is planned is what is computed', async () => {
    const { bench } = await opened('gpt2-odd');
    const asked = request('resid_pre', 'layer-position');
    const all = await bench.engine.sweep(asked, 'a');
    const some = await bench.engine.sweep({ ...asked, skip: true }, 'b');
    expect([...some.raw.data]).toEqual([...all.raw.data]);
    expect(some.rowsSkipped).toBe(6);
    expect(some.rowsComputed).toBeLessThan(all.rowsComputed);
    const plan = await bench.engine.planSweep(asked);
    expect(plan).toMatchObject({ cells: 18, rowsComputed: all.rowsComputed, rowsNaive: all.rowsNaive });
    const [layers, tokens, cells] = [3, CLEAN.length, 18];
    expect(all.rowsComputed).toBeLessThanOrEqual(
      (((layers + 1) * (tokens + 1)) / (4 * layers * tokens) + 2 / cells + 0.01) * all.rowsNaive,
    );
    const heads = await bench.engine.sweep(request('z', 'layer-head'), 'c');
    const bar = (layers + 1) / (2 * layers) + 2 / heads.raw.data.length + 0.01;
    expect(heads.rowsComputed).toBeLessThanOrEqual(bar * heads.rowsNaive);
    // The whole stream at a layer, as a set: the clean metric.
    for (const layer of [0, 1, 2]) {
      const { metric, pairs, direction } = asked;
      const set = await bench.engine.patchSet(
        { pairs, metric, direction, edits: [], parts: [{ at: `blocks.${layer}.hook_resid_pre` }] },
        'd',
      );
      expect(set.raw).toBeCloseTo(all.clean, 4);
      expect(set.clean).toBe(all.clean);
    }
    // A set of one part is that cell.
    const parts = [{ at: 'blocks.1.hook_resid_pre', positions: [4 - CLEAN.length] }];
    const cell = await bench.engine.patchSet({ pairs: asked.pairs, metric: asked.metric, direction: 'denoise', edits: [], parts }, 'e');
    expect(cell.raw).toBeCloseTo(at(all, tokens + 4), 4);
    const explained = await bench.engine.explainSweep(asked);
    expect(explained.filter(({ kernel }) => kernel.startsWith('attention')).length).toBe(2 * layers);
  });

  test('pairs: means and their spread', async () => {
    const { bench } = await opened('gpt2-odd');
    const other = { clean: [1, 8, 9, 14, 3, 30], corrupted: [1, 6, 9, 17, 3, 30] };
    const first = request('attn_out', 'layer-position');
    const [one, two, both] = await Promise.all([
      bench.engine.sweep(first, 'a'),
      bench.engine.sweep({ ...first, pairs: [other] }, 'b'),
      bench.engine.sweep({ ...first, pairs: [...first.pairs, other] }, 'c'),
    ]);
    expect(both.clean).toBeCloseTo((one.clean + two.clean) / 2, 6);
    for (let i = 0; i < 18; i++) expect(at(both, i)).toBeCloseTo((at(one, i) + at(two, i)) / 2, 5);
    expect(both.spread?.data.length).toBe(18);
    // A pair's own answers: as if it had been asked alone.
    const own = { ...first.metric, tokens: [5, 11] };
    const alone = await bench.engine.sweep({ ...first, pairs: [other], metric: own }, 'e');
    const mixed = await bench.engine.sweep({ ...first, pairs: [...first.pairs, { ...other, tokens: own.tokens }] }, 'f');
    expect(alone.clean).not.toBeCloseTo(two.clean, 3);
    expect(mixed.clean).toBeCloseTo((one.clean + alone.clean) / 2, 6);
    for (let i = 0; i < 18; i++) expect(at(mixed, i)).toBeCloseTo((at(one, i) + at(alone, i)) / 2, 5);
    await expect(bench.engine.sweep({ ...first, pairs: [{ clean: [1, 2, 3], corrupted: [1, 2] }] }, 'd')).rejects.toMatchObject({
      code: 'sweep-lengths',
    });
  });

  test('causal tracing: the embeddings are noised, and restoring the noised stream whole gives the clean run', async () => {
    const { bench } = await opened('gpt2-odd');
    const noise = { positions: [1, 2], scale: 3, seed: 4, draws: 2 };
    const traced = await bench.engine.sweep(request('resid_pre', 'layer-position', { noise }), 'a');
    expect(Math.abs(traced.clean - traced.corrupted)).toBeGreaterThan(1e-3);
    const again = await bench.engine.sweep(request('resid_pre', 'layer-position', { noise, skip: true }), 'b');
    expect([...again.raw.data]).toEqual([...traced.raw.data]);
    expect(traced.spread).toBeDefined();
    const one = { ...noise, positions: [5], draws: 1 };
    // Only the last token is noised: to restore it is to restore everything.
    const last = await bench.engine.sweep(request('resid_pre', 'layer-position', { noise: one }), 'c');
    expect(at(last, 5)).toBeCloseTo(last.clean, 4);
  });

  test('neurons: a latent’s cell is its edits', async () => {
    const { bench } = await opened('gpt2-odd');
    const dictionary = 'neurons:blocks.1';
    const hook = 'blocks.1.mlp.hook_post';
    const asked: EngineSweep = { ...request('z', 'layer-head'), over: { dictionary }, grid: 'latent', latents: [3, 17], skip: true };
    const found = await bench.engine.sweep(asked, 'a');
    const [clean] = await bench.engine.batch([run(CLEAN, { taps: [hook] })], 'b');
    const width = clean?.taps[hook]?.shape[1] ?? 0;
    for (const [i, latent] of [3, 17].entries()) {
      const edits = CLEAN.map((_, p): EngineEdit => {
        const value = clean?.taps[hook]?.data[p * width + latent] ?? NaN;
        return {
          kind: 'latent',
          at: hook,
          dictionary,
          latent,
          op: 'set',
          value,
          where: [p],
          skipSpecial: false,
          strength: 1,
          enabled: true,
        };
      });
      const [edited] = await bench.engine.batch([run(CORRUPTED, { edits, logits: 'last' })], 'c');
      const logits = edited?.logits?.data ?? new Float32Array(0);
      expect(at(found, i)).toBeCloseTo((logits[4] ?? NaN) - (logits[7] ?? NaN), 5);
      const set = { pairs: asked.pairs, metric: asked.metric, edits: [], direction: asked.direction };
      const part = await bench.engine.patchSet({ ...set, parts: [{ at: hook, dictionary, latent }] }, 'd');
      expect(part.raw).toBeCloseTo(at(found, i), 5);
    }
    const all = await bench.engine.sweep({ ...request('z', 'layer-head'), over: { dictionary }, grid: 'latent' }, 'e');
    expect(all.raw.data.length).toBeGreaterThan(10);
  });

  test('path patching is its three runs', async () => {
    const { fixture, bench } = await opened('gpt2-odd');
    const spec = specOf(fixture);
    for (const [receivers, throughMlps] of [
      [[{ layer: 2, head: 1, input: 'q' }, { layer: 1, mlp: true }, 'logits'], false],
      [['logits'], true],
    ] as [Receiver[], boolean][]) {
      const asked: EnginePath = { ...request('z', 'layer-head'), direction: 'noise', receivers, throughMlps };
      const found = await bench.engine.pathPatch(asked, 'path');
      const expected = await pathByHand(bench.engine, spec, asked);
      const scale = Math.max(...expected.map(Math.abs));
      expected.forEach((each, i) => expect(Math.abs(at(found, i) - each) / scale, `sender ${i}`).toBeLessThanOrEqual(SAME));
      // The last layer's MLP changes nothing but the logits.
      expect(found.raw.data.length).toBe(spec.layers * (spec.heads + 1));
    }
  });

  test('a cancel is heard at once, nothing is submitted after it, and the same request goes on from there', async () => {
    const { bench } = await opened('gpt2-odd');
    const { engine } = bench;
    const pairs = Array.from({ length: 12 }, (_, i) => ({ clean: CLEAN, corrupted: CORRUPTED.map((id, p) => (p === 1 ? 7 + i : id)) }));
    const asked = request('z', 'layer-position-head', { pairs });
    let seen = 0;
    let at = 0;
    const running = engine.sweep(asked, 'cancelled', (done) => {
      if (done > 0 && !seen) {
        seen = done;
        at = performance.now();
        void engine.cancel('cancelled');
      }
    });
    await expect(running).rejects.toMatchObject({ code: 'cancelled' });
    expect(performance.now() - at).toBeLessThan(200);
    const { counters } = await engine.device();
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect((await engine.device()).counters.submits).toBe(counters.submits);
    expect(seen).toBeGreaterThan(0);
    let first = 0;
    const resumed = await engine.sweep(asked, 'again', (done) => (first ||= done));
    expect(first).toBeGreaterThanOrEqual(seen);
    const whole = await engine.sweep(asked, 'whole');
    expect([...resumed.raw.data]).toEqual([...whole.raw.data]);
    expect(resumed.rowsComputed).toBeGreaterThanOrEqual(whole.rowsComputed);
  });
});
