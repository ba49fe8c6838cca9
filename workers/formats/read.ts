/** Reading a dropped file. A file can change, move or vanish after the drop; the browser then refuses to read it. */
import { LabError } from '../errors';

/** What is read at once of a large file. */
export const PIECE = 8 * 1024 * 1024;

/** Bytes [from, to) of a file. Fewer bytes than asked for are an error, never padding. */
export async function readPiece(file: Blob, from: number, to: number, name: string): Promise<Uint8Array<ArrayBuffer>> {
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = new Uint8Array(await file.slice(from, to).arrayBuffer());
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    throw new LabError(
      'file-unreadable',
      `${name} cannot be read (${why}).`,
      'It may have changed, moved or been deleted since it was dropped, or its disk was taken away. Drop it again.',
    );
  }
  if (bytes.length !== to - from)
    throw new LabError(
      'file-truncated',
      `${name} ended early: ${to - from} bytes were expected at ${from}, ${bytes.length} came.`,
      'Copy or download the file again.',
    );
  return bytes;
}

export const readAll = (file: Blob, name: string): Promise<Uint8Array<ArrayBuffer>> => readPiece(file, 0, file.size, name);
