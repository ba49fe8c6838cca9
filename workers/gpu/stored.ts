/** Numbers as files keep them, on their way to the GPU: f32, or two bytes each. */
import type { StoredDtype, StoredTensor } from '../contract';

/** What reads tensor bytes; workers/library gives one for what is kept. */
export interface TensorReader {
  read(file: number, offset: number, into: Uint8Array): void | Promise<void>;
}

/** The kernels' names of the types. */
export const TYPES: Record<StoredDtype, 'f32' | 'f16' | 'bf16'> = { F32: 'f32', F16: 'f16', BF16: 'bf16' };
export const BYTES: Record<StoredDtype, number> = { F32: 4, F16: 2, BF16: 2 };

/** Numbers of a stored tensor, as f32. */
export async function readFloats(
  reader: TensorReader,
  tensor: StoredTensor,
  from: number,
  count: number,
): Promise<Float32Array<ArrayBuffer>> {
  const size = BYTES[tensor.dtype];
  const bytes = new Uint8Array(count * size);
  await reader.read(tensor.file, tensor.offset + from * size, bytes);
  return asFloats(bytes, tensor.dtype);
}

/** The same numbers as f32. */
export function asFloats(bytes: Uint8Array<ArrayBuffer>, dtype: StoredDtype): Float32Array<ArrayBuffer> {
  if (dtype === 'F32') return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  const halves = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2);
  return Float32Array.from(halves, dtype === 'BF16' ? fromBf16 : fromF16);
}

const words = new Uint32Array(1);
const floats = new Float32Array(words.buffer);
export function fromBf16(bits: number): number {
  words[0] = bits << 16;
  return floats[0] ?? 0;
}
export function fromF16(bits: number): number {
  const exponent = (bits >> 10) & 31;
  const mantissa = bits & 1023;
  const sign = bits & 0x8000 ? -1 : 1;
  if (exponent === 0) return sign * mantissa * 2 ** -24;
  if (exponent === 31) return mantissa ? NaN : sign * Infinity;
  return sign * (1 + mantissa / 1024) * 2 ** (exponent - 15);
}
