/** The registry, and the search: which files of a drop are dictionaries. What no format takes is left for whoever reads models. */
import type { OpenedFile } from '../../contract';
import { sortIntoFolders, type Dropped, type Ignored } from '../drop';
import type { LooseReaders } from '../loose-readers';
import { wrappingOf } from '../loose-readers';
import { circuitTracer } from './circuit-tracer';
import { dictionaryLearning } from './dictionary-learning';
import type { Candidate, Format, Place, ReadTensors } from './draft';
import { gemmaScope } from './gemma-scope';
import { goodfire } from './goodfire';
import { llamaScope } from './llama-scope';
import { openai } from './openai';
import { orphans, saelens } from './saelens';
import { sparsify } from './sparsify';
import { unreadable } from './torch';

/** In this order: what is told by its files' names first, what only its contents tell last. */
export const FORMATS: readonly Format[] = [
  saelens,
  sparsify,
  gemmaScope,
  llamaScope,
  dictionaryLearning,
  circuitTracer,
  openai,
  goodfire,
  orphans,
  { name: 'unreadable', find: unreadable },
];

export interface Found {
  candidates: Candidate[];
  /** What is left for whoever reads models, as it was dropped. */
  rest: OpenedFile[];
  /** What lies beside a dictionary and is neither its nor a model's. */
  ignored: Ignored[];
}

export async function findDictionaries(files: readonly OpenedFile[], readers: LooseReaders): Promise<Found> {
  const { folders } = sortIntoFolders(files);
  const open = opener(readers);
  const at = (folder: string, name: string): Dropped | undefined => folders.get(folder)?.find((each) => each.name === name);
  const taken = new Set<File>();
  const candidates: Candidate[] = [];
  for (const [folder, list] of folders) {
    for (const format of FORMATS) {
      const place: Place = {
        folder,
        where: folder || 'The drop',
        files: list.filter((each) => !taken.has(each.file)),
        at,
        ofModel: ofModel(folder, folders),
        open,
      };
      const found = await format.find(place);
      candidates.push(...found);
      for (const file of found.flatMap((each) => each.uses)) taken.add(file.file);
    }
  }
  const ignored: Ignored[] = [];
  for (const list of folders.values()) {
    const left = list.filter((each) => !taken.has(each.file));
    if (left.length === list.length || left.some((each) => each.name === 'config.json')) continue;
    for (const each of left) {
      taken.add(each.file);
      ignored.push({ file: each.path, why: 'beside a dictionary, which does without it' });
    }
  }
  return { candidates, rest: files.filter(({ file }) => !taken.has(file)), ignored };
}

/** Each file is opened once, whoever asks. */
function opener(readers: LooseReaders): ReadTensors {
  const opened = new Map<File, ReturnType<ReadTensors>>();
  return ({ file, name, path }) => {
    const wrapping = wrappingOf(name);
    const reader = wrapping && readers[wrapping];
    if (!reader) return undefined;
    const known = opened.get(file);
    if (known) return known;
    const opening = reader(file, path);
    opening.catch(() => undefined);
    opened.set(file, opening);
    return opening;
  };
}

/** A model's folder has a config.json beside weights; a dictionary's has a config.json beside ae.pt at most. */
function ofModel(folder: string, folders: ReadonlyMap<string, readonly Dropped[]>): boolean {
  for (const [other, list] of folders) {
    const above = other === folder || (other !== '' && folder.startsWith(`${other}/`));
    if (above && list.some(({ name }) => name === 'config.json') && list.some(({ name }) => /\.(safetensors|bin)$/.test(name))) return true;
  }
  return false;
}
