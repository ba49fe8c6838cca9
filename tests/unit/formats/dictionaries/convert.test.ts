import { describe, expect, it } from 'vitest';
import type { DictionarySpec } from '../../../../workers/dictionary/spec';
import { assemble } from '../../../../workers/formats/dictionaries/assemble';
import { canonicalBytes, layoutOf } from '../../../../workers/formats/dictionaries/convert';
import type { CanonicalTensor } from '../../../../workers/formats/dictionaries/draft';
import { notFinite, toF32 } from '../../../../workers/formats/dictionaries/numbers';
import { PIECE } from '../../../../workers/formats/read';
import { parseHeader } from '../../../../workers/formats/safetensors';
import { refusal } from '../../refusal';
import { f32, two, type Given } from '../../safetensors-writer';
import { D, grid, loose, M, turned, vector } from './dropped';

const SPEC: DictionarySpec = {
  kind: 'ReLU',
  activation: 'relu',
  hookIn: 'blocks.0.hook_resid_post',
  hookOut: 'blocks.0.hook_resid_post',
  dIn: D,
  dOut: D,
  latents: M,
  skip: false,
  contract: {
    residual: 'raw',
    normalisation: 'none',
    scale: 1,
    subtractBDec: true,
    rescaleByDecoderNorm: false,
    reshape: 'none',
    prependBos: true,
  },
};
const PLAN = {
  W_enc: { names: ['W_enc'], documented: 'transposed' as const },
  W_dec: { names: ['W_dec'], documented: 'canonical' as const },
  b_enc: { names: ['b_enc'] },
  b_dec: { names: ['b_dec'] },
};
async function written(tensors: readonly CanonicalTensor[], spec = SPEC): Promise<{ file: Uint8Array<ArrayBuffer>; pieces: number[] }> {
  const pieces: number[] = [];
  const parts: Uint8Array<ArrayBuffer>[] = [];
  for await (const piece of canonicalBytes({ name: 'it', spec, tensors: [...tensors] })) {
    pieces.push(piece.length);
    parts.push(piece);
  }
  return { file: new Uint8Array(await new Blob(parts).arrayBuffer()), pieces };
}
const read = async (given: readonly Given[], spec = SPEC): Promise<CanonicalTensor[]> =>
  (await assemble('it', loose(given), spec, PLAN, /^$/)).tensors;

describe('the canonical file', () => {
  it('is a valid safetensors file of the size that was announced', async () => {
    const tensors = await read([turned('W_enc', M, D), f32('W_dec', [M, D]), vector('b_enc', M), vector('b_dec', D)]);
    const layout = layoutOf({ tensors, spec: SPEC });
    const { file } = await written(tensors);
    expect(file.length).toBe(layout.bytes);
    expect(layout.header.length % 8).toBe(0);
    const header = parseHeader(file, file.length);
    expect(header.tensors.map(({ name, shape, dtype, offset, bytes }) => ({ name, file: 0, shape, dtype, offset, bytes }))).toEqual(
      layout.tensors,
    );
    expect(header.tensors.map(({ name, shape }) => [name, shape])).toEqual([
      ['W_enc', [M, D]],
      ['W_dec', [M, D]],
      ['b_dec', [D]],
      ['b_enc', [M]],
    ]);
  });
  it.each(['F16', 'BF16'] as const)('keeps %s matrices as they are, bit for bit, turned; vectors become F32', async (dtype) => {
    const given = [two('W_enc', dtype, [D, M]), two('W_dec', dtype, [M, D]), two('b_enc', dtype, [M]), two('b_dec', dtype, [D])];
    const tensors = await read(given);
    expect(tensors.map((each) => each.dtype)).toEqual([dtype, dtype, 'F32', 'F32']);
    const { file } = await written(tensors);
    const words = (data: Uint8Array): number[] => [...new Uint16Array(data.slice().buffer)];
    const at = layoutOf({ tensors, spec: SPEC }).tensors;
    const part = (i: number): Uint8Array<ArrayBuffer> => file.slice(at[i]?.offset, (at[i]?.offset ?? 0) + (at[i]?.bytes ?? 0));
    const source = words(given[0]?.data ?? new Uint8Array(0));
    expect(words(part(0))).toEqual(Array.from({ length: M * D }, (_, i) => source[(i % D) * M + Math.floor(i / D)]));
    expect(part(1)).toEqual(given[1]?.data);
    expect([...toF32(part(3), 'F32')]).toEqual([...toF32(given[2]?.data ?? new Uint8Array(0), dtype)]);
  });
  it('turns F64 into F32', async () => {
    const wide: Given = { name: 'W_dec', dtype: 'F64', shape: [M, D], data: new Uint8Array(Float64Array.from(grid(M, D)).buffer) };
    const tensors = await read([turned('W_enc', M, D), wide, vector('b_enc', M), vector('b_dec', D)]);
    expect(tensors[1]?.dtype).toBe('F32');
    const { file } = await written([tensors[1] as CanonicalTensor]);
    expect([...toF32(file.slice(-4 * M * D), 'F32')]).toEqual(grid(M, D));
  });
  it('comes in pieces, whatever the size of a tensor', async () => {
    const latents = 3 * 1024;
    const width = 1000;
    const spec = { ...SPEC, latents, dIn: width, dOut: width };
    const tensors = await read(
      [
        f32('W_enc', [width, latents], (i) => i % 251),
        f32('W_dec', [latents, width], (i) => i % 241),
        vector('b_enc', latents),
        vector('b_dec', width),
      ],
      spec,
    );
    const { file, pieces } = await written(tensors, spec);
    expect(Math.max(...pieces)).toBeLessThanOrEqual(PIECE);
    expect(pieces.length).toBeGreaterThan(5);
    const { tensors: at } = layoutOf({ tensors, spec });
    const values = new Float32Array(file.buffer, at[0]?.offset, latents * width);
    for (const [row, column] of [
      [0, 1],
      [2097, 3],
      [2098, 999],
      [latents - 1, width - 1],
    ] as const)
      expect(values[row * width + column]).toBe((column * latents + row) % 251);
  });
  it('refuses a source that gives fewer bytes than it announced', async () => {
    const tensors = await read([turned('W_enc', M, D), f32('W_dec', [M, D]), vector('b_enc', M), vector('b_dec', D)]);
    const short = tensors.map((tensor) =>
      'read' in tensor.source ? { ...tensor, source: { ...tensor.source, read: () => Promise.resolve(new Uint8Array(4)) } } : tensor,
    );
    expect((await refusal(() => written(short))).code).toBe('file-truncated');
  });
  it('ends where it is cancelled', async () => {
    const tensors = await read([turned('W_enc', M, D), f32('W_dec', [M, D]), vector('b_enc', M), vector('b_dec', D)]);
    const error = await refusal(async () => {
      for await (const piece of canonicalBytes({ name: 'it', spec: SPEC, tensors }, AbortSignal.abort())) void piece;
    });
    expect(error.code).toBe('cancelled');
  });
});

describe('numbers', () => {
  it('of every type', () => {
    const f16 = Uint16Array.of(0x3c00, 0xc000, 0x0001, 0x7c00, 0xfc00, 0x3555);
    expect([...toF32(new Uint8Array(f16.buffer), 'F16')].slice(0, 5)).toEqual([1, -2, 2 ** -24, Infinity, -Infinity]);
    expect(toF32(new Uint8Array(f16.buffer), 'F16')[5]).toBeCloseTo(1 / 3, 3);
    expect(toF32(new Uint8Array(Uint16Array.of(0x7e00).buffer), 'F16')[0]).toBeNaN();
    expect([...toF32(new Uint8Array(Uint16Array.of(0x3f80, 0xc000).buffer), 'BF16')]).toEqual([1, -2]);
    expect([...toF32(new Uint8Array(BigInt64Array.of(7n, -1n).buffer), 'I64')]).toEqual([7, -1]);
    expect([...toF32(Uint8Array.of(0, 1), 'BOOL')]).toEqual([0, 1]);
    const odd = new Uint8Array(9);
    odd.set(new Uint8Array(Float32Array.of(1, 2).buffer), 1);
    expect([...toF32(odd.subarray(1), 'F32')]).toEqual([1, 2]);
  });
  it('that are not finite are found in any type', () => {
    expect(notFinite(Uint16Array.of(0x3c00, 0x7c00), 'F16')).toBe(1);
    expect(notFinite(Uint16Array.of(0x3f80, 0xff80), 'BF16')).toBe(1);
    expect(notFinite(new Uint32Array(Float32Array.of(1, -3e38, NaN).buffer), 'F32')).toBe(2);
    expect(notFinite(new Uint32Array(Float32Array.of(1, -0).buffer), 'F32')).toBe(-1);
  });
});
