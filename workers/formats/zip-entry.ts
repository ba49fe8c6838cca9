/** One entry of a ZIP archive, any stretch of it: in place where it is stored, inflated no further than asked for where it is not. */
import { LabError } from '../errors';
import { PIECE, readPiece } from './read';
import { LOCAL_BYTES, tooLarge, zipGarbage, type Zip, type ZipEntry } from './zip';

export interface OpenEntry {
  bytes: number;
  /** Where its bytes lie in the file, if they lie there as they are. */
  offset?: number;
  read(from: number, to: number): Promise<Uint8Array<ArrayBuffer>>;
}

const LOCAL = 0x04034b50;
/** What one array may hold in today's browsers. */
const ARRAY_MOST = 2 ** 32;
/** Inflated at a time: at the most that deflate can do, 64 MB come of it. */
const STEP = 64 * 1024;

export async function openEntry(zip: Zip, entry: ZipEntry): Promise<OpenEntry> {
  const name = `${zip.name}: “${entry.name}”`;
  const local = new DataView((await readPiece(zip.file, entry.at, entry.at + LOCAL_BYTES, zip.name)).buffer);
  const start = entry.at + LOCAL_BYTES + local.getUint16(26, true) + local.getUint16(28, true);
  if (local.getUint32(0, true) !== LOCAL || (local.getUint16(8, true) === 8) !== entry.deflated || start + entry.packed > entry.until)
    throw zipGarbage(zip.name, `holds no “${entry.name}” where its directory says`);
  const inside = (from: number, to: number): void => {
    if (!(0 <= from && from <= to && to <= entry.bytes)) throw zipGarbage(name, `has ${entry.bytes} bytes; ${from} to ${to} were wanted`);
  };
  const { bytes } = entry;
  if (entry.deflated) return { bytes, read: async (from, to) => (inside(from, to), inflate(zip, entry, start, from, to)) };
  return { bytes, offset: start, read: async (from, to) => (inside(from, to), readPiece(zip.file, start + from, start + to, name)) };
}

export function allocate(bytes: number, what: string): Uint8Array<ArrayBuffer> {
  try {
    if (bytes <= ARRAY_MOST) return new Uint8Array(bytes);
  } catch {
    // The browser has no such stretch of memory.
  }
  throw new LabError(
    'unpacked-too-large',
    `${what}: ${Math.ceil(bytes / 1e6)} MB are too much to unpack at once.`,
    'Close other tabs, or use a smaller file, or one that is not compressed.',
  );
}

async function inflate(zip: Zip, entry: ZipEntry, start: number, from: number, to: number): Promise<Uint8Array<ArrayBuffer>> {
  const name = `${zip.name}: “${entry.name}”`;
  const out = allocate(to - from, name);
  const { Inflate } = await import('fflate');
  let at = 0;
  const stream = new Inflate((chunk) => {
    if (at < to && at + chunk.length > from) {
      const skip = Math.max(0, from - at);
      out.set(chunk.subarray(skip, to - at), at + skip - from);
    }
    at += chunk.length;
  });
  // The first pieces are small: a header is often all that is wanted.
  for (let piece = 0, end = 0; piece < entry.packed && at < to; piece = end) {
    end = Math.min(piece + Math.min(STEP + piece, PIECE), entry.packed);
    const packed = await readPiece(zip.file, start + piece, start + end, zip.name);
    for (let step = 0; step < packed.length && at < to; step += STEP) {
      try {
        stream.push(packed.subarray(step, step + STEP), piece + step + STEP >= entry.packed);
      } catch {
        throw zipGarbage(name, 'cannot be unpacked: its bytes are damaged');
      }
      if (at > entry.bytes) throw tooLarge(`${name} unpacks to more than the ${entry.bytes} bytes it announces`);
    }
  }
  if (at < to) throw zipGarbage(name, `unpacks to ${at} bytes, not the ${entry.bytes} it announces`);
  return out;
}
