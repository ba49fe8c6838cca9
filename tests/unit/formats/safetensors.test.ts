import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LabError } from '../../../workers/errors';
import { parseHeader, readHeader } from '../../../workers/formats/safetensors';
import { refusal } from '../refusal';
import { f32, rawFile, safetensors, two, type RawHeader } from '../safetensors-writer';

const tensors = [f32('a', [2, 3]), two('b', 'F16', [5]), f32('c', [4])];
const broken = (edit: (header: RawHeader) => void): Promise<LabError> => {
  const bytes = safetensors(tensors, edit);
  return refusal(() => parseHeader(bytes, bytes.length, 'w'));
};
const set = (header: RawHeader, name: string, change: Partial<RawHeader[string]>): void => {
  const entry = header[name];
  if (!entry) throw new Error(`the test knows no tensor ${name}`);
  header[name] = { ...entry, ...change };
};

describe('a safetensors header', () => {
  it('tells where each tensor lies, from the start of the file', () => {
    const bytes = safetensors(tensors);
    const { tensors: found, metadata } = parseHeader(bytes, bytes.length);
    expect(metadata).toEqual({ format: 'pt' });
    expect(found.map(({ name, dtype, shape, bytes: n }) => [name, dtype, shape, n])).toEqual([
      ['a', 'F32', [2, 3], 24],
      ['b', 'F16', [5], 10],
      ['c', 'F32', [4], 16],
    ]);
    for (const [i, tensor] of found.entries()) expect(bytes.slice(tensor.offset, tensor.offset + tensor.bytes)).toEqual(tensors[i]?.data);
  });

  it('is read from a File by its first bytes alone', async () => {
    const read: [number, number][] = [];
    const file = new File([safetensors(tensors)], 'w.safetensors');
    const slice = file.slice.bind(file);
    file.slice = (from = 0, to = 0) => (read.push([from, to]), slice(from, to));
    const { tensors: found } = await readHeader(file);
    expect(found).toHaveLength(3);
    expect(Math.max(...read.map(([, to]) => to))).toBe(found[0]?.offset);
  });

  it('accepts scalars and empty tensors', () => {
    const bytes = safetensors([f32('scalar', []), f32('none', [0, 7]), f32('last', [1])]);
    expect(parseHeader(bytes, bytes.length).tensors.map((each) => each.bytes)).toEqual([4, 0, 4]);
  });

  it('round-trips whatever a writer writes', () => {
    const names = fc.uniqueArray(
      fc.string({ minLength: 1 }).filter((name) => name !== '__metadata__' && name !== '__proto__'),
      { maxLength: 8 },
    );
    fc.assert(
      fc.property(names, fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 3 }), (list, shape) => {
        const given = list.map((name) => f32(name, shape));
        const bytes = safetensors(given);
        const found = parseHeader(bytes, bytes.length).tensors;
        expect(new Set(found.map((each) => each.name))).toEqual(new Set(list));
      }),
    );
  });
});

describe('a broken safetensors file is refused:', () => {
  const cases: [string, string, () => Promise<LabError>][] = [
    ['cut short in its data', 'file-truncated', () => refusal(() => parseHeader(safetensors(tensors), safetensors(tensors).length - 1))],
    ['shorter than 8 bytes', 'file-truncated', () => refusal(() => parseHeader(new Uint8Array(3), 3))],
    ['cut short in its header', 'header-too-long', () => refusal(() => parseHeader(safetensors(tensors).subarray(0, 40), 40))],
    ['announcing more header than file', 'header-too-long', () => refusal(() => parseHeader(rawFile('{}', new Uint8Array(0), 3n), 10))],
    [
      'announcing 2^64 − 1 bytes',
      'header-too-long',
      () => refusal(() => parseHeader(rawFile('{}', new Uint8Array(0), 2n ** 64n - 1n), 10)),
    ],
    [
      'announcing 101 MB that it has',
      'header-too-long',
      () => refusal(() => parseHeader(rawFile('{}', new Uint8Array(0), 101_000_000n), 200_000_000)),
    ],
    ['garbage for a header', 'header-garbage', () => refusal(() => parseHeader(rawFile('{"a":', new Uint8Array(0)), 13))],
    ['a list for a header', 'header-garbage', () => refusal(() => parseHeader(rawFile('[]', new Uint8Array(0)), 10))],
    ['a tensor without a shape', 'header-garbage', () => broken((h) => set(h, 'a', { shape: undefined as unknown as number[] }))],
    ['a negative shape', 'header-garbage', () => broken((h) => set(h, 'a', { shape: [-2, -3] }))],
    ['an unknown dtype', 'dtype-unsupported', () => broken((h) => set(h, 'a', { dtype: 'F7' }))],
    ['a size that is not its dtype’s', 'dtype-size', () => broken((h) => set(h, 'a', { dtype: 'F16' }))],
    ['a size that is not its shape’s', 'dtype-size', () => broken((h) => set(h, 'a', { shape: [2, 4] }))],
    ['a shape beyond all numbers', 'dtype-size', () => broken((h) => set(h, 'a', { shape: [2 ** 40, 2 ** 40] }))],
    ['offsets backwards', 'offsets-range', () => broken((h) => set(h, 'a', { data_offsets: [24, 0] }))],
    ['fractional offsets', 'offsets-range', () => broken((h) => set(h, 'a', { data_offsets: [0.5, 24.5] }))],
    ['offsets far out', 'offsets-range', () => broken((h) => set(h, 'c', { data_offsets: [1e9, 1e9 + 16] }))],
    ['an end past the data', 'offsets-range', () => broken((h) => set(h, 'c', { data_offsets: [34, 60] }))],
    ['two tensors on one place', 'offsets-overlap', () => broken((h) => set(h, 'c', { data_offsets: [24, 40] }))],
    ['one tensor inside another', 'offsets-overlap', () => broken((h) => set(h, 'b', { data_offsets: [4, 14] }))],
    ['bytes of no tensor at its end', 'offsets-gap', () => broken((h) => delete h['c'])],
    ['bytes of no tensor within', 'offsets-gap', () => broken((h) => delete h['b'])],
  ];
  it.each(cases)('%s → %s', async (_, code, call) => {
    const error = await call();
    expect(error.code).toBe(code);
    expect(error.message.length).toBeGreaterThan(10);
    expect(error.hint.length).toBeGreaterThan(10);
  });

  it('a name given twice', async () => {
    const one = '"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}';
    const bytes = rawFile(`{${one},"\\u0061":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}`, new Uint8Array(2));
    const error = await refusal(() => parseHeader(bytes, bytes.length));
    expect(error.code).toBe('header-garbage');
    expect(error.message).toContain('twice');
  });

  it('with every faulty tensor named', async () => {
    const error = await broken((h) => {
      set(h, 'a', { dtype: 'F16' });
      set(h, 'b', { data_offsets: [1e6, 1e6 + 10] });
    });
    expect(error.code).toBe('open-failed');
    expect(error.causes.map((cause) => cause.code).sort()).toEqual(['dtype-size', 'offsets-range']);
  });
});

describe('whatever the bytes, nothing but a LabError is thrown:', () => {
  const tame = (call: () => unknown): void => {
    try {
      call();
    } catch (thrown) {
      expect(thrown).toBeInstanceOf(LabError);
    }
  };
  it('arbitrary bytes', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(400), (bytes, size) => tame(() => parseHeader(bytes, size))));
  });
  it('arbitrary JSON in a well-formed frame', () => {
    fc.assert(
      fc.property(fc.json(), fc.nat(50), (json, n) => {
        const bytes = rawFile(json, new Uint8Array(n));
        tame(() => parseHeader(bytes, bytes.length));
      }),
    );
  });
  it('arbitrary tensors', () => {
    const number = fc.oneof(fc.integer({ min: -2, max: 60 }), fc.double(), fc.maxSafeInteger());
    const entry = fc.record({
      dtype: fc.constantFrom('F32', 'F16', 'BOOL', 'X'),
      shape: fc.array(number, { maxLength: 3 }),
      data_offsets: fc.array(number, { maxLength: 3 }),
    });
    fc.assert(
      fc.property(fc.dictionary(fc.string(), entry), fc.nat(64), (header, n) => {
        const bytes = rawFile(JSON.stringify(header), new Uint8Array(n));
        tame(() => parseHeader(bytes, bytes.length));
      }),
    );
  });
  it('a valid file with one byte changed', () => {
    const whole = safetensors(tensors);
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.nat(255), (at, byte) => {
        const bytes = whole.slice();
        bytes[at] = byte;
        tame(() => parseHeader(bytes, bytes.length));
      }),
    );
  });
});
