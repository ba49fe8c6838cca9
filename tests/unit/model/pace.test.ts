/** What operations cost, and how long ones are cut: a projection's cost is that of its products, or a chunk of rows would be thought as cheap as one row. */
import { expect, test } from 'vitest';
import type { Dispatch } from '../../../workers/gpu/commands';
import { linear } from '../../../workers/kernels/linear';
import { costOf, Pace, partsOf } from '../../../workers/model/pace';
import { VARIANTS } from '../../support/kernel';

const projection = (rows: number, n: number, k: number, variant: 'register' | 'tiled' = 'register'): Dispatch[] =>
  linear({
    name: 'w',
    x: 'x',
    rows,
    weights: { n, k, dtype: 'f32', pieces: [{ buffer: 'w', row0: 0, rows: n }] },
    epilogue: { kind: 'plain' },
    y: 'y',
    yStride: n,
    variants: VARIANTS[variant],
  });
const total = (ops: readonly Dispatch[], of: (op: Dispatch) => number): number => ops.reduce((sum, op) => sum + of(op), 0);

test('a projection of 64 rows costs what its products cost', () => {
  const [one = 0, many = 0] = [1, 64].map((rows) => total(projection(rows, 3072, 768), costOf));
  expect(many - one).toBeGreaterThan(2 * 63 * 3072 * 768);
});

test.each(['register', 'tiled'] as const)('%s: parts cover every output once, and cost as much together', (variant) => {
  const [op] = projection(20, 50257, 64, variant);
  if (!op?.parts) throw new Error('a projection of many rows can be cut');
  for (const count of [1, 2.5, 7, 1e9]) {
    const parts = partsOf(op, count);
    let next = 0;
    for (const each of parts) {
      expect(each.params[op.parts.param]).toBe(next * op.parts.outputs);
      next += each.groups[0];
    }
    expect(next).toBe(op.groups[0]);
    expect(total(parts, costOf)).toBeCloseTo(costOf(op), -2);
  }
  expect(partsOf(op, 7)[0]?.groups[0]).toBe(Math.floor(op.groups[0] / 7));
});

test('no part is longer than a submission, and what is short stays as it is', () => {
  const pace = new Pace(true);
  const long = projection(64, 3072, 768);
  const cut = pace.cut([...long, ...projection(5, 64, 64)]);
  expect(cut.length).toBeGreaterThan(5);
  for (const op of cut) expect(costOf(op)).toBeLessThanOrEqual(pace.piece);
  expect(cut.at(-1)).toEqual(projection(5, 64, 64)[0]);
});
