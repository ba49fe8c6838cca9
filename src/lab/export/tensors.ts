/** Tensors as a safetensors file: eight bytes of header length, the header's JSON (padded to eight bytes), the numbers as they lie. Source: the format's own description. */
import type { Tensor } from '../../../workers/api';

export function toSafetensors(
  tensors: Readonly<Record<string, Tensor>>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array<ArrayBuffer> {
  let at = 0;
  const entries = Object.entries(tensors).map(([name, { shape, data }]) => {
    const begin = at;
    at += data.byteLength;
    return [name, { dtype: 'F32', shape, data_offsets: [begin, at] }] as const;
  });
  const json = JSON.stringify({ __metadata__: metadata, ...Object.fromEntries(entries) });
  const text = new TextEncoder().encode(json);
  const padded = Math.ceil(text.length / 8) * 8;
  const out = new Uint8Array(8 + padded + at).fill(32, 8, 8 + padded);
  new DataView(out.buffer).setBigUint64(0, BigInt(padded), true);
  out.set(text, 8);
  let offset = 8 + padded;
  for (const { data } of Object.values(tensors)) {
    out.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), offset);
    offset += data.byteLength;
  }
  return out;
}
