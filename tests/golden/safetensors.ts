/**
 * A few lines that read a safetensors file for the tests, on purpose not the ones the lab ships: a fixture must not be
 * read by the code it judges. Layout: u64 header length, JSON header, data (formats: safetensors' own documentation).
 */
import type { Tensor } from '../../workers/api';

interface Entry {
  dtype: string;
  shape: number[];
  data_offsets: [number, number];
}

/** Half precision, bit by bit: 1 sign, 5 exponent (bias 15), 10 fraction. */
function fromF16(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

function values(view: DataView, entry: Entry, start: number): Float32Array {
  const count = entry.shape.reduce((product, size) => product * size, 1);
  const data = new Float32Array(count);
  const bytes = entry.dtype === 'F32' ? 4 : 2;
  const [begin, end] = entry.data_offsets;
  if (end - begin !== count * bytes) throw new Error(`${end - begin} bytes for ${count} values of ${entry.dtype}`);
  for (let i = 0; i < count; i++) {
    const at = start + begin + i * bytes;
    if (entry.dtype === 'F32') data[i] = view.getFloat32(at, true);
    else if (entry.dtype === 'F16') data[i] = fromF16(view.getUint16(at, true));
    else if (entry.dtype === 'BF16') {
      const widened = new DataView(new ArrayBuffer(4));
      widened.setUint32(0, view.getUint16(at, true) * 65536);
      data[i] = widened.getFloat32(0);
    } else throw new Error(`dtype ${entry.dtype}`);
  }
  return data;
}

/** Every tensor of numbers of a file, widened to f32 (exact for all three stored types). */
export function readSafetensors(bytes: Uint8Array): Map<string, Tensor> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = Number(view.getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length))) as Record<string, Entry>;
  const tensors = new Map<string, Tensor>();
  for (const [name, entry] of Object.entries(header)) {
    // Masks, of bools or bytes, hold nothing learned.
    if (name === '__metadata__' || !['F32', 'F16', 'BF16'].includes(entry.dtype)) continue;
    tensors.set(name, { shape: entry.shape, data: values(view, entry, 8 + length) });
  }
  return tensors;
}
