/** Texts out of a drop: which files are any, and how each form is read (docs/dictionaries.md). */
import type { OpenedFile, TextFormat } from '../../contract';
import { LabError } from '../../errors';
import { isBelow, sortIntoFolders, type Dropped } from '../drop';
import { readAll, readPiece } from '../read';
import { openJsonLines } from './json-lines';
import { listSource, textOf, type TextSource } from './passage';
import { openPlain } from './plain';

export interface DroppedText extends Dropped {
  format: TextFormat;
}

const FORMATS: Readonly<Record<string, TextFormat>> = { txt: 'txt', jsonl: 'jsonl', ndjson: 'jsonl', json: 'json', parquet: 'parquet' };
/** Beside models and in downloads, not to be read as a corpus. */
const NO_TEXT = /^(vocab|merges|added_tokens|special_tokens|tokenizer|config|readme|licen[cs]e|notice|copying|use_policy|requirements)/i;

const TENSORS = /^(config|cfg)\.json$|\.(safetensors|npz|pt|pth|bin)$/i;

/** Files that are texts by their names, outside the folders of models and dictionaries; a .json only where it is a list. */
export async function findTexts(files: readonly OpenedFile[]): Promise<{ texts: DroppedText[]; rest: OpenedFile[] }> {
  const { folders } = sortIntoFolders(files);
  // Loose files were picked one by one; what lies in a folder beside tensors belongs to them.
  const models = [...folders].filter(([folder, list]) => folder !== '' && list.some(({ name }) => TENSORS.test(name)));
  const texts: DroppedText[] = [];
  for (const [folder, list] of folders) {
    if (models.some(([other]) => other === folder || isBelow(folder, other))) continue;
    for (const each of list) {
      const format = FORMATS[/\.([^.]+)$/.exec(each.name)?.[1]?.toLowerCase() ?? ''];
      if (!format || NO_TEXT.test(each.name) || (format === 'json' && !(await isList(each)))) continue;
      texts.push({ ...each, format });
    }
  }
  const taken = new Set(texts.map(({ file }) => file));
  return { texts, rest: files.filter(({ file }) => !taken.has(file)) };
}

async function isList({ file, path }: Dropped): Promise<boolean> {
  const head = new TextDecoder().decode(await readPiece(file, 0, Math.min(file.size, 4096), path));
  return head.trimStart().startsWith('[');
}

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
