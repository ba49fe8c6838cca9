/** The kernels that process weights, against float64: widths about the vec4 and the workgroup, in one piece and in several, padding left 0. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { centerColumns, CHUNK, chunksOf, foldRows, foldValues } from '../../workers/kernels/fold';
import type { WeightMatrix } from '../../workers/kernels/linear';
import { pad4 } from '../../workers/model/layout';
import { at } from '../reference/array';
import { centre } from '../reference/norm';
import { Rig } from '../support/kernel';
import { matrixOf, noise, numbers, packed, spaced } from '../support/numbers';

const TIGHT = 2e-6;
let rig: Rig;
beforeAll(async () => {
  rig = await Rig.open();
});
afterAll(() => rig.close());

/** Puts a matrix on the GPU, at most `most` rows a piece. */
function load(values: ArrayLike<number>, k: number, most: number): WeightMatrix {
  const { weights, buffers } = matrixOf('w', values, k, 'f32', most);
  for (const { name, words } of buffers) rig.put(name, words);
  return weights;
}

/** Reads it back, and looks at its padding. */
async function unload(weights: WeightMatrix, k: number): Promise<Float64Array> {
  const out: number[] = [];
  for (const { buffer } of weights.pieces) {
    const data = await rig.floats(buffer);
    for (let i = 0; i < data.length; i++) if (i % weights.k >= k) expect(data[i]).toBe(0);
    out.push(...packed(data, k, weights.k));
  }
  return Float64Array.from(out);
}

describe.each([
  [1, 1, Infinity],
  [3, 5, Infinity],
  [67, 9, 4],
  [257, 70, 32],
  [1030, 6, 2],
])('fold-rows, width %i, %i rows, %s a piece', (k, n, most) => {
  const stride = pad4(k);
  const [gain, shift, bias] = [numbers(k, 2).map((value) => value + 1.5), numbers(k, 3), numbers(n, 4)];
  test.each([
    ['gain', true, false, false],
    ['gain and bias', true, true, false],
    ['gain, bias and centre', true, true, true],
    ['gain and centre', true, false, true],
    ['centre', false, false, true],
  ])('%s', async (what, gains, shifts, center) => {
    rig.clear();
    const values = numbers(n * k, n + k).map((value) => value + 0.25);
    const weights = load(values, k, most);
    // Something before and behind, that must stay.
    const vecs = new Float32Array(4 + 2 * stride + pad4(n) + 4).fill(77);
    vecs.set(spaced(gain, k, stride), 4);
    vecs.set(spaced(shift, k, stride), 4 + stride);
    const biasAt = 4 + 2 * stride;
    vecs.set(bias, biasAt);
    rig.put('vecs', vecs);
    await rig.run(...foldRows({ weights, width: k, center, ...(gains ? { norm: { gain: 4, bias: shifts ? biasAt : undefined } } : {}) }));
    const gained = Float64Array.from(values, (value, i) => (gains ? value * at(gain, i % k) : value));
    // A row that centring empties has the scale of what it was.
    const expected = center ? centre(gained, k, 'layer') : gained;
    const found = await unload(weights, k);
    if (k > 1 || !center) rig.expectRows('fold-rows', `${what}, weights`, found, expected, k, TIGHT);
    else expect(Math.max(...found.map(Math.abs))).toBeLessThan(1e-6);
    const after = await rig.floats('vecs');
    const biased = Float64Array.from(vecs);
    if (shifts)
      for (let o = 0; o < n; o++)
        for (let i = 0; i < k; i++) biased[biasAt + o] = at(biased, biasAt + o) + at(values, o * k + i) * at(shift, i);
    rig.expectRows('fold-rows, bias', what, after.subarray(biasAt, biasAt + n), biased.subarray(biasAt, biasAt + n), n, TIGHT);
    biased.fill(0, biasAt, biasAt + n);
    after.fill(0, biasAt, biasAt + n);
    expect([...after]).toEqual([...biased]);
  });
});

test.each([
  [1, 1, 1, 1, Infinity],
  [3, 3, 5, 7, Infinity],
  [6, 2, 7, 33, 8],
  [16, 4, 64, 12, 5],
])('fold-values, %i heads on %i of width %i, %i rows, %s a piece', async (heads, kvHeads, dHead, rows, most) => {
  rig.clear();
  const padded = pad4(dHead);
  const values = numbers(rows * heads * dHead, 5);
  const bv = numbers(kvHeads * dHead, 6);
  const bo = numbers(rows, 7);
  // Each head padded by itself.
  const weights = load(spaced(values, dHead, padded), heads * padded, most);
  const vecs = new Float32Array(3 + bv.length + rows + 1).fill(77);
  vecs.set(bv, 3);
  vecs.set(bo, 3 + bv.length);
  rig.put('vecs', vecs);
  await rig.run(...foldValues({ weights, heads, kvHeads, dHead, dHeadPadded: padded, value: 3, bias: 3 + bv.length }));
  const expected = Float64Array.from({ length: rows }, (_, o) => {
    let sum = at(bo, o);
    for (let h = 0; h < heads; h++)
      for (let i = 0; i < dHead; i++)
        sum += at(values, (o * heads + h) * dHead + i) * at(bv, Math.floor((h * kvHeads) / heads) * dHead + i);
    return sum;
  });
  const after = await rig.floats('vecs');
  rig.expectRows('fold-values', `${heads} heads`, after.subarray(3 + bv.length, -1), expected, rows, TIGHT);
  expect([...after.subarray(0, 3 + bv.length), after.at(-1)]).toEqual([...vecs.subarray(0, 3 + bv.length), 77]);
});

test.each([
  [2, 1, Infinity],
  [7, 5, Infinity],
  [CHUNK + 1, 67, Infinity],
  [3 * CHUNK - 1, 130, 100],
  [1000, 259, CHUNK],
])('center-columns, %i rows, width %i, %s a piece', async (n, k, most) => {
  rig.clear();
  const values = numbers(n * k, n + k).map((value, i) => value + 1 + (i % k) / k);
  const weights = load(values, k, most);
  rig.blank('sums', chunksOf(weights) * weights.k, 77);
  await rig.run(...centerColumns(weights));
  const found = await unload(weights, k);
  const column = (data: ArrayLike<number>, i: number) => Float64Array.from({ length: n }, (_, o) => at(data, o * k + i));
  for (const i of new Set([0, k >> 1, k - 1]))
    rig.expectRows('center-columns', `column ${i}`, column(found, i), centre(column(values, i), n, 'layer'), n, TIGHT);
});

test('center-columns over a quarter of a million rows: the mean is f32’s', async () => {
  rig.clear();
  const [n, k, most] = [250_000, 8, 90_000];
  const pieces = [];
  for (let row0 = 0; row0 < n; row0 += most) {
    const rows = Math.min(most, n - row0);
    rig.put(
      `big#${pieces.length}`,
      Float32Array.from({ length: rows * k }, (_, i) => noise(row0 * k + i, 1) + 0.5),
    );
    pieces.push({ buffer: `big#${pieces.length}`, row0, rows });
  }
  const weights: WeightMatrix = { n, k, dtype: 'f32', pieces };
  rig.blank('sums', chunksOf(weights) * k, 77);
  await rig.run(...centerColumns(weights));
  const mean = new Float64Array(k);
  for (let i = 0; i < n * k; i++) mean[i % k] = at(mean, i % k) + (noise(i, 1) + 0.5) / n;
  for (const { buffer, row0 } of pieces) {
    const data = await rig.floats(buffer);
    for (const i of [0, 1, k - 1, data.length - 1])
      expect(Math.abs(at(data, i) - (Math.fround(noise(row0 * k + i, 1) + 0.5) - at(mean, i % k)))).toBeLessThan(1e-6);
  }
});
