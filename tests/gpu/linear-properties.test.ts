/** What must hold of projections to the bit: a row alone and in a batch, a matrix in one piece and in several; and grids beyond one dimension. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { linear } from '../../workers/kernels/linear';
import { at } from '../reference/array';
import { Rig, VARIANTS } from '../support/kernel';
import { matrixOf, noise, numbers } from '../support/numbers';
import { runLinear } from './linear-case';

let rig: Rig;
beforeAll(async () => {
  rig = await Rig.open();
});
afterAll(() => rig.close());

const bits = (x: Float32Array): number[] => [...new Uint32Array(x.buffer, x.byteOffset, x.length)];

test.each(['f32', 'f16'] as const)('register: a row has the same bits alone and among others, %s', async (dtype) => {
  const [n, k, rows] = [130, 260, 11];
  const w = matrixOf('w', numbers(n * k, 1), k, dtype);
  const x = numbers(rows * k, 2, 3);
  const row = async (row0: number, count: number): Promise<Float32Array> => {
    rig.clear();
    for (const { name, words } of w.buffers) rig.put(name, words);
    rig.put('x', x);
    rig.blank('y', count * 132, 77);
    const call = { name: 'w', x: 'x', row0, rows: count, weights: w.weights, epilogue: { kind: 'plain' }, y: 'y', yStride: 132 } as const;
    await rig.run(...linear({ ...call, variants: VARIANTS.register }));
    return rig.floats('y');
  };
  const all = await row(0, rows);
  for (const [row0, count] of [
    [0, 1],
    [2, 2],
    [1, 3],
    [3, 4],
    [0, 8],
    [10, 1],
    [2, 9],
  ] as const)
    expect(bits(await row(row0, count)), `rows ${row0} to ${row0 + count}`).toEqual(bits(all.slice(row0 * 132, (row0 + count) * 132)));
});

test.each(['register', 'workgroup', 'tiled'] as const)('%s: pieces give the bits of the whole', async (variant) => {
  const each = { variant, rows: variant === 'tiled' ? 9 : 2, n: 134, k: 68, bias: true, seed: 3 };
  const whole = await runLinear(rig, each);
  for (const most of [2, 66, 132]) expect(bits((await runLinear(rig, { ...each, most })).y), `${most} rows a piece`).toEqual(bits(whole.y));
});

test.each(['register', 'tiled'] as const)('%s: parts of a dispatch give the bits of the whole', async (variant) => {
  const each = { variant, rows: 9, n: 1030, k: 68, bias: true, most: 700, seed: 3 };
  const whole = await runLinear(rig, each);
  for (const parts of [2, 3, 99]) expect(bits((await runLinear(rig, { ...each, parts })).y), `${parts} parts`).toEqual(bits(whole.y));
});

// Where a workgroup stands is told in the same line for the form with subgroups.
test.each(['workgroup', 'register'] as const)('%s: more outputs than one dimension of workgroups holds', async (variant) => {
  // 4 outputs a workgroup: 65,535 of them end at 262,140.
  const n = 4 * 65535 + 7;
  rig.clear();
  const w = matrixOf(
    'w',
    Float32Array.from({ length: 4 * n }, (_, i) => noise(i, 8)),
    4,
    'f32',
  );
  for (const { name, words } of w.buffers) rig.put(name, words);
  const x = numbers(4, 9);
  rig.put('x', x);
  rig.blank('y', n + 1, 77);
  const call = { name: 'w', x: 'x', rows: 1, weights: w.weights, epilogue: { kind: 'plain' }, y: 'y', yStride: n + 1 } as const;
  await rig.run(...linear({ ...call, variants: VARIANTS[variant] }));
  const y = await rig.floats('y');
  expect(y[n]).toBe(77);
  let worst = 0;
  for (let o = 0; o < n; o++) {
    let sum = 0;
    for (let i = 0; i < 4; i++) sum += at(x, i) * at(w.values, 4 * o + i);
    worst = Math.max(worst, Math.abs(at(y, o) - sum));
  }
  expect(worst).toBeLessThan(1e-6);
});
