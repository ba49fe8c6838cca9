/** What grids hold, what they cost, and how their numbers are scaled, without a GPU: the bars of rows at GPT-2 small's shape. */
import { describe, expect, it } from 'vitest';
import type { EngineSweep } from '../../../workers/contract-sweep';
import { chunksOf, type Limits } from '../../../workers/experiments/sweep/chunks';
import { rowsPlanned } from '../../../workers/experiments/sweep/planned';
import { gathered } from '../../../workers/model/causal/gathered';
import { checkGrid, gridOf, type GridKind, type Over } from '../../../workers/model/causal/grid';
import { metricOf, normalised, overPairs } from '../../../workers/model/causal/metric';
import { checkPairs, firstDifference } from '../../../workers/model/causal/pairs';
import { layoutOf } from '../../../workers/model/layout';
import { GPT2_SMALL, SPECS } from '../../support/specs';

const TOKENS = 16;
const CLEAN = Array.from({ length: TOKENS }, (_, i) => i);
const CORRUPTED = CLEAN.map((id) => (id === 0 ? 0 : id + 100));
const LOOSE: Limits = { binding: 2 ** 31, bytes: 2 ** 33, chunk: 1e18 };
const ask = (over: Over, grid: GridKind, rest: Partial<EngineSweep> = {}): EngineSweep => ({
  pairs: [{ clean: CLEAN, corrupted: CORRUPTED }],
  metric: { kind: 'logit-diff', position: -1, tokens: [1, 2] },
  edits: [],
  direction: 'denoise',
  over,
  grid,
  skip: false,
  ...rest,
});
const planned = (over: Over, grid: GridKind, rest: Partial<EngineSweep> = {}, limits = LOOSE) =>
  rowsPlanned({ spec: GPT2_SMALL, layout: layoutOf(GPT2_SMALL) }, ask(over, grid, rest), { over }, limits);

describe('rows computed, GPT-2 small at 16 tokens, nothing skipped', () => {
  const [L, T] = [12, TOKENS];
  it.each(['resid_pre', 'resid_mid', 'attn_out', 'mlp_out'] as const)('%s by layer and position', (over) => {
    const { cells, rowsComputed, rowsNaive } = planned(over, 'layer-position');
    expect([cells, rowsNaive]).toEqual([L * T, L * T * L * T]);
    expect(rowsComputed / rowsNaive).toBeLessThanOrEqual(((L + 1) * (T + 1)) / (4 * L * T) + 2 / cells + 0.01);
  });
  it.each(['z', 'q', 'k', 'v', 'pattern'] as const)('%s by layer and head', (over) => {
    const { cells, rowsComputed, rowsNaive } = planned(over, 'layer-head');
    expect(rowsComputed / rowsNaive).toBeLessThanOrEqual((L + 1) / (2 * L) + 2 / cells + 0.01);
  });
  it('chunks hold every cell once, within the limits, and baselines are not computed again', () => {
    const limits = { ...LOOSE, chunk: 2e10 };
    const whole = planned('resid_pre', 'layer-position');
    const { chunks, rowsComputed } = planned('resid_pre', 'layer-position', {}, limits);
    expect(chunks.length).toBeGreaterThan(3);
    expect(rowsComputed).toBe(whole.rowsComputed);
    const seen = chunks.flatMap(({ laid }) => laid.map(({ cell }) => cell.index));
    expect([...seen].sort((a, b) => a - b)).toEqual(Array.from({ length: L * T }, (_, i) => i));
  });
  it('one cell that is too large for the limits is a chunk of its own', () => {
    const shape = { spec: GPT2_SMALL, layout: layoutOf(GPT2_SMALL), tokens: TOKENS, open: false };
    expect(
      chunksOf(
        shape,
        [
          { layer: 0, from: 0 },
          { layer: 1, from: 0 },
        ],
        { ...LOOSE, bytes: 1 },
      ),
    ).toHaveLength(2);
  });
  it('a slow device still gets chunks of many rows, and these are packed', () => {
    const { chunks, rowsComputed } = planned('resid_pre', 'layer-position', {}, { ...LOOSE, chunk: 1 });
    // Blocks of 16 rows, as the kernels compute them, layer by layer.
    const blocks = chunks.reduce(
      (sum, { laid }) => {
        for (let layer = 0; layer < L; layer++) {
          const rows = laid.reduce((n, each) => n + (each.layer <= layer ? TOKENS - each.from : 0), 0);
          sum += 16 * Math.ceil(rows / 16);
        }
        return sum;
      },
      2 * L * TOKENS,
    );
    expect(blocks / rowsComputed).toBeLessThan(1.12);
    expect(chunks.length).toBeGreaterThan(10);
  });
  it('skipping leaves out what lies before the first difference', () => {
    const some = planned('attn_out', 'layer-position', { skip: true });
    expect(some.rowsComputed).toBeLessThan(planned('attn_out', 'layer-position').rowsComputed);
    const same = planned('attn_out', 'layer-position', { skip: true, pairs: [{ clean: CLEAN, corrupted: CLEAN }] });
    expect(same.rowsComputed).toBe(2 * L * T);
  });
});

describe('grids', () => {
  it('masked keys are no cells, under a window neither', () => {
    const { cells, size, axes } = gridOf(GPT2_SMALL, 'pattern', 'head-dest-src', 4);
    expect(size).toBe(144 * 16);
    expect(cells).toHaveLength(144 * 10);
    expect(axes.map((axis) => axis.name)).toEqual(['head', 'destination', 'source']);
    expect(axes[0]?.labels[13]).toBe('1.1');
    const windowed = { ...GPT2_SMALL, attention: { ...GPT2_SMALL.attention, windows: new Array<number>(12).fill(2) } };
    expect(gridOf(windowed, 'pattern', 'head-dest-src', 4).cells).toHaveLength(144 * 7);
  });
  it('keys and values have their own heads', () => {
    expect(gridOf(SPECS['Llama-3.2-1B'], 'k', 'layer-head', 4).shape).toEqual([16, 8]);
    expect(gridOf(SPECS['Llama-3.2-1B'], 'q', 'layer-head', 4).shape).toEqual([16, 32]);
  });
  it('says what does not go together', () => {
    const refused = (over: Over, grid: GridKind, spec = GPT2_SMALL) => {
      expect(() => checkGrid(spec, over, grid)).toThrow(expect.objectContaining({ code: 'sweep-grid' }) as Error);
    };
    refused('resid_pre', 'layer-head');
    refused('pattern', 'layer-position');
    refused('z', 'head-dest-src');
    refused('z', 'latent');
    refused('resid_mid', 'layer-position', SPECS['pythia-160m']);
    refused('mlp_out', 'layer-position', SPECS['attn-only-2l']);
  });
});

describe('metrics', () => {
  const read = { max: 3, sum: 2, first: 3, second: 1, divergence: 0.5, referenceSum: 2 };
  it('are what their formulas say', () => {
    expect(metricOf('logit-diff', read)).toBe(2);
    expect(metricOf('log-prob', read)).toBeCloseTo(-Math.log(2));
    expect(metricOf('probability', read)).toBeCloseTo(0.5);
    expect(metricOf('kl', read)).toBeCloseTo(0.5);
  });
  it('are scaled between the two runs, and not where these lie too close', () => {
    expect(normalised('logit-diff', 1, 3, -1)).toBe(0.5);
    expect(normalised('logit-diff', 1, 3, 2.96)).toBeNaN();
    expect(normalised('probability', 0.5, 0.51, 0.5)).toBe(0);
  });
  it('of several pairs: mean, and spread with n − 1; a pair that cannot be scaled is left out', () => {
    expect(overPairs([1, 3])).toEqual({ mean: 2, spread: Math.SQRT2 });
    expect(overPairs([1, NaN])).toEqual({ mean: 1, spread: NaN });
    const grid = { axes: [], shape: [1], size: 1 };
    const found = gathered(
      grid,
      [
        { raw: [1], clean: 2, corrupted: 0 },
        { raw: [3], clean: 4, corrupted: 0 },
      ],
      'logit-diff',
    );
    expect([found.value.data[0], found.raw.data[0], found.clean]).toEqual([0.625, 2, 3]);
    expect(found.spread?.data[0]).toBeCloseTo(0.25 / Math.SQRT2);
  });
});

describe('pairs', () => {
  it('must be of one length, and say which is not', () => {
    expect(() => checkPairs([{ clean: [1, 2], corrupted: [1, 2, 3] }], false)).toThrow(/2 tokens and the corrupted one 3/);
    const two = [
      { clean: [1, 2], corrupted: [1, 3] },
      { clean: [1, 2, 3], corrupted: [1, 2, 4] },
    ];
    expect(() => checkPairs(two, true)).toThrow(/pair 2 3/);
    expect(() => checkPairs(two, false)).not.toThrow();
    expect(two.map(firstDifference)).toEqual([1, 2]);
  });
});
