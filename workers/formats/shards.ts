/**
 * Which safetensors files of a folder hold the weights. In transformers' order: model.safetensors, else the files that
 * an index names. Shards whose index was not dropped are recognised by their names (…-00002-of-00005.safetensors).
 */
import { LabError } from '../errors';
import type { Dropped, Ignored } from './drop';
import { isObject, readObject } from './json';
import { listed } from './reasons';

export interface Shards {
  files: Dropped[];
  /** tensor → the shard that an index says it is in. */
  map?: Map<string, string>;
}

const INDEX = '.safetensors.index.json';
const PART = /^(.*)-(\d{5})-of-(\d{5})\.safetensors$/;
const WHOLE = 'Drop the whole folder, every file of the checkpoint in it.';

export const isWeights = (name: string): boolean => name.endsWith('.safetensors');
export const isIndex = (name: string): boolean => name.endsWith(INDEX);

export async function findShards(folder: readonly Dropped[], where: string, ignored: Ignored[]): Promise<Shards> {
  const weights = folder.filter((each) => isWeights(each.name)).sort((a, b) => (a.name < b.name ? -1 : 1));
  const indexes = folder.filter((each) => isIndex(each.name));
  const index = indexes.find((each) => each.name === `model${INDEX}`) ?? (indexes.length === 1 ? indexes[0] : undefined);
  const aside = (used: readonly Dropped[], why: string): void => {
    for (const each of weights) if (!used.includes(each)) ignored.push({ file: each.path, why });
  };
  const single = weights.find((each) => each.name === 'model.safetensors');
  if (single) {
    aside([single], 'model.safetensors in the same folder holds the weights');
    for (const each of indexes) ignored.push({ file: each.path, why: 'model.safetensors in the same folder holds the weights' });
    return { files: [single] };
  }
  if (index) {
    for (const each of indexes) if (each !== index) ignored.push({ file: each.path, why: `${index.name} is the index in use` });
    const map = await readIndex(index);
    const names = [...new Set(map.values())].sort();
    const missing = names.filter((name) => !weights.some((each) => each.name === name));
    if (missing.length > 0)
      throw new LabError('shard-missing', `${index.path} names ${listed(missing)}, not among what was dropped.`, WHOLE);
    const files = weights.filter((each) => names.includes(each.name));
    aside(files, `${index.name} does not name it`);
    return { files, map };
  }
  const [first] = weights;
  if (!first)
    throw new LabError(
      'weights-missing',
      `${where}: no .safetensors file was dropped with config.json.`,
      'Loupe reads weights from .safetensors files. Checkpoints in .bin or .pt must be converted first.',
    );
  if (weights.length === 1 && !PART.test(first.name)) return { files: [first] };
  return { files: numbered(weights, where) };
}

async function readIndex(index: Dropped): Promise<Map<string, string>> {
  const hint = 'Download the index again, or drop the single-file checkpoint.';
  const json = await readObject(index.file, index.path, 'index-garbage', hint);
  const map = json['weight_map'];
  const entries = isObject(map) ? Object.entries(map) : [];
  if (entries.length === 0 || !entries.every((each): each is [string, string] => typeof each[1] === 'string'))
    throw new LabError('index-garbage', `${index.path} has no “weight_map” from tensors to files.`, hint);
  return new Map(entries);
}

function numbered(weights: readonly Dropped[], where: string): Dropped[] {
  const parts = weights.map((each) => PART.exec(each.name));
  const [first] = parts;
  if (!first || parts.some((part) => !part || part[1] !== first[1] || part[3] !== first[3]))
    throw new LabError(
      'weights-ambiguous',
      `${where} holds several .safetensors files and no index that says which are the model's: ${listed(weights.map((each) => each.name))}.`,
      'Drop the model alone, or with its model.safetensors.index.json.',
    );
  const have = new Set(parts.map((part) => Number(part?.[2])));
  const of = Number(first[3]);
  const missing = Array.from({ length: of }, (_, i) => i + 1)
    .filter((i) => !have.has(i))
    .map((i) => `${first[1] ?? ''}-${String(i).padStart(5, '0')}-of-${first[3] ?? ''}.safetensors`);
  if (missing.length > 0) throw new LabError('shard-missing', `${where}: not among what was dropped: ${listed(missing)}.`, WHOLE);
  return [...weights];
}
