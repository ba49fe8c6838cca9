/** Which files of a drop hold labels: told by their folders' names, else by their first record. What is no labels is left for whoever reads dictionaries and models. */
import type { OpenedFile } from '../../contract';
import { LabError } from '../../errors';
import { sortIntoFolders, type Dropped, type Ignored } from '../drop';
import { isObject } from '../json';
import { readPiece } from '../read';
import { isLabelsJson, readLabelsJson } from './labels-json';
import { linesOf, wholeText } from './lines';
import { isRecord, readNeuronpediaLines, readNeuronpediaList } from './neuronpedia';
import { Allowance, type LabelGroup } from './read-label';

export { Allowance };

export interface LabelFile {
  dropped: Dropped;
  read(allowance: Allowance): Promise<LabelGroup[]>;
}
export interface FoundLabels {
  files: LabelFile[];
  rest: OpenedFile[];
  ignored: Ignored[];
}

type Verdict = LabelFile['read'] | { why: string } | undefined;

/** `other`: is a file of this path somebody else's by its name? */
export async function findLabels(files: readonly OpenedFile[], other: (path: string) => boolean): Promise<FoundLabels> {
  const { folders } = sortIntoFolders(files);
  const found: LabelFile[] = [];
  const ignored: Ignored[] = [];
  const taken = new Set<File>();
  for (const list of folders.values()) {
    const ofModel = list.some(({ name }) => name === 'config.json');
    for (const dropped of list.filter(({ path }) => !other(path))) {
      const verdict = await judge(dropped, ofModel);
      if (!verdict) continue;
      taken.add(dropped.file);
      if (typeof verdict === 'function') found.push({ dropped, read: verdict });
      else ignored.push({ file: dropped.path, why: verdict.why });
    }
  }
  return { files: found, rest: files.filter(({ file }) => !taken.has(file)), ignored };
}

const FEATURES = 'what Neuronpedia measured of the latents; Loupe reads their explanations, and measures for itself';
const ABOUT = 'what Neuronpedia says of the model and the source';

async function judge(dropped: Dropped, ofModel: boolean): Promise<Verdict> {
  const { name, folder } = dropped;
  if (/\.jsonl(\.gz)?$/i.test(name)) {
    const parent = folder.split('/').pop() ?? '';
    const lines: Verdict = (allowance) => readNeuronpediaLines(dropped, allowance);
    if (/^explanations?(-scores)?$/i.test(parent)) return lines;
    if (/^(features|activations)$/i.test(parent) && /^batch-/i.test(name)) return { why: FEATURES };
    const first = await firstRecord(dropped);
    if (isRecord(first)) return lines;
    if (isObject(first) && typeof first['modelId'] === 'string' && ('index' in first || 'tokens' in first)) return { why: FEATURES };
    return /^(model|release|source|sourceset)\.jsonl/i.test(name) ? { why: ABOUT } : undefined;
  }
  if (!/\.json(\.gz)?$/i.test(name)) return undefined;
  const own: Verdict = (allowance) => readLabelsJson(dropped, allowance);
  if (/^labels\.json$/i.test(name)) {
    const value = await jsonOf(dropped);
    if (isLabelsJson(value)) return own;
    // A model may have a labels.json of its own; elsewhere one that cannot be read is told, not passed over.
    return ofModel || isObject(value) ? undefined : own;
  }
  const start = await startOf(dropped);
  if (/^\s*\[\s*\{/.test(start) && start.includes('"modelId"') && /"(description|explanations)"/.test(start))
    return (allowance) => readNeuronpediaList(dropped, allowance);
  if (/^\s*\{/.test(start) && start.includes('"labels"') && start.includes('"source"') && isLabelsJson(await jsonOf(dropped))) return own;
  return undefined;
}

/** The first line as JSON; nothing where it is none. */
async function firstRecord({ file, path }: Dropped): Promise<unknown> {
  return quietly(async () => {
    for await (const { text } of linesOf(file, path)) return JSON.parse(text) as unknown;
    return undefined;
  });
}
const jsonOf = ({ file, path }: Dropped): Promise<unknown> => quietly(async () => JSON.parse(await wholeText(file, path)) as unknown);

const START = 4096;
const startOf = ({ file, path }: Dropped): Promise<string> =>
  /\.gz$/i.test(path)
    ? quietly(() => wholeText(file, path)).then((text) => text?.slice(0, START) ?? '')
    : readPiece(file, 0, Math.min(START, file.size), path).then((bytes) => new TextDecoder().decode(bytes));

/** What cannot be read is not judged here: whoever takes it says what is wrong. */
async function quietly<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (thrown) {
    if (thrown instanceof SyntaxError || (thrown instanceof LabError && thrown.code.startsWith('labels-'))) return undefined;
    throw thrown;
  }
}
