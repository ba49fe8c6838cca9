/** Patching grids as the page shows them. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Grid } from '../../../workers/api';
import { cellName, correlation, effectOf, gridsOf, indicesOf, OVER, partOf, ranked, reach } from '../../../src/lab/grids';

const grid = (names: readonly string[], shape: number[]): Grid => {
  const size = shape.reduce((a, b) => a * b, 1);
  const tensor = { shape, data: new Float32Array(size) };
  const axes = names.map((name, i) => ({ name, labels: Array.from({ length: shape[i] ?? 0 }, (_, k) => String(k)) }));
  return { axes, value: tensor, raw: tensor, clean: 1, corrupted: 0, milliseconds: 1, rowsComputed: 1, rowsNaive: 1, rowsSkipped: 0 };
};
const token = (position: number) => `“t${position}”`;

describe('a cell', () => {
  it('is the hook, the position and the head that it stands for', () => {
    const stream = grid(['layer', 'position'], [2, 3]);
    expect(partOf('resid_mid', stream, 5, 'layer-position')).toEqual({ at: 'blocks.1.hook_resid_mid', positions: [2] });
    expect(partOf('attn_out', stream, 0, 'layer-position')).toEqual({ at: 'blocks.0.hook_attn_out', positions: [0] });
    const heads = grid(['layer', 'head'], [2, 4]);
    expect(partOf('z', heads, 7, 'layer-head')).toEqual({ at: 'blocks.1.attn.hook_z', head: 3 });
    const each = grid(['layer', 'position', 'head'], [2, 3, 4]);
    expect(partOf('q', each, (1 * 3 + 2) * 4 + 1, 'layer-position-head')).toEqual({ at: 'blocks.1.attn.hook_q', positions: [2], head: 1 });
  });
  it('of one source of a pattern, or of a latent, is no single edit', () => {
    expect(partOf('pattern', grid(['head', 'destination', 'source'], [2, 3, 3]), 4, 'head-dest-src')).toBeUndefined();
    expect(partOf({ dictionary: 'd' }, grid(['latent'], [4]), 1, 'latent')).toBeUndefined();
  });
  it('has a name in words', () => {
    expect(cellName(grid(['layer', 'position'], [2, 3]), 5, token)).toBe('layer 1, at “t2”, position 2');
    expect(cellName(grid(['layer', 'head'], [2, 4]), 5, token)).toBe('layer 1, head 1');
    expect(cellName(grid(['head', 'destination', 'source'], [2, 3, 3]), 9 + 3 * 2 + 1, token)).toBe(
      'head 1, from “t2”, position 2, to “t1”, position 1',
    );
  });
  it('is found along any axes', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 4 }), fc.nat(), (shape, at) => {
        const flat = at % shape.reduce((a, b) => a * b, 1);
        const back = indicesOf(shape, flat).reduce((sum, index, axis) => sum * (shape[axis] ?? 1) + index, 0);
        expect(back).toBe(flat);
      }),
    );
  });
});

it('every thing that can be patched has a grid', () => {
  for (const { value } of OVER) expect(gridsOf(value).length).toBeGreaterThan(0);
  expect(gridsOf('resid_pre')).toEqual(['layer-position']);
  expect(gridsOf('pattern')).toContain('head-dest-src');
  expect(gridsOf({ dictionary: 'd' })).toEqual(['latent']);
});

describe('effects', () => {
  it('are told from doing nothing, in both directions', () => {
    expect(effectOf('denoise', 0)).toBe(0);
    expect(effectOf('noise', 1)).toBe(0);
    expect(effectOf('noise', 0)).toBe(-1);
  });
  it('rank by size; what is no number is nowhere', () => {
    expect(ranked([0.1, Number.NaN, -0.5, 0.3], (x) => x, 2)).toEqual([2, 3]);
    expect(reach([0.1, -0.7, Number.NaN], (x) => x)).toBeCloseTo(0.7, 6);
    expect(
      reach([0.001], (x) => x),
      'noise is not painted as a finding',
    ).toBe(0.1);
  });
  it('correlate by Pearson’s r', () => {
    const line = [1, 2, 3, 5].map((x) => [x, 2 * x - 1] as const);
    expect(correlation(line)).toBeCloseTo(1, 12);
    expect(correlation(line.map(([a, b]) => [a, -b] as const))).toBeCloseTo(-1, 12);
    // numpy.corrcoef([1, 2, 3, 4], [1, 3, 2, 5])[0, 1]
    expect(
      correlation([
        [1, 1],
        [2, 3],
        [3, 2],
        [4, 5],
      ]),
    ).toBeCloseTo(0.8315218406202999, 12);
    expect(
      correlation([
        [1, 1],
        [Number.NaN, 9],
        [2, 3],
        [3, 2],
        [4, 5],
      ]),
    ).toBeCloseTo(0.8315218406202999, 12);
    expect(
      correlation([
        [1, 1],
        [2, 2],
      ]),
    ).toBeNaN();
    expect(
      correlation([
        [1, 1],
        [1, 2],
        [1, 3],
      ]),
    ).toBeNaN();
  });
});
