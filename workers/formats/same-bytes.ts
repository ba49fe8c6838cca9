/** Are two stretches of dropped files the same, byte for byte? Read in pieces; the first difference ends it. */
import { throwIfAborted } from '../errors';
import { PIECE, readPiece } from './read';

interface Stretch {
  file: File;
  offset: number;
}

export async function sameBytes(a: Stretch, b: Stretch, bytes: number, signal?: AbortSignal): Promise<boolean> {
  for (let at = 0; at < bytes; at += PIECE) {
    throwIfAborted(signal);
    const end = Math.min(at + PIECE, bytes);
    const [one, other] = await Promise.all([a, b].map(({ file, offset }) => readPiece(file, offset + at, offset + end, file.name)));
    if (!one || !other || one.some((byte, i) => byte !== other[i])) return false;
  }
  return true;
}
