/** A safetensors file of plain vectors: u64 length, JSON padded with spaces to 8 bytes, then the F32 data. */
export function safetensors(tensors: ReadonlyMap<string, readonly number[]>, metadata: Readonly<Record<string, string>>): Buffer {
  let at = 0;
  const entries = [...tensors].map(([name, values]) => {
    const from = at;
    at += 4 * values.length;
    return [name, { dtype: 'F32', shape: [values.length], data_offsets: [from, at] }] as const;
  });
  const json = Buffer.from(JSON.stringify({ __metadata__: metadata, ...Object.fromEntries(entries) }));
  const header = Buffer.concat([json, Buffer.alloc((8 - (json.length % 8)) % 8, ' ')]);
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(header.length));
  const data = Buffer.from(new Float32Array([...tensors.values()].flat()).buffer);
  return Buffer.concat([size, header, data]);
}
