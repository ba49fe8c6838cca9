/** Thin factors against the dense matrices that they stand for. */
import { EigenvalueDecomposition, Matrix, SingularValueDecomposition } from 'ml-matrix';
import { describe, expect, test } from 'vitest';
import { factorsOf } from '../../../workers/experiments/composition';
import { cholesky, eigenSums, gram, singularOf, times, traceOf } from '../../../workers/model/low-rank';
import { at } from '../../reference/array';
import { numbers } from '../../support/numbers';

const dense = (x: ArrayLike<number>, rows: number): Matrix => Matrix.from1DArray(rows, x.length / rows, Array.from(x));
const random = (size: number, seed: number): Float64Array => Float64Array.from(numbers(size, seed, 1));
const close = (actual: ArrayLike<number>, expected: ArrayLike<number>, digits = 9): void => {
  expect(actual.length).toBe(expected.length);
  Array.from(expected, (each, i) => expect(at(actual, i)).toBeCloseTo(each, digits));
};

describe.each([
  [4, 11],
  [5, 5],
  [6, 4],
  [1, 3],
] as const)('rank %i of width %i', (rank, width) => {
  const [a, b] = [random(rank * width, 1), random(rank * width, 2)];
  const product = dense(a, rank).transpose().mmul(dense(b, rank));

  test('singular values and directions are the product’s', () => {
    const found = singularOf(a, b, width, rank);
    const many = Math.min(rank, width);
    close(found.values.slice(0, many), new SingularValueDecomposition(product).diagonal.slice(0, many));
    for (let i = 0; i < many; i++) {
      const [left = new Float64Array(0), right = new Float64Array(0)] = [found.left[i], found.right[i]];
      const s = found.values[i] ?? 0;
      expect(Math.hypot(...left)).toBeCloseTo(1, 9);
      close(
        product.mmul(Matrix.columnVector(Array.from(right))).to1DArray(),
        left.map((each) => s * each),
      );
    }
  });

  test('norms: by Gram matrices, and by their Cholesky factors', () => {
    expect(Math.sqrt(traceOf(gram(a, width), gram(b, width)))).toBeCloseTo(product.norm(), 9);
    const x = random(7 * rank, 3);
    const r = cholesky(gram(a, width));
    const short = dense(x, 7).mmul(dense(r, rank).transpose());
    expect(short.norm()).toBeCloseTo(dense(times(x, a, width), 7).norm(), 7);
  });
});

test('a factor of lower rank than it has rows, and one of zeros', () => {
  const a = random(3 * 8, 4);
  a.copyWithin(16, 0, 8);
  const r = cholesky(gram(a, 8));
  close(dense(r, 3).transpose().mmul(dense(r, 3)).to1DArray(), gram(a, 8), 7);
  expect(singularOf(a, a, 8, 3).values[2]).toBeCloseTo(0, 9);
  expect([...cholesky(gram(new Float64Array(16), 8))]).toEqual([0, 0, 0, 0]);
  expect(singularOf(new Float64Array(16), random(16, 1), 8, 2).values).toEqual([0, 0]);
});

test('eigenvalues: a rotation’s are complex, a triangle’s its diagonal', () => {
  expect(eigenSums(Float64Array.of(0, -2, 2, 0), 2)).toEqual({ sum: 0, magnitude: 4 });
  const { sum, magnitude } = eigenSums(Float64Array.of(3, 1, 5, 0, -1, 2, 0, 0, 0.5), 3);
  expect(sum).toBeCloseTo(2.5, 9);
  expect(magnitude).toBeCloseTo(4.5, 9);
});

test('the compressed form has the eigenvalues of tokens × tokens', () => {
  const [e, u, v, o] = [random(20 * 6, 1), random(20 * 6, 2), random(3 * 6, 3), random(3 * 6, 4)];
  const whole = dense(e, 20).mmul(dense(v, 3).transpose()).mmul(dense(o, 3)).mmul(dense(u, 20).transpose());
  const { realEigenvalues, imaginaryEigenvalues } = new EigenvalueDecomposition(whole, { assumeSymmetric: false });
  const small = dense(o, 3).mmul(dense(u, 20).transpose()).mmul(dense(e, 20)).mmul(dense(v, 3).transpose());
  const { sum, magnitude } = eigenSums(Float64Array.from(small.to1DArray()), 3);
  expect(sum).toBeCloseTo(
    realEigenvalues.reduce((total, each) => total + each, 0),
    6,
  );
  expect(magnitude).toBeCloseTo(
    realEigenvalues.reduce((total, each, i) => total + Math.hypot(each, imaginaryEigenvalues[i] ?? 0), 0),
    5,
  );
});

test('composition of two heads by their factors, with one key-value head for two: the dense formula', () => {
  const [heads, kv, dHead, width] = [4, 2, 3, 9];
  const part = (count: number, seed: number): Float64Array[] => Array.from({ length: count }, (_, i) => random(dHead * width, seed + i));
  const layer = (seed: number) => ({ q: part(heads, seed), k: part(kv, seed + 10), v: part(kv, seed + 20), out: part(heads, seed + 30) });
  const [first, second] = [layer(100), layer(200)];
  const [before, after] = [factorsOf(first, width), factorsOf(second, width)];
  const m = (list: Float64Array[], i: number): Matrix => dense(list[i] ?? [], dHead);
  const ov = (l: typeof first, h: number): Matrix =>
    m(l.v, Math.floor(h / 2))
      .transpose()
      .mmul(m(l.out, h));
  const qk = (l: typeof first, h: number): Matrix =>
    m(l.q, h)
      .transpose()
      .mmul(m(l.k, Math.floor(h / 2)));
  const products = dense(before.writes, heads * dHead).mmul(dense(after.reads, 3 * heads * dHead).transpose());
  for (let h1 = 0; h1 < heads; h1++)
    for (let h2 = 0; h2 < heads; h2++)
      [qk(second, h2), qk(second, h2).transpose(), ov(second, h2)].forEach((reader, mode) => {
        const row = h1 * dHead;
        const column = (mode * heads + h2) * dHead;
        const block = products.subMatrix(row, row + dHead - 1, column, column + dHead - 1);
        const norms = at(before.ov, h1) * at(mode === 2 ? after.ov : after.qk, h2);
        const wanted = ov(first, h1).mmul(reader).norm() / (ov(first, h1).norm() * reader.norm());
        expect(block.norm() / norms).toBeCloseTo(wanted, 8);
      });
});
