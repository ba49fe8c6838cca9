/**
 * Stored tensors into engine matrices: every order of rows, both orientations, every pair of types, pieces of both sides.
 * What is only moved must keep its bits: subnormals, infinities, NaNs and −0 among them.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { repack, type Repack, type RowMap } from '../../workers/kernels/repack';
import { pad4 } from '../../workers/model/layout';
import type { Dtype } from '../../workers/model/matrices';
import { rowOf } from '../../workers/model/place';
import { at } from '../reference/array';
import { Rig } from '../support/kernel';
import { noise, rounded, stored } from '../support/numbers';

let rig: Rig;
beforeAll(async () => {
  rig = await Rig.open();
});
afterAll(() => rig.close());

const PAIRS: [from: Dtype, to: Dtype][] = [
  ['f32', 'f32'],
  ['f16', 'f16'],
  ['bf16', 'bf16'],
  ['f16', 'f32'],
  ['bf16', 'f32'],
  ['f32', 'f16'],
  ['bf16', 'f16'],
];
const PLAIN: RowMap = { kind: 'plain', phase: 0, head: 1, rot: 0, limit: 0 };
interface Layout {
  name: string;
  outs: number;
  ins: number;
  map: RowMap;
  base: number;
  /** Rows of the whole matrix. */
  n: number;
  /** Inputs are heads of so many numbers, each padded by itself. */
  head?: number;
}
const LAYOUTS: Layout[] = [
  { name: 'one number', outs: 1, ins: 1, map: PLAIN, base: 0, n: 1 },
  { name: 'plain', outs: 7, ins: 13, map: PLAIN, base: 3, n: 12 },
  { name: 'gate', outs: 9, ins: 5, map: { ...PLAIN, kind: 'interleaved', phase: 0 }, base: 0, n: 18 },
  { name: 'up', outs: 9, ins: 5, map: { ...PLAIN, kind: 'interleaved', phase: 1 }, base: 0, n: 18 },
  { name: 'rotated', outs: 18, ins: 66, map: { kind: 'rotated', phase: 0, head: 6, rot: 6, limit: 18 }, base: 6, n: 30 },
  { name: 'rotated in part', outs: 21, ins: 3, map: { kind: 'rotated', phase: 0, head: 7, rot: 4, limit: 21 }, base: 0, n: 21 },
  // q and k turned, v behind the limit not.
  { name: 'rotated up to a limit', outs: 24, ins: 9, map: { kind: 'rotated', phase: 0, head: 6, rot: 4, limit: 18 }, base: 0, n: 24 },
  { name: 'gate and up in one', outs: 14, ins: 10, map: { ...PLAIN, kind: 'halves', limit: 7 }, base: 0, n: 14 },
  { name: 'head by head', outs: 36, ins: 7, map: { ...PLAIN, kind: 'heads', head: 4, rot: 0, limit: 12 }, base: 0, n: 36 },
  { name: 'head by head, turned', outs: 54, ins: 5, map: { ...PLAIN, kind: 'heads', head: 6, rot: 4, limit: 18 }, base: 0, n: 54 },
  { name: 'padded heads', outs: 5, ins: 15, map: PLAIN, base: 0, n: 5, head: 5 },
];

/** The matrix after the tensor [outs, ins] was placed; rows that it does not fill hold 3. */
function expectedOf({ outs, ins, map, base, n, head }: Layout, values: ArrayLike<number>): Float64Array {
  const block = head ?? ins;
  const padded = pad4(block);
  const k = (ins / block) * padded;
  const out = new Float64Array(n * k).fill(3);
  for (let o = 0; o < outs; o++) {
    const row = base + rowOf(map, o);
    out.fill(0, row * k, (row + 1) * k);
    for (let i = 0; i < ins; i++) out[row * k + Math.floor(i / block) * padded + (i % block)] = at(values, o * ins + i);
  }
  return out;
}

async function check(layout: Layout, from: Dtype, to: Dtype, transposed: boolean, step: number, most: number): Promise<void> {
  const { outs, ins, map, base, n } = layout;
  const values = Float64Array.from({ length: outs * ins }, (_, i) => rounded(noise(i, outs) * 4, from));
  const expected = expectedOf(
    layout,
    Float64Array.from(values, (value) => rounded(value, to)),
  );
  const k = expected.length / n;
  rig.clear();
  const pieces: { buffer: string; row0: number; rows: number }[] = [];
  for (let row0 = 0; row0 < n; row0 += most) {
    const piece = { buffer: `w#${pieces.length}`, row0, rows: Math.min(most, n - row0) };
    pieces.push(piece);
    rig.put(piece.buffer, stored(new Float64Array(piece.rows * k).fill(3), to));
  }
  const inBlock = layout.head ?? ins;
  const outBlock = layout.head ? pad4(layout.head) : k;
  // As the loader does: so many stored lines at a time.
  const lines = transposed ? ins : outs;
  for (let first = 0; first < lines; first += step) {
    const many = Math.min(step, lines - first);
    const line = (l: number, i: number): number => at(values, transposed ? i * ins + l : l * ins + i);
    const width = transposed ? outs : ins;
    const slice = Float64Array.from({ length: many * width }, (_, i) => line(first + Math.floor(i / width), i % width));
    rig.put('staging', stored(slice, from));
    const call: Omit<Repack, 'piece'> = {
      from,
      to,
      rows: transposed ? outs : many,
      o0: transposed ? 0 : first,
      so: transposed ? 1 : ins,
      i0: transposed ? first : 0,
      si: transposed ? outs : 1,
      inEnd: transposed ? first + many : ins,
      inBlock,
      outBlock,
      j0: transposed ? (layout.head ? ((first / inBlock) * outBlock) / 4 : first / 4) : 0,
      cols4: transposed ? (layout.head ? ((many / inBlock) * outBlock) / 4 : Math.ceil(many / 4)) : k / 4,
      width4: k / 4,
      base,
      map,
    };
    await rig.run(...pieces.map((piece) => repack({ ...call, piece })));
  }
  for (const { buffer, row0, rows } of pieces)
    expect([...(await rig.words(buffer))], `${buffer} of ${layout.name}, ${from} to ${to}, transposed ${String(transposed)}`).toEqual([
      ...stored(expected.subarray(row0 * k, (row0 + rows) * k), to),
    ]);
}

describe.each(PAIRS)('%s to %s', (from, to) => {
  test.each(LAYOUTS)('$name', async (layout) => {
    await check(layout, from, to, false, layout.outs, Infinity);
    await check(layout, from, to, true, layout.ins, Infinity);
    await check(layout, from, to, false, 3, 4);
    await check(layout, from, to, true, layout.head ?? 4, 6);
  });
});

test.each(['f16', 'bf16'] as const)('all 65,536 bit patterns of %s stay as they are', async (type) => {
  rig.clear();
  const words = Uint32Array.from({ length: 32768 }, (_, i) => ((2 * i) | ((2 * i + 1) << 16)) >>> 0);
  rig.put('staging', words);
  rig.blank('w', 32768, 3);
  await rig.run(moved(type, type, 256, 256));
  expect(await rig.words('w')).toEqual(words);
});

test('f16 to f32 is exact on every finite pattern and keeps infinities', async () => {
  rig.clear();
  rig.put(
    'staging',
    Uint32Array.from({ length: 32768 }, (_, i) => ((2 * i) | ((2 * i + 1) << 16)) >>> 0),
  );
  rig.blank('w', 65536, 3);
  await rig.run(moved('f16', 'f32', 256, 256));
  const found = await rig.floats('w');
  for (let bits = 0; bits < 65536; bits++) {
    const exponent = (bits >> 10) & 31;
    const size = exponent === 0 ? (bits & 1023) * 2 ** -24 : (1 + (bits & 1023) / 1024) * 2 ** (exponent - 15);
    const value = (bits & 0x8000 ? -1 : 1) * (exponent === 31 ? Infinity : size);
    if (exponent === 31 && bits & 1023) expect(found[bits]).toBeNaN();
    else expect(Object.is(found[bits], value), `f16 ${bits.toString(16)}: ${found[bits]} for ${value}`).toBe(true);
  }
});

test('f32 moved as f32 keeps subnormals, infinities and −0', async () => {
  rig.clear();
  const words = Uint32Array.from([1, 0x80000001, 0x007fffff, 0x7f800000, 0xff800000, 0x80000000, 0x7f7fffff, 0x00800000]);
  rig.put('staging', words);
  rig.blank('w', 8, 3);
  await rig.run(moved('f32', 'f32', 2, 4));
  expect([...(await rig.words('w'))]).toEqual([...words]);
});

function moved(from: Dtype, to: Dtype, n: number, k: number) {
  return repack({
    ...{ from, to, rows: n, o0: 0, so: k, i0: 0, si: 1, inEnd: k, inBlock: k, outBlock: k },
    ...{ j0: 0, cols4: k / 4, width4: k / 4, base: 0, map: PLAIN, piece: { buffer: 'w', row0: 0, rows: n } },
  });
}
