/**
 * Test numbers that can be computed from their index alone (so that an expected value never needs the whole matrix), and
 * matrices as the engine stores them: rows padded to a multiple of four, in f32, f16 or bf16, in one buffer or several.
 */
import type { WeightMatrix } from '../../workers/kernels/linear';
import { pad4 } from '../../workers/model/layout';
import type { Dtype } from '../../workers/model/matrices';
import { at } from '../reference/array';
import { roundToBF16, roundToF16 } from '../reference/rounding';

/** A well-mixed word of (seed, i): Wellons' lowbias32. */
export function hash(i: number, seed: number): number {
  let x = (Math.imul(i, 0x9e3779b1) ^ Math.imul(seed + 1, 0x85ebca6b)) >>> 0;
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
  return (x ^ (x >>> 16)) >>> 0;
}

/** In [−1, 1), a multiple of 2⁻²³: exact in f32. */
export const noise = (i: number, seed: number): number => (hash(i, seed) >>> 8) / 2 ** 23 - 1;

export const numbers = (length: number, seed: number, scale = 1): Float32Array<ArrayBuffer> =>
  Float32Array.from({ length }, (_, i) => scale * noise(i, seed));

/** Rows of `width` numbers laid `stride` apart, `fill` between. */
export function spaced(rows: ArrayLike<number>, width: number, stride: number, fill = 0): Float32Array<ArrayBuffer> {
  const count = rows.length / width;
  const out = new Float32Array(count * stride).fill(fill);
  for (let r = 0; r < count; r++) for (let i = 0; i < width; i++) out[r * stride + i] = at(rows, r * width + i);
  return out;
}

/** The first `width` numbers of every `stride`. */
export function packed(rows: ArrayLike<number>, width: number, stride: number): Float64Array {
  const count = rows.length / stride;
  const out = new Float64Array(count * width);
  for (let r = 0; r < count; r++) for (let i = 0; i < width; i++) out[r * width + i] = at(rows, r * stride + i);
  return out;
}

const cell = new DataView(new ArrayBuffer(4));
export function f32ToBits(value: number): number {
  cell.setFloat32(0, value);
  return cell.getUint32(0);
}

/** The f16 nearest to a value, ties to even, as its bits. */
export function f16ToBits(value: number): number {
  const sign = Object.is(value, -0) || value < 0 ? 0x8000 : 0;
  const size = Math.abs(roundToF16(value));
  if (Number.isNaN(size)) return 0x7e00;
  if (size === Infinity) return sign | 0x7c00;
  if (size < 2 ** -14) return sign | Math.round(size * 2 ** 24);
  const exponent = Math.floor(Math.log2(size));
  return sign | ((exponent + 15) << 10) | Math.round((size / 2 ** exponent - 1) * 1024);
}

export const bf16ToBits = (value: number): number => f32ToBits(roundToBF16(value)) >>> 16;

export const rounded = (value: number, dtype: Dtype): number =>
  dtype === 'f16' ? roundToF16(value) : dtype === 'bf16' ? roundToBF16(value) : Math.fround(value);

/** Numbers as their stored words: one a word for f32, two a word otherwise. */
export function stored(values: ArrayLike<number>, dtype: Dtype): Uint32Array<ArrayBuffer> {
  if (dtype === 'f32') return Uint32Array.from(values, f32ToBits);
  const bits = dtype === 'f16' ? f16ToBits : bf16ToBits;
  const out = new Uint32Array(Math.ceil(values.length / 2));
  for (let i = 0; i < values.length; i++) out[i >> 1] = (at(out, i >> 1) | (bits(at(values, i)) << (16 * (i & 1)))) >>> 0;
  return out;
}

export interface TestMatrix {
  weights: WeightMatrix;
  /** [n, k] as stored and unpadded: what the reference multiplies by. */
  values: Float64Array;
  buffers: { name: string; words: Uint32Array<ArrayBuffer> }[];
}

/** `values` [n, k] rounded to the type, in pieces of at most `most` rows. */
export function matrixOf(name: string, values: ArrayLike<number>, k: number, dtype: Dtype, most = Infinity): TestMatrix {
  const n = values.length / k;
  const exact = Float64Array.from(values, (value) => rounded(value, dtype));
  const width = pad4(k);
  const padded = spaced(exact, k, width);
  const pieces: { buffer: string; row0: number; rows: number }[] = [];
  const buffers: TestMatrix['buffers'] = [];
  for (let row0 = 0; row0 < n; row0 += most) {
    const rows = Math.min(most, n - row0);
    const buffer = `${name}#${pieces.length}`;
    pieces.push({ buffer, row0, rows });
    buffers.push({ name: buffer, words: stored(padded.subarray(row0 * width, (row0 + rows) * width), dtype) });
  }
  return { weights: { n, k: width, dtype, pieces }, values: exact, buffers };
}
