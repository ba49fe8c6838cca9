/**
 * Lines of text out of a dropped file, packed by gzip or not, one at a time: an export is hundreds of megabytes unpacked, and a hostile file more. What is
 * held is one piece and one line; what comes out is bounded before it is believed.
 */
import { asLabError, LabError } from '../../errors';
import { readPiece } from '../read';
import { garbage, tooLarge } from './read-label';

/** Real batches unpack to some 10 MB, embeddings included. */
const UNPACKED = 512e6;
/** A line has one latent; with an embedding and its examples some 100 kB. */
const LINE = 16e6;
const LINES = 5e6;
const STEP = 1 << 20;

/** Lines that are not blank, and their numbers, from 1. */
export async function* linesOf(file: File, path: string): AsyncGenerator<{ text: string; line: number }> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  /** The line that has not ended yet, as it came. */
  let parts: string[] = [];
  let length = 0;
  let line = 1;
  const decoded = (bytes?: Uint8Array): string => {
    try {
      return bytes ? decoder.decode(bytes, { stream: true }) : decoder.decode();
    } catch {
      throw garbage(`${path}, line ${line},`, 'is no UTF-8 text');
    }
  };
  for await (const bytes of (await isPacked(file, path)) ? unpacked(file, path) : pieces(file, path)) {
    const [first = '', ...others] = decoded(bytes).split('\n');
    parts.push(first);
    length += first.length;
    for (const next of others) {
      const text = parts.join('');
      if (text.trim() !== '') yield { text, line };
      if (++line > LINES) throw tooLarge(path, `has more than ${LINES / 1e6} million lines`);
      parts = [next];
      length = next.length;
    }
    if (length > LINE) throw tooLarge(`${path}, line ${line},`, `is longer than ${LINE / 1e6} million characters`);
  }
  const text = parts.join('') + decoded();
  if (text.trim() !== '') yield { text, line };
}

/** The whole text of a file. */
export async function wholeText(file: File, path: string): Promise<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let text = '';
  try {
    for await (const bytes of (await isPacked(file, path)) ? unpacked(file, path, LINE * 12) : pieces(file, path, LINE * 12))
      text += decoder.decode(bytes, { stream: true });
    return text + decoder.decode();
  } catch (thrown) {
    if (thrown instanceof TypeError) throw garbage(path, 'is no UTF-8 text');
    throw thrown;
  }
}

const isPacked = async (file: File, path: string): Promise<boolean> => {
  const [first, second] = await readPiece(file, 0, Math.min(2, file.size), path);
  return first === 0x1f && second === 0x8b;
};

async function* pieces(file: File, path: string, most = UNPACKED): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  if (file.size > most) throw tooLarge(path, `has ${Math.round(file.size / 1e6)} MB, more than ${most / 1e6}`);
  for (let at = 0; at < file.size; at += STEP) yield await readPiece(file, at, Math.min(file.size, at + STEP), path);
}

async function* unpacked(file: File, path: string, most = UNPACKED): AsyncGenerator<Uint8Array> {
  const source = pieces(file, path);
  let failed: Error | undefined;
  const raw = new ReadableStream<BufferSource>({
    async pull(controller) {
      try {
        const { done, value } = await source.next();
        if (done) controller.close();
        else controller.enqueue(value);
      } catch (thrown) {
        failed = asLabError(thrown);
        controller.error(thrown);
      }
    },
  });
  const reader = raw.pipeThrough(new DecompressionStream('gzip')).getReader();
  let bytes = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      bytes += value.length;
      if (bytes > most) throw tooLarge(path, `unpacks to more than ${most / 1e6} MB`);
      yield value;
    }
  } catch (thrown) {
    if (failed) throw failed;
    throw thrown instanceof LabError ? thrown : garbage(path, 'cannot be unpacked: its bytes are damaged or cut short');
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
