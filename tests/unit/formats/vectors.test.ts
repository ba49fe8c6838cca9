import { describe, expect, it } from 'vitest';
import { readVectors } from '../../../workers/formats/vectors';
import { refusal } from '../refusal';

/** A safetensors file of F32 vectors, with a description each. */
function file(vectors: Record<string, { data: number[]; about?: unknown; dtype?: string }>): File {
  const header: Record<string, unknown> = { __metadata__: {} };
  const bytes: number[] = [];
  for (const [name, { data, about, dtype = 'F32' }] of Object.entries(vectors)) {
    const from = bytes.length;
    bytes.push(...new Uint8Array(Float32Array.from(data).buffer));
    header[name] = { dtype, shape: [data.length], data_offsets: [from, bytes.length] };
    if (about !== undefined)
      (header['__metadata__'] as Record<string, string>)[name] = typeof about === 'string' ? about : JSON.stringify(about);
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const length = new Uint8Array(new BigUint64Array([BigInt(json.length)]).buffer);
  return new File([length, json, Uint8Array.from(bytes)], 'vectors.safetensors');
}

const at = 'blocks.3.hook_resid_pre';

describe('a file of vectors', () => {
  it('gives each with its numbers and how it is best used', async () => {
    const about = { name: 'merry − gloomy', at, scale: 4.5, kind: 'add', about: 'Brighter or darker.' };
    const read = await readVectors(
      file({ mood: { data: [1, -2, 3], about }, plain: { data: [4], about: { at, keep: 0, kind: 'project', scale: 'x' } } }),
    );
    expect(read.map(({ info }) => info)).toEqual([about, { name: 'plain', at, keep: 0, kind: 'project' }]);
    expect(read.map(({ data }) => [...data])).toEqual([[1, -2, 3], [4]]);
  });

  it.each([
    ['not described', { mood: { data: [1] } }],
    ['described by no JSON', { mood: { data: [1], about: 'merry' } }],
    ['without a hook', { mood: { data: [1], about: { name: 'merry' } } }],
    ['of another dtype', { mood: { data: [1], about: { at }, dtype: 'I32' } }],
    ['none at all', {}],
  ])('refuses a vector that is %s', async (_what, vectors) => {
    expect((await refusal(() => readVectors(file(vectors)))).code).toBe('vector-garbage');
  });
});
