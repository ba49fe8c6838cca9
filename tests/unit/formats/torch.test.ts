import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LabError } from '../../../workers/errors';
import { readTorch } from '../../../workers/formats/torch-zip';
import { refusal } from '../refusal';
import { checkpoint, described, EXPECTED, fixture, fixtureBytes, HOSTILE, zipped } from '../torch-files';

/** `{}` */
const EMPTY = Uint8Array.from([0x80, 2, 0x7d, 0x2e]);

describe('a PyTorch checkpoint', () => {
  it.each(['every.pt', 'protocol4.pt', 'module.pt', 'nested.pt', 'bare.pt', 'list.pt'])('%s gives PyTorch’s own numbers', async (name) => {
    expect(await described((await readTorch(fixture(name))).tensors)).toEqual(EXPECTED[name]);
  });
  it('packed again, deflated and under another name, gives the same', async () => {
    const { readZip } = await import('../../../workers/formats/zip');
    const { openEntry } = await import('../../../workers/formats/zip-entry');
    const zip = await readZip(fixture('every.pt'));
    const entries: Record<string, Uint8Array> = {};
    for (const entry of zip.entries.values())
      entries[entry.name.replace(/^every/, 'any name at all')] = await (await openEntry(zip, entry)).read(0, entry.bytes);
    const { tensors } = await readTorch(new File([zipped(entries, 6)], 'again.pt'));
    expect(await described(tensors)).toEqual(EXPECTED['every.pt']);
    expect(await tensors[0]?.place()).toBeUndefined();
  });
  it('says where a tensor lies, if it lies there plainly', async () => {
    const bytes = fixtureBytes('every.pt');
    const { tensors } = await readTorch(new File([bytes], 'every.pt'));
    for (const tensor of tensors) {
      const place = await tensor.place();
      if (place !== undefined) expect(bytes.slice(place, place + tensor.bytes)).toEqual(await tensor.read());
    }
    const placed = await Promise.all(tensors.map(async (tensor) => ((await tensor.place()) === undefined ? [] : [tensor.name])));
    expect(placed.flat()).toEqual(expect.arrayContaining(['f32', 'rows', 'shared', 'parameter']));
    expect(placed.flat()).not.toEqual(expect.arrayContaining(['transposed']));
  });
  it('gives what is plain beside the tensors, under dotted paths, and pollutes nothing', async () => {
    const { plain } = await readTorch(fixture('nested.pt'));
    expect({ ...plain }).toEqual({
      'cfg.k': 32,
      'cfg.lr': 1e-3,
      'cfg.hook': 'blocks.8.hook_resid_pre',
      'cfg.on': true,
      'cfg.none': null,
      'cfg.tags': ['a', ['b', 2]],
      'cfg.size': [3, 4],
      dtype: 'torch.bfloat16',
      device: 'cuda:1',
      negative: -(2 ** 40),
      'constructor.__proto__.polluted': 'yes',
      set: [1],
    });
    expect('polluted' in {}).toBe(false);
    expect((await readTorch(fixture('list.pt'))).plain).toEqual({ 2: 7 });
  });
  it('reads nothing but its pickle and small records before it is asked to', async () => {
    const file = fixture('every.pt');
    const slice = file.slice.bind(file);
    const read: [number, number][] = [];
    file.slice = (from = 0, to = 0) => (read.push([from, to]), slice(from, to));
    const { tensors } = await readTorch(file);
    const f32 = tensors.find((tensor) => tensor.name === 'f32');
    const place = (await f32?.place()) ?? 0;
    expect(place).toBeGreaterThan(0);
    // The archive's end is looked for in the last 64 kB, which is all of this one.
    expect(read.slice(2).filter(([from, to]) => from <= place && place < to)).toEqual([]);
  });
});

describe('what is no such checkpoint is refused:', () => {
  const cases: [string, string, () => File][] = [
    ['PyTorch’s form before 1.6', 'torch-unsupported', () => fixture('legacy.pt')],
    ['a TorchScript program', 'torch-unsupported', () => fixture('script.pt')],
    ['16-bit unsigned numbers', 'dtype-unsupported', () => fixture('unread-u16.pt')],
    ['8-bit floats', 'dtype-unsupported', () => fixture('unread-f8.pt')],
    ['a NumPy archive', 'torch-garbage', () => fixture('arrays.npz')],
    ['a text', 'torch-garbage', () => new File(['weights'], 'x.bin')],
    ['an empty file', 'torch-garbage', () => new File([], 'x.bin')],
    ['a cut one', 'file-truncated', () => new File([fixtureBytes('every.pt').slice(0, -100)], 'x.pt')],
    ['a big-endian one', 'torch-unsupported', () => checkpoint(EMPTY, { 'x/byteorder': new TextEncoder().encode('big') })],
    ['one of the future', 'torch-unsupported', () => checkpoint(EMPTY, { 'x/version': new TextEncoder().encode('11\n') })],
    ['two in one archive', 'torch-garbage', () => checkpoint(EMPTY, { 'y/data.pkl': EMPTY })],
  ];
  it.each(cases)('%s → %s', async (_, code, make) => {
    const error = await refusal(() => readTorch(make()));
    expect(error.code).toBe(code);
    expect(error.hint.length).toBeGreaterThan(10);
  });
  it('the old form says how it is saved anew', async () => {
    expect((await refusal(() => readTorch(fixture('legacy.pt')))).hint).toContain('torch.save');
  });
});

describe('a pickle that wants more than data is refused, and nothing of it is done:', () => {
  it.each(HOSTILE.map(({ name, code, pickle }) => [name, code, pickle] as const))('%s → %s', async (_, code, pickle) => {
    const before = performance.now();
    const error = await refusal(() => readTorch(checkpoint(pickle)));
    expect(error.code).toBe(code);
    expect(performance.now() - before).toBeLessThan(5000);
  });
  it('by name', async () => {
    const system = HOSTILE.find(({ name }) => name === 'os.system by REDUCE');
    const error = await refusal(() => readTorch(checkpoint(system?.pickle ?? EMPTY)));
    expect(error.message).toContain('posix.system');
  });
});

describe('whatever the bytes, nothing but a LabError is thrown:', () => {
  const tame = async (file: File): Promise<void> => {
    try {
      await described((await readTorch(file)).tensors);
    } catch (thrown) {
      if (!(thrown instanceof LabError)) throw thrown;
    }
  };
  const pickles = HOSTILE.map(({ pickle }) => pickle).filter((pickle) => pickle.length > 4 && pickle.length < 1000);
  it('arbitrary pickles', async () => {
    const op = fc.constantFrom(...'}](tesuaR.NK\x01)q\x00h\x00\x85\x86\x87\x88\x89Qcb01'.split('').map((c) => c.charCodeAt(0)));
    await fc.assert(
      fc.asyncProperty(fc.array(fc.oneof({ weight: 5, arbitrary: op }, { weight: 1, arbitrary: fc.nat(255) }), { maxLength: 80 }), (ops) =>
        tame(checkpoint(Uint8Array.from([...ops, 0x2e]))),
      ),
      { numRuns: 500 },
    );
  });
  it('hostile pickles with bytes changed', async () => {
    const change = fc.tuple(fc.nat(999), fc.nat(255));
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...pickles), fc.array(change, { minLength: 1, maxLength: 5 }), (pickle, changes) => {
        const copy = pickle.slice();
        for (const [at, byte] of changes) copy[at % copy.length] = byte;
        return tame(checkpoint(copy));
      }),
      { numRuns: 500 },
    );
  });
  it('a checkpoint with bytes changed', async () => {
    const whole = fixtureBytes('nested.pt');
    const change = fc.tuple(fc.nat(whole.length - 1), fc.nat(255));
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 5 }), (changes) => {
        const copy = whole.slice();
        for (const [at, byte] of changes) copy[at] = byte;
        return tame(new File([copy], 'x.pt'));
      }),
      { numRuns: 300 },
    );
  });
});
