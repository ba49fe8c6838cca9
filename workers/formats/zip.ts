/**
 * ZIP archives, as NumPy and PyTorch write them: a dropped file's central directory, checked whole before any entry is opened. Entries are read
 * where they lie (zip-entry.ts); nothing is ever written out, so a name is a key and no path. Checksums are not compared: PyTorch can be told to
 * write none, and safetensors have none either.
 *
 * Layout: APPNOTE.TXT 6.3.10, 4.3 (headers) and 4.5.3 (zip64). Sizes are the directory's: PyTorch's local headers leave them 0.
 */
import { LabError } from '../errors';
import { readPiece } from './read';

export interface ZipEntry {
  name: string;
  deflated: boolean;
  /** In the archive, and unpacked. */
  packed: number;
  bytes: number;
  /** Of its local header, and where the next entry or the directory begins. */
  at: number;
  until: number;
}
export interface Zip {
  file: File;
  /** For messages. */
  name: string;
  entries: ReadonlyMap<string, ZipEntry>;
}

const [END, END64, LOCATOR64, CENTRAL] = [0x06054b50, 0x06064b50, 0x07064b50, 0x02014b50];
const [END_BYTES, END64_BYTES, LOCATOR64_BYTES, CENTRAL_BYTES] = [22, 56, 20, 46];
/** Before a local header's name and extra field. */
export const LOCAL_BYTES = 30;
const COMMENT_MOST = 0xffff;
const IN_ZIP64 = 0xffffffff;
/** Ten thousand tensors make a directory of a megabyte. */
const DIRECTORY_MOST = 64e6;
/** Deflate spends at least two bits on 258 bytes: who promises more lies. */
const RATIO_MOST = 1032;
export const AGAIN = 'Copy or download the file again; if it stays so, the program that wrote it is at fault.';

export const zipGarbage = (name: string, what: string): LabError => new LabError('zip-garbage', `${name} ${what}.`, AGAIN);

/** A number of 64 bits. Beyond 2^53 it is not exact, but then it is beyond every file as well. */
export const u64 = (view: DataView, at: number): number => Number(view.getBigUint64(at, true));

/** Does a file begin as an archive does? */
export async function looksZipped(file: File, name = file.name): Promise<boolean> {
  const [p, k] = await readPiece(file, 0, Math.min(2, file.size), name);
  return p === 0x50 && k === 0x4b;
}

/** Reads and checks the directory. @throws LabError zip-garbage, zip-unsupported, unpacked-too-large, file-truncated */
export async function readZip(file: File, name = file.name): Promise<Zip> {
  const { at, bytes, count } = await findDirectory(file, name);
  const directory = await readPiece(file, at, at + bytes, name);
  const entries = parseDirectory(directory, count, at, name);
  return { file, name, entries: new Map(entries.filter((entry) => !entry.name.endsWith('/')).map((entry) => [entry.name, entry])) };
}

async function findDirectory(file: File, name: string): Promise<{ at: number; bytes: number; count: number }> {
  const from = Math.max(0, file.size - END_BYTES - COMMENT_MOST - LOCATOR64_BYTES);
  const tail = await readPiece(file, from, file.size, name);
  const view = new DataView(tail.buffer);
  let end = tail.length - END_BYTES;
  const fits = (at: number): boolean => view.getUint32(at, true) === END && at + END_BYTES + view.getUint16(at + 20, true) === tail.length;
  while (end >= 0 && !fits(end)) end--;
  if (end < 0) {
    if (await looksZipped(file, name)) throw new LabError('file-truncated', `${name} is a zip archive without its end.`, AGAIN);
    throw zipGarbage(name, 'is no zip archive');
  }
  const locator = end - LOCATOR64_BYTES;
  let limit = from + end;
  let [count, bytes, at] = [view.getUint16(end + 10, true), view.getUint32(end + 12, true), view.getUint32(end + 16, true)];
  let disks = view.getUint16(end + 4, true) % 0xffff;
  if (locator >= 0 && view.getUint32(locator, true) === LOCATOR64) {
    const end64 = u64(view, locator + 8);
    limit = end64;
    if (end64 + END64_BYTES > from + locator) throw zipGarbage(name, 'says that its end lies outside it');
    const record = new DataView((await readPiece(file, end64, end64 + END64_BYTES, name)).buffer);
    if (record.getUint32(0, true) !== END64) throw zipGarbage(name, 'has no end where it says');
    [count, bytes, at] = [u64(record, 32), u64(record, 40), u64(record, 48)];
    disks = record.getUint32(16, true);
  }
  if (disks !== 0) throw new LabError('zip-unsupported', `${name} is one part of an archive in several.`, 'Make one archive of it.');
  if (at + bytes > limit) throw zipGarbage(name, 'has a directory that lies outside it');
  if (bytes > DIRECTORY_MOST || count * CENTRAL_BYTES > bytes) throw zipGarbage(name, `announces ${count} entries in ${bytes} bytes`);
  return { at, bytes, count };
}

function parseDirectory(bytes: Uint8Array<ArrayBuffer>, count: number, directory: number, name: string): ZipEntry[] {
  const view = new DataView(bytes.buffer);
  const entries: ZipEntry[] = [];
  const names = new Set<string>();
  let at = 0;
  for (let i = 0; i < count; i++) {
    if (at + CENTRAL_BYTES > bytes.length || view.getUint32(at, true) !== CENTRAL) throw zipGarbage(name, 'has a damaged directory');
    const [named, extra, comment] = [28, 30, 32].map((field) => view.getUint16(at + field, true)) as [number, number, number];
    const next = at + CENTRAL_BYTES + named + extra + comment;
    if (next > bytes.length) throw zipGarbage(name, 'has a damaged directory');
    const entry = parseEntry(view, at, bytes.subarray(at + CENTRAL_BYTES, at + CENTRAL_BYTES + named), named, extra, name);
    if (names.has(entry.name)) throw zipGarbage(name, `has two entries called “${entry.name}”`);
    names.add(entry.name);
    entries.push(entry);
    at = next;
  }
  return apart(entries, directory, name);
}

function parseEntry(view: DataView, at: number, nameBytes: Uint8Array, named: number, extra: number, file: string): ZipEntry {
  const [flags, method] = [view.getUint16(at + 8, true), view.getUint16(at + 10, true)];
  const name = entryName(nameBytes, file);
  if (flags & 1) throw new LabError('zip-unsupported', `${file}: “${name}” is encrypted.`, 'Save it without a password.');
  if (method !== 0 && method !== 8)
    throw new LabError(
      'zip-unsupported',
      `${file}: “${name}” is packed by method ${method}; Loupe reads stored and deflated entries.`,
      'Pack the archive again with ordinary settings.',
    );
  // In this order, as far as the directory itself has no room for them.
  const sizes = [view.getUint32(at + 24, true), view.getUint32(at + 20, true), view.getUint32(at + 42, true)];
  for (let field = at + CENTRAL_BYTES + named, end = field + extra; field + 4 <= end;) {
    const [id, length] = [view.getUint16(field, true), view.getUint16(field + 2, true)];
    if (id === 1 && field + 4 + length <= end) {
      let value = field + 4;
      for (const [i, size] of sizes.entries()) {
        if (size !== IN_ZIP64 || value + 8 > field + 4 + length) continue;
        sizes[i] = u64(view, value);
        value += 8;
      }
    }
    field += 4 + length;
  }
  const [bytes = 0, packed = 0, offset = 0] = sizes;
  if (method === 0 && bytes !== packed) throw zipGarbage(file, `gives “${name}” two sizes, ${bytes} and ${packed} bytes`);
  if (bytes > packed * RATIO_MOST) throw tooLarge(`${file}: “${name}” would unpack ${packed} bytes to ${bytes}`);
  return { name, deflated: method === 8, packed, bytes, at: offset, until: offset };
}

function entryName(bytes: Uint8Array, file: string): string {
  let name = '';
  try {
    name = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    // Said below.
  }
  const parts = name.split('/');
  if (name === '' || name.includes('\0') || name.includes('\\') || name.startsWith('/') || parts.includes('..') || parts.includes('.'))
    throw zipGarbage(file, `has an entry that no program would name so (“${name.slice(0, 80)}”)`);
  return name;
}

/** Every entry up to the next one, in the order in which they lie: two that share bytes are how a small file claims to hold a large one. */
function apart(entries: readonly ZipEntry[], directory: number, file: string): ZipEntry[] {
  const sorted = [...entries].sort((a, b) => a.at - b.at);
  return sorted.map((entry, i) => {
    const until = sorted[i + 1]?.at ?? directory;
    if (entry.at + LOCAL_BYTES + entry.packed > until)
      throw zipGarbage(file, `has an entry, “${entry.name}”, that runs into ${sorted[i + 1] ? 'the next' : 'its directory'}`);
    return { ...entry, until };
  });
}

export const tooLarge = (what: string): LabError =>
  new LabError(
    'unpacked-too-large',
    `${what}, which cannot be right.`,
    'A file like this is damaged, or made to fill the memory. Get it from where it was published.',
  );
