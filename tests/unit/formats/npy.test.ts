import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LabError } from '../../../workers/errors';
import { parseDict, readNpy, readNpz } from '../../../workers/formats/npy';
import { refusal } from '../refusal';
import { described, EXPECTED, fixture, fixtureBytes, zipped } from '../torch-files';

const npy = (header: string, data = 24, version = 1): File => {
  const text = new TextEncoder().encode(header);
  const start = version === 1 ? 10 : 12;
  const bytes = new Uint8Array(start + text.length + data);
  bytes.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, version, 0]);
  new DataView(bytes.buffer).setUint16(8, text.length, true);
  bytes.set(text, start);
  return new File([bytes], 'a.npy');
};

describe('NumPy’s arrays', () => {
  it.each(['arrays.npz', 'deflated.npz'])('of %s are read, whatever their type and order', async (name) => {
    const { tensors, plain } = await readNpz(fixture(name));
    expect(await described(tensors)).toEqual(EXPECTED[name]);
    expect(plain).toEqual({});
  });
  it.each([1, 2, 3])('of header version %i are read', async (version) => {
    const name = `version${version}.npy`;
    expect(await described((await readNpy(fixture(name))).tensors)).toEqual(EXPECTED[name]);
  });
  it('are listed without their numbers being read', async () => {
    const file = fixture('arrays.npz');
    const slice = file.slice.bind(file);
    let read = 0;
    file.slice = (from = 0, to = 0) => ((read += to - from), slice(from, to));
    const { tensors } = await readNpz(file);
    const before = read;
    await tensors.find(({ name }) => name === 'W_enc')?.read();
    expect(read - before).toBe(48);
  });

  const cases: [string, string, () => File][] = [
    ['objects, which are pickles', 'dtype-unsupported', () => fixture('unread-objects.npy')],
    ['big-endian numbers', 'dtype-unsupported', () => fixture('unread-big-endian.npy')],
    ['records', 'dtype-unsupported', () => fixture('unread-record.npy')],
    ['texts', 'dtype-unsupported', () => fixture('unread-text.npy')],
    ['nothing', 'npy-garbage', () => new File([], 'a.npy')],
    ['something else', 'npy-garbage', () => fixture('bare.pt')],
    ['no version', 'npy-garbage', () => npy('', 24, 9)],
    ['a header that calls', 'npy-garbage', () => npy("{'descr': eval('1'), 'fortran_order': False, 'shape': (6,)}")],
    ['a header that is too long', 'npy-garbage', () => new File([fixtureBytes('version2.npy').fill(255, 8, 12)], 'a.npy')],
    ['a negative axis', 'npy-garbage', () => npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-6,)}")],
    ['an axis beyond all numbers', 'npy-garbage', () => npy(`{'descr': '<f4', 'fortran_order': False, 'shape': (1${'0'.repeat(40)},)}`)],
    ['a shape beyond the file', 'file-truncated', () => npy("{'descr': '<f4', 'fortran_order': False, 'shape': (7,)}")],
    [
      'axes beyond the memory',
      'file-truncated',
      () => npy(`{'descr': '<f4', 'fortran_order': True, 'shape': (${'9'.repeat(15)}, 9999999)}`),
    ],
    ['bytes too many', 'npy-garbage', () => npy("{'descr': '<f4', 'fortran_order': False, 'shape': (5,)}")],
    ['a hundred axes', 'npy-garbage', () => npy(`{'descr': '<f4', 'fortran_order': False, 'shape': (${'1, '.repeat(100)})}`, 4)],
  ];
  it.each(cases)('%s are refused: %s', async (_, code, make) => {
    expect((await refusal(() => readNpy(make()))).code).toBe(code);
  });
  it('are refused where an archive has none, or is none', async () => {
    expect((await refusal(() => readNpz(new File([zipped({ 'a.txt': new Uint8Array(3) })], 'a.npz')))).code).toBe('npy-garbage');
    expect((await refusal(() => readNpz(fixture('version1.npy')))).code).toBe('zip-garbage');
  });

  it('with any bytes changed are read or refused, and nothing else', async () => {
    const whole = fixtureBytes('deflated.npz');
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }), async (changes) => {
        const copy = whole.slice();
        for (const [at, byte] of changes) copy[at] = byte;
        try {
          await described((await readNpz(new File([copy], 'a.npz'))).tensors);
        } catch (thrown) {
          expect(thrown).toBeInstanceOf(LabError);
        }
      }),
      { numRuns: 150 },
    );
  });
});

describe('the header’s dict', () => {
  it.each<[string, unknown]>([
    ["{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }\n", { descr: '<f4', fortran: false, shape: [3, 4] }],
    ["{'shape': (), 'fortran_order': True, 'descr': '|b1'}", { descr: '|b1', fortran: true, shape: [] }],
    ["{'descr': '<f4', 'fortran_order': False, 'shape': (3L, 4L), }", { descr: '<f4', fortran: false, shape: [3, 4] }],
    ["{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}  \n", { descr: '<f4', fortran: false, shape: [3] }],
    ["{'descr': '<f4', 'fortran_order': False, 'shape': (3)}", undefined],
    ["{'descr': '<f4', 'fortran_order': False, 'shape': (,)}", undefined],
    ["{'descr': '<f4', 'fortran_order': 0, 'shape': (3,)}", undefined],
    ["{'descr': '<f4', 'fortran_order': False}", undefined],
    ["{'descr': '<f4', 'descr': '<f8', 'fortran_order': False, 'shape': (3,)}", undefined],
    ["{'descr': '<f4', 'fortran_order': False, 'shape': (3,), 'more': True}", undefined],
    ["{'descr': '<f4' 'fortran_order': False, 'shape': (3,)}", undefined],
    ["{'descr': '<f4', 'fortran_order': False, 'shape': (3,)} + {}", undefined],
    ['', undefined],
  ])('%s', (text, dict) => {
    expect(parseDict(text)).toEqual(dict);
  });
});
