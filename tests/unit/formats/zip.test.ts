import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LabError } from '../../../workers/errors';
import { readZip } from '../../../workers/formats/zip';
import { openEntry } from '../../../workers/formats/zip-entry';
import { refusal } from '../refusal';
import { fixtureBytes, zipped } from '../torch-files';

const noise = Uint8Array.from({ length: 300_000 }, (_, i) => (i * i * 31 + (i >> 3)) & 255);
const zeros = new Uint8Array(100_000);
/** Element by element would take seconds. */
const sum = (bytes: Uint8Array = zeros): string => createHash('sha256').update(bytes).digest('hex');
const whole = (level: 0 | 6): Uint8Array<ArrayBuffer> =>
  zipped({ 'a/noise': noise, 'a/zeros': zeros, 'a/empty': new Uint8Array(0) }, level);
const read = async (bytes: Uint8Array<ArrayBuffer>): Promise<Record<string, Uint8Array>> => {
  const zip = await readZip(new File([bytes], 'z.zip'));
  const entries = [...zip.entries.values()].map(async (entry) => [entry.name, await (await openEntry(zip, entry)).read(0, entry.bytes)]);
  return Object.fromEntries(await Promise.all(entries)) as Record<string, Uint8Array>;
};
/** Little-endian numbers at offsets from the nth place where a signature (PK..) begins. */
function patched(bytes: Uint8Array<ArrayBuffer>, signature: number, nth: number, edit: (view: DataView) => void): Uint8Array<ArrayBuffer> {
  const copy = bytes.slice();
  const view = new DataView(copy.buffer);
  let seen = -1;
  for (let at = 0; at + 4 <= copy.length; at++) {
    if (view.getUint32(at, true) !== signature || ++seen !== nth) continue;
    edit(new DataView(copy.buffer, at));
    return copy;
  }
  throw new Error('the archive has no such record');
}
const [CENTRAL, LOCAL, END, END64] = [0x02014b50, 0x04034b50, 0x06054b50, 0x06064b50];

describe('a zip archive', () => {
  it.each([0, 6] as const)('is read whole, at level %i', async (level) => {
    const entries = await read(whole(level));
    expect(Object.keys(entries).sort()).toEqual(['a/empty', 'a/noise', 'a/zeros']);
    expect([entries['a/noise'], entries['a/zeros'], entries['a/empty']].map(sum)).toEqual([noise, zeros, new Uint8Array(0)].map(sum));
  });
  it('gives any stretch of an entry, and its place where it is stored', async () => {
    for (const level of [0, 6] as const) {
      const bytes = whole(level);
      const zip = await readZip(new File([bytes], 'z.zip'));
      const entry = zip.entries.get('a/noise');
      if (!entry) throw new Error('no entry');
      const open = await openEntry(zip, entry);
      for (const [from, to] of [
        [0, 0],
        [5, 9],
        [70_000, 200_001],
        [299_999, 300_000],
      ] as const)
        // prettier-ignore
        expect(sum(await open.read(from, to))).toEqual(sum(noise.slice(from, to)));
      if (level === 0) expect(bytes.slice(open.offset, (open.offset ?? 0) + 10)).toEqual(noise.slice(0, 10));
      else expect(open.offset).toBeUndefined();
      expect((await refusal(() => open.read(0, 300_001))).code).toBe('zip-garbage');
    }
  });
  it('of PyTorch’s, zip64 with sizes behind the data, is read', async () => {
    expect(Object.keys(await read(fixtureBytes('bare.pt')))).toContain('bare/data.pkl');
  });
  it('may have a comment, folders, and sizes in zip64 fields', async () => {
    const bytes = zipped({ f: { x: noise } }, 0);
    const commented = new Uint8Array(bytes.length + 3).fill(33);
    commented.set(bytes);
    expect(Object.keys(await read(patched(commented, END, 0, (view) => view.setUint16(20, 3, true))))).toEqual(['f/x']);
    const extra = new Uint8Array(24);
    new DataView(extra.buffer).setBigUint64(0, 300_000n, true);
    new DataView(extra.buffer).setBigUint64(8, 300_000n, true);
    const wide = zipped({ x: [noise, { level: 0, extra: { 1: extra.slice(0, 16) } }] }, 0);
    const moved = patched(wide, CENTRAL, 0, (view) => {
      view.setUint32(20, 0xffffffff, true);
      view.setUint32(24, 0xffffffff, true);
    });
    expect(sum((await read(moved))['x'])).toEqual(sum(noise));
  });

  const bytes = whole(6);
  const cases: [string, string, () => Uint8Array<ArrayBuffer>][] = [
    ['of no bytes', 'zip-garbage', () => new Uint8Array(0)],
    ['of a text', 'zip-garbage', () => new TextEncoder().encode('PyTorch, believe me') as Uint8Array<ArrayBuffer>],
    ['cut short', 'file-truncated', () => bytes.slice(0, -30)],
    ['without its beginning', 'zip-garbage', () => bytes.slice(100)],
    ['that has fewer entries than it says', 'zip-garbage', () => patched(bytes, END, 0, (view) => view.setUint16(10, 9, true))],
    ['whose directory lies beyond it', 'zip-garbage', () => patched(bytes, END, 0, (view) => view.setUint32(16, 1e9, true))],
    ['in parts', 'zip-unsupported', () => patched(bytes, END, 0, (view) => view.setUint16(4, 3, true))],
    ['whose zip64 end lies nowhere', 'zip-garbage', () => patched(fixtureBytes('bare.pt'), END64, 0, (view) => view.setUint32(0, 0, true))],
    ['encrypted', 'zip-unsupported', () => patched(bytes, CENTRAL, 0, (view) => view.setUint16(8, 1, true))],
    ['packed by another method', 'zip-unsupported', () => patched(bytes, CENTRAL, 0, (view) => view.setUint16(10, 14, true))],
    ['of two sizes', 'zip-garbage', () => patched(whole(0), CENTRAL, 0, (view) => view.setUint32(24, 7, true))],
    [
      'that promises what deflate cannot',
      'unpacked-too-large',
      () => patched(bytes, CENTRAL, 1, (view) => view.setUint32(24, 2 ** 31, true)),
    ],
    [
      'that holds more than it promises',
      'unpacked-too-large',
      () => patched(bytes, CENTRAL, 1, (view) => view.setUint32(24, 50_000, true)),
    ],
    ['that holds less than it promises', 'zip-garbage', () => patched(bytes, CENTRAL, 1, (view) => view.setUint32(24, 100_001, true))],
    ['whose entries share bytes', 'zip-garbage', () => patched(bytes, CENTRAL, 1, (view) => view.setUint32(42, 0, true))],
    ['whose entry runs into its directory', 'zip-garbage', () => patched(bytes, CENTRAL, 2, (view) => view.setUint32(20, 60, true))],
    ['whose entry is not where it says', 'zip-garbage', () => patched(bytes, LOCAL, 0, (view) => view.setUint32(0, 0, true))],
    ['whose name runs into its data', 'zip-garbage', () => patched(bytes, LOCAL, 2, (view) => view.setUint16(28, 999, true))],
    ['whose data is damaged', 'zip-garbage', () => patched(bytes, LOCAL, 0, (view) => view.setUint32(40, 0xffffffff, true))],
    ['with a name twice', 'zip-garbage', () => patched(zipped({ ab: noise, ac: noise }), CENTRAL, 1, (view) => view.setUint8(47, 98))],
    ['with a name of a place outside', 'zip-garbage', () => zipped({ '../../etc/passwd': noise })],
    ['with a name from the root', 'zip-garbage', () => zipped({ '/etc/passwd': noise })],
  ];
  it.each(cases)('%s is refused: %s', async (_, code, make) => {
    const error = await refusal(() => read(make()));
    expect(error.code).toBe(code);
    expect(error.hint.length).toBeGreaterThan(10);
  });

  it('with any bytes changed is read or refused, and nothing else', async () => {
    const small = zipped({ 'a/b': noise.slice(0, 90), c: zeros.slice(0, 500) }, 6);
    const change = fc.tuple(fc.nat(small.length - 1), fc.nat(255));
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), fc.nat(20), async (changes, cut) => {
        const copy = small.slice(0, small.length - (cut > 10 ? cut : 0));
        for (const [at, byte] of changes) if (at < copy.length) copy[at] = byte;
        await read(copy).catch((thrown: unknown) => {
          expect(thrown).toBeInstanceOf(LabError);
        });
      }),
      { numRuns: 300 },
    );
  });
});
