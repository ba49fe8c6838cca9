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

export function toF32(bytes: Uint8Array<ArrayBuffer>, dtype: LooseDtype): Float32Array<ArrayBuffer> {
  // A view wants its own alignment, which bytes cut out of a larger buffer may not have.
  const { buffer } = bytes.byteOffset % 8 === 0 && bytes.byteLength === bytes.buffer.byteLength ? bytes : bytes.slice();
  switch (dtype) {
    case 'F32':
      return new Float32Array(buffer);
    case 'F64':
      return Float32Array.from(new Float64Array(buffer));
    case 'F16':
      return Float32Array.from(new Uint16Array(buffer), half);
    case 'BF16':
      return new Float32Array(Uint32Array.from(new Uint16Array(buffer), (bits) => bits << 16).buffer);
    case 'I64':
      return Float32Array.from(new BigInt64Array(buffer), Number);
    case 'I32':
      return Float32Array.from(new Int32Array(buffer));
    case 'I16':
      return Float32Array.from(new Int16Array(buffer));
    case 'I8':
      return Float32Array.from(new Int8Array(buffer));
    case 'U8':
    case 'BOOL':
      return Float32Array.from(new Uint8Array(buffer));
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
