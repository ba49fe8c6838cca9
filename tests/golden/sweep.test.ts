/**
 * Exact sweeps against the same thing done one cell at a time with plain edits: for every `over` and grid, on models of different form, to 1e-5 of the metric's
 * scale. And what must hold besides: skipping changes nothing, a whole patch is the other run, rows are counted as planned.
 */
import { describe, expect, test } from 'vitest';
import type { Grid } from '../../workers/api';
import type { EngineMetric, EngineSweep } from '../../workers/contract-sweep';
import { isStream, type GridKind, type Over } from '../../workers/model/causal/grid';
import { add, openBench, vector } from '../support/engine';
import { loadFixture } from './fixture';
import { oneByOne, type OneGrid, type Slow } from './one-by-one';
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

describe.each([
  ['gpt2-odd', OVERS],
  ['llama-gqa', OVERS],
  ['gemma2-caps', ['attn_out', 'q', 'pattern']],
  ['neox-partial', ['resid_pre', 'mlp_out', 'k']],
] as const)('%s', (name, overs) => {
  test('every grid is what single edits give', { timeout: 240_000 }, async () => {
    const fixture = await loadFixture(name);
    const bench = await openBench(fixture.files);
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
    const slow = await oneByOne(bench.engine, spec, requests, 12);
    for (const [i, each] of requests.entries()) {
      const found = await bench.engine.sweep(each, 'sweep');
      const expected = slow[i];
      if (expected) expectGrid(`${each.over} by ${each.grid}, ${each.metric.kind}`, found, expected);
    }
    await bench.engine.unload(bench.record.id);
  });
});
