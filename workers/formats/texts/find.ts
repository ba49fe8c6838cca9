/** Which files of a drop are texts, told by their names and where they lie: known before anything that reads one is fetched. */
import type { OpenedFile, TextFormat } from '../../contract';
import { isBelow, sortIntoFolders, type Dropped } from '../drop';
import { readPiece } from '../read';

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
