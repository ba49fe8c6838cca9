/** What the bytes of dropped files say without being numbers: are two stretches the same, is one all zeros? Read in pieces; the first difference ends it. */
import { throwIfAborted } from '../errors';
import { PIECE, readPiece } from './read';

interface Stretch {
  file: File;
  offset: number;
}

export async function sameBytes(a: Stretch, b: Stretch, bytes: number, signal?: AbortSignal): Promise<boolean> {
  if (a.file === b.file && a.offset === b.offset) return true;
  for (let at = 0; at < bytes; at += PIECE) {
    throwIfAborted(signal);
    const end = Math.min(at + PIECE, bytes);
    const [one, other] = await Promise.all([a, b].map(({ file, offset }) => readPiece(file, offset + at, offset + end, file.name)));
    if (!one || !other || one.some((byte, i) => byte !== other[i])) return false;
  }
  return true;
}

/** A number is zero where its bytes are: in every type that is stored. */
export async function allZeros({ file, offset }: Stretch, bytes: number, signal?: AbortSignal): Promise<boolean> {
  for (let at = 0; at < bytes; at += PIECE) {
    throwIfAborted(signal);
    const piece = await readPiece(file, offset + at, offset + Math.min(at + PIECE, bytes), file.name);
    if (piece.some((byte) => byte !== 0)) return false;
  }
  return true;
}
