/** .jsonl: a document a line, read by bytes. A line that is no JSON, or holds no text, is skipped and counted; among the first hundred it is refused. */
import { LabError } from '../../errors';
import { readPiece } from '../read';
import { passagesOf, textOf, type TextSource } from './passage';

const BYTES = 1 << 18;
const NEWLINE = 0x0a;
/** Bytes of a line, at most: it is parsed as one. */
const LONGEST = 64 << 20;
/** Lines that are looked at when the file is dropped. */
const LOOKED_AT = 100;

interface Line {
  text: string;
  at: number;
  next: number;
}

export async function openJsonLines(file: Blob, name: string): Promise<TextSource> {
  let number = 0;
  let some = false;
  for await (const { text } of linesOf(file, name, 0)) {
    if (++number > LOOKED_AT) break;
    if (text.trim() === '') continue;
    if (documentOf(text) === undefined)
      throw new LabError(
        'text-garbage',
        `${name}, line ${number}: ${textIn(text)}`,
        'Each line must be a JSON object with a field “text” (or another that is a text), or a JSON string.',
      );
    some = true;
  }
  if (!some) throw new LabError('text-empty', `${name} holds no document.`, 'Drop a file with a JSON object a line.');
  return {
    end: file.size,
    async *passages(from) {
      let { skipped } = from;
      for await (const { text, at, next } of linesOf(file, name, from.at)) {
        const document = text.trim() === '' ? '' : documentOf(text);
        if (document === undefined) skipped++;
        for (const passage of passagesOf(document ?? '', { at, within: at === from.at ? from.within : 0, skipped }))
          yield passage.next.at === at ? passage : { ...passage, next: { at: next, within: 0, skipped } };
      }
    },
  };
}

function documentOf(line: string): string | undefined {
  try {
    return textOf(JSON.parse(line));
  } catch {
    return undefined;
  }
}

function textIn(line: string): string {
  try {
    JSON.parse(line);
    return 'there is no text in it.';
  } catch (thrown) {
    return `it is not readable JSON (${thrown instanceof Error ? thrown.message : String(thrown)}).`;
  }
}

async function* linesOf(file: Blob, name: string, from: number): AsyncGenerator<Line> {
  const decoder = new TextDecoder();
  let held: Uint8Array[] = [];
  let size = 0;
  let start = from;
  const line = (next: number): Line => {
    const bytes = new Uint8Array(size);
    let to = 0;
    for (const each of held) {
      bytes.set(each, to);
      to += each.length;
    }
    const made = { text: decoder.decode(bytes), at: start, next };
    held = [];
    size = 0;
    start = next;
    return made;
  };
  for (let at = from; at < file.size; at += BYTES) {
    const bytes = await readPiece(file, at, Math.min(file.size, at + BYTES), name);
    for (let used = 0; used < bytes.length;) {
      const found = bytes.indexOf(NEWLINE, used);
      const end = found < 0 ? bytes.length : found;
      held.push(bytes.subarray(used, end));
      size += end - used;
      if (size > LONGEST)
        throw new LabError('text-garbage', `${name}: the line at byte ${start} is longer than 64 MB.`, 'Split it into several documents.');
      used = end + 1;
      if (found >= 0) yield line(at + used);
    }
  }
  if (size > 0) yield line(file.size);
}
