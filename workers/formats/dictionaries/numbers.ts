/** Bytes as numbers: the little-endian types of dropped tensors as float32, and which stored patterns are no finite number. */
import type { StoredDtype } from '../../contract';
import type { LooseDtype } from '../loose';

export const BYTES: Readonly<Record<LooseDtype, number>> = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
};

/** IEEE half precision: 1 sign, 5 exponent, 10 fraction bits. */
function half(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (1024 + fraction) * 2 ** (exponent - 25);
}

const HALVES = ((): Float32Array => {
  const table = new Float32Array(65536);
  for (let bits = 0; bits < table.length; bits++) table[bits] = half(bits);
  return table;
})();

/** Bytes on their own, so that a view of any width may lie on them. */
export const alone = (bytes: Uint8Array<ArrayBuffer>): ArrayBuffer =>
  bytes.byteLength === bytes.buffer.byteLength ? bytes.buffer : bytes.slice().buffer;

export function toF32(bytes: Uint8Array<ArrayBuffer>, dtype: LooseDtype): Float32Array<ArrayBuffer> {
  const buffer = alone(bytes);
  switch (dtype) {
    case 'F32':
      return new Float32Array(buffer);
    case 'F64':
      return new Float32Array(new Float64Array(buffer));
    case 'F16': {
      const words = new Uint16Array(buffer);
      const values = new Float32Array(words.length);
      for (let i = 0; i < words.length; i++) values[i] = HALVES[words[i] ?? 0] ?? 0;
      return values;
    }
    case 'BF16': {
      const words = new Uint16Array(buffer);
      const wide = new Uint32Array(words.length);
      for (let i = 0; i < words.length; i++) wide[i] = (words[i] ?? 0) << 16;
      return new Float32Array(wide.buffer);
    }
    case 'I64':
      return Float32Array.from(new BigInt64Array(buffer), Number);
    case 'I32':
      return new Float32Array(new Int32Array(buffer));
    case 'I16':
      return new Float32Array(new Int16Array(buffer));
    case 'I8':
      return new Float32Array(new Int8Array(buffer));
    case 'U8':
    case 'BOOL':
      return new Float32Array(new Uint8Array(buffer));
  }
}

/** All exponent bits set: an infinity or no number at all. */
const EXPONENT: Readonly<Record<StoredDtype, number>> = { F32: 0x7f800000, F16: 0x7c00, BF16: 0x7f80 };

/** The place of the first element that is not a finite number. */
export function notFinite(words: Uint16Array | Uint32Array, dtype: StoredDtype): number {
  const mask = EXPONENT[dtype];
  for (let i = 0; i < words.length; i++) if (((words[i] ?? 0) & mask) === mask) return i;
  return -1;
}
