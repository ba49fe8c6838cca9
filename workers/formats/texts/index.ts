/** How each form of text is read (docs/dictionaries.md). */
import type { TextFormat } from '../../contract';
import { LabError } from '../../errors';
import { readAll } from '../read';
import { openJsonLines } from './json-lines';
import { listSource, textOf, type TextSource } from './passage';
import { openPlain } from './plain';

/** Bytes of a .json: it is read as a whole. */
const LARGEST = 256e6;

/** Checks what a file's beginning tells (all of a .json), and makes it readable. */
export async function openText(file: Blob, format: TextFormat, name: string): Promise<TextSource> {
  if (format === 'txt') return openPlain(file, name);
  if (format === 'jsonl') return openJsonLines(file, name);
  if (format === 'parquet') return (await import('./parquet')).openParquet(file, name);
  if (file.size > LARGEST)
    throw new LabError('text-garbage', `${name} has ${Math.round(file.size / 1e6)} MB, too much for one JSON list.`, 'Save it as .jsonl.');
  let list: unknown;
  try {
    list = JSON.parse(new TextDecoder().decode(await readAll(file, name)));
  } catch (thrown) {
    if (thrown instanceof LabError) throw thrown;
    throw new LabError('text-garbage', `${name} is not readable JSON (${(thrown as Error).message}).`, 'Save it again.');
  }
  const documents: readonly unknown[] = Array.isArray(list) ? list : [];
  if (!documents.some((each) => textOf(each) !== undefined))
    throw new LabError('text-empty', `${name} holds no document.`, 'It must be a list of texts, or of objects with a field “text”.');
  return listSource(documents);
}
