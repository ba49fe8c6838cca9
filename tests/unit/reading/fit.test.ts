/** The regression that a tuned lens begins with, against what it is fitted to, and against a solution by normal equations written out. */
import { Matrix, solve } from 'ml-matrix';
import { expect, test } from 'vitest';
import { Moments, split } from '../../../workers/experiments/lenses/fit';
import { counter } from '../../../workers/model/random';
import { at } from '../../reference/array';
import { numbers } from '../../support/numbers';

const d = 5;
const rows = 40;

/** Moments of rows, with weights, in two batches. */
function momentsOf(x: ArrayLike<number>, y: ArrayLike<number>, weights: ArrayLike<number>): Moments {
  const moments = new Moments(d);
  for (const [from, to] of [
    [0, 13],
    [13, rows],
  ] as const) {
    const sums = { w: 0, x: new Float64Array(d), y: new Float64Array(d), xx: new Float64Array(d * d), yx: new Float64Array(d * d) };
    for (let r = from; r < to; r++) {
      const w = at(weights, r);
      sums.w += w;
      for (let i = 0; i < d; i++) {
        sums.x[i] = at(sums.x, i) + w * at(x, r * d + i);
        sums.y[i] = at(sums.y, i) + w * at(y, r * d + i);
        for (let j = 0; j < d; j++) {
          sums.xx[i * d + j] = at(sums.xx, i * d + j) + w * at(x, r * d + i) * at(x, r * d + j);
          sums.yx[i * d + j] = at(sums.yx, i * d + j) + w * at(y, r * d + i) * at(x, r * d + j);
        }
      }
    }
    moments.add(sums.w, sums.x, sums.y, sums.xx, sums.yx);
  }
  return moments;
}

const x = numbers(rows * d, 1, 1);
const weights = numbers(rows, 2, 1).map((each) => each + 1.5);

test('an affine map is found again', () => {
  const [a, b] = [numbers(d * d, 3, 1), numbers(d, 4, 1)];
  const y = Float64Array.from(x, (h, i) => {
    const [r, o] = [Math.floor(i / d), i % d];
    let sum = h + at(b, o);
    for (let k = 0; k < d; k++) sum += at(a, o * d + k) * at(x, r * d + k);
    return sum;
  });
  const found = momentsOf(x, y, weights).solve(1e-12);
  found.weight.forEach((each, i) => expect(each).toBeCloseTo(at(a, i), 4));
  found.bias.forEach((each, i) => expect(each).toBeCloseTo(at(b, i), 4));
});

test('with noise and a ridge: the weighted normal equations', () => {
  const y = numbers(rows * d, 5, 1);
  const [X, Y, w] = [x, y, weights].map((each) => Array.from(each));
  if (!X || !Y || !w) throw new Error('no rows');
  const total = w.reduce((sum, each) => sum + each, 0);
  const mean = (z: readonly number[], i: number): number => w.reduce((sum, each, r) => sum + each * (z[r * d + i] ?? 0), 0) / total;
  const centred = (z: readonly number[]): Matrix =>
    Matrix.from1DArray(
      rows,
      d,
      z.map((each, i) => (each - mean(z, i % d)) * Math.sqrt((w[Math.floor(i / d)] ?? 0) / total)),
    );
  const delta = Y.map((each, i) => each - (X[i] ?? 0));
  const [cx, cy] = [centred(X), centred(delta)];
  const s = cx.transpose().mmul(cx);
  const ridged = s.clone().add(Matrix.eye(d, d).mul((0.3 * s.trace()) / d));
  const expected = solve(ridged, cx.transpose().mmul(cy)).transpose();
  const found = momentsOf(x, y, weights).solve(0.3);
  found.weight.forEach((each, i) => expect(each).toBeCloseTo(expected.get(Math.floor(i / d), i % d), 5));
});

test('an endless ridge is no change but of the mean; a direction without spread is left alone', () => {
  const y = numbers(rows * d, 6, 1);
  for (const each of momentsOf(x, y, weights).solve(1e12).weight) expect(Math.abs(each)).toBeLessThan(1e-9);
  const flat = x.map((each, i) => (i % d === 2 ? 0.7 : each));
  const found = momentsOf(flat, y, weights).solve(0);
  expect([...found.weight, ...found.bias].every(Number.isFinite)).toBe(true);
});

test('sequences: every one in one part, a tenth each to choose and to measure, by the seed', () => {
  const parts = split(45, counter(3));
  expect([parts.choose.length, parts.apart.length]).toEqual([4, 4]);
  expect([...parts.fit, ...parts.choose, ...parts.apart].sort((a, b) => a - b)).toEqual(Array.from({ length: 45 }, (_, i) => i));
  expect(split(45, counter(3))).toEqual(parts);
  expect(split(45, counter(4))).not.toEqual(parts);
  expect(split(3, counter(1)).fit).toHaveLength(1);
});
