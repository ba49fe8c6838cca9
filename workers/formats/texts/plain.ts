/** .txt: one document, or several with <|endoftext|> between them. Read by bytes, so that any place in a file of any size can be gone back to. */
import { LabError } from '../../errors';
import { readPiece } from '../read';
import type { TextSource } from './passage';

const MARK = new TextEncoder().encode('<|endoftext|>');
/** Most bytes of a passage. */
const BYTES = 65536;
const [NEWLINE, SPACE] = [0x0a, 0x20];

/** Refuses what is no UTF-8 text, as far as its beginning tells. */
export async function openPlain(file: Blob, name: string): Promise<TextSource> {
  const head = await readPiece(file, 0, Math.min(file.size, BYTES), name);
  const [first = 0, second = 0] = head;
  if ((first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff))
    throw new LabError('text-encoding', `${name} is written in UTF-16.`, 'Save it as UTF-8, then drop it again.');
  if (head.includes(0)) throw new LabError('text-garbage', `${name} is no text: it holds zero bytes.`, 'Drop a text saved as UTF-8.');
  const bom = first === 0xef && second === 0xbb && head[2] === 0xbf ? 3 : 0;
  if (file.size === bom) throw new LabError('text-empty', `${name} is empty.`, 'Drop a file that holds some text.');
  return {
    end: file.size,
    async *passages({ at, skipped }) {
      at = Math.max(at, bom);
      while (at < file.size) {
        const bytes = await readPiece(file, at, Math.min(file.size, at + BYTES), name);
        const { length, skip } = cut(bytes, at + bytes.length === file.size);
        at += length + skip;
        const text = decoder.decode(bytes.subarray(0, length));
        if (text !== '') yield { text, next: { at, within: 0, skipped } };
      }
    },
  };
}

const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** How many bytes make the next passage, and how many after it are none of the text. */
function cut(bytes: Uint8Array, last: boolean): { length: number; skip: number } {
  const mark = markIn(bytes);
  if (mark >= 0) return { length: mark, skip: MARK.length };
  if (last) return { length: bytes.length, skip: 0 };
  const half = bytes.length / 2;
  const line = bytes.lastIndexOf(NEWLINE) + 1;
  if (line > half) return { length: line, skip: 0 };
  const space = bytes.lastIndexOf(SPACE);
  if (space > half) return { length: space, skip: 0 };
  // Before a character's first byte; and before what may be a mark's beginning.
  let end = bytes.length - 1;
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  const begun = bytes.lastIndexOf(MARK[0] ?? 0, end - 1);
  return { length: begun > bytes.length - MARK.length ? begun : end, skip: 0 };
}

function markIn(bytes: Uint8Array): number {
  for (let at = bytes.indexOf(MARK[0] ?? 0); at >= 0; at = bytes.indexOf(MARK[0] ?? 0, at + 1))
    if (MARK.every((byte, i) => bytes[at + i] === byte)) return at;
  return -1;
}
