/**
 * Which files of a folder hold the weights. In transformers' order: model.safetensors, else the files that an index names, and the same for PyTorch's
 * checkpoints (pytorch_model.bin, or a .pt or .pth) where there is no safetensors file. Shards whose index was not dropped are recognised by their
 * names (…-00002-of-00005.safetensors).
 */
import { LabError } from '../errors';
import type { Dropped, Ignored } from './drop';
import { isObject, readObject } from './json';
import { listed } from './reasons';

export interface Shards {
  form: 'safetensors' | 'torch';
  files: Dropped[];
  /** tensor → the shard that an index says it is in. */
  map?: Map<string, string>;
}

interface Form {
  form: Shards['form'];
  single: string;
  index: string;
  part: RegExp;
  ending: string;
}
const SAFETENSORS: Form = {
  form: 'safetensors',
  single: 'model.safetensors',
  index: '.safetensors.index.json',
  part: /^(.*)-(\d{5})-of-(\d{5})\.safetensors$/,
  ending: '.safetensors',
};
const TORCH: Form = {
  form: 'torch',
  single: 'pytorch_model.bin',
  index: '.bin.index.json',
  part: /^(.*)-(\d{5})-of-(\d{5})\.bin$/,
  ending: 'PyTorch',
};
const WHOLE = 'Drop the whole folder, every file of the checkpoint in it.';

const isSafetensors = (name: string): boolean => name.endsWith('.safetensors');
/** Hugging Face's own names. `.bin` alone says nothing: it may be any program's. */
export const isTorchModel = (name: string): boolean => /^pytorch_model.*\.bin$/.test(name);
/** What trainers put beside the weights, under the same endings. */
export const isTraining = (name: string): boolean =>
  /^(training_args|optimizer|scheduler|scaler|rng_state|random_states)[\w.-]*\.(bin|pt|pth|pkl)$/.test(name);
const isTorch = (name: string): boolean => isTorchModel(name) || (/\.(pt|pth)$/.test(name) && !isTraining(name));
export const isWeights = (name: string): boolean => isSafetensors(name) || isTorch(name);
export const isIndex = (name: string): boolean => name.endsWith(SAFETENSORS.index) || name.endsWith(TORCH.index);

/** Do these names alone, without a config.json, say that a model's weights were dropped? A .pt may be anything. */
export const saysModel = (name: string): boolean => isSafetensors(name) || isTorchModel(name) || isIndex(name);

export async function findShards(folder: readonly Dropped[], where: string, ignored: Ignored[]): Promise<Shards> {
  const sorted = [...folder].sort((a, b) => (a.name < b.name ? -1 : 1));
  const [safetensors, torch] = [isSafetensors, isTorch].map((is) => sorted.filter((each) => is(each.name))) as [Dropped[], Dropped[]];
  const indexed = (form: Form): Dropped[] => folder.filter((each) => each.name.endsWith(form.index));
  if (safetensors.length > 0 || (torch.length === 0 && indexed(SAFETENSORS).length > 0)) {
    for (const each of [...torch, ...indexed(TORCH)])
      ignored.push({ file: each.path, why: 'the .safetensors files beside it hold the weights' });
    return ofForm(SAFETENSORS, safetensors, indexed(SAFETENSORS), where, ignored);
  }
  for (const each of indexed(SAFETENSORS)) ignored.push({ file: each.path, why: 'the .safetensors files that it names were not dropped' });
  return ofForm(TORCH, torch, indexed(TORCH), where, ignored);
}

async function ofForm(
  { form, single, index: ending, part, ending: named }: Form,
  weights: readonly Dropped[],
  indexes: readonly Dropped[],
  where: string,
  ignored: Ignored[],
): Promise<Shards> {
  const index = indexes.find((each) => each.name === single.replace(/\.\w+$/, ending)) ?? (indexes.length === 1 ? indexes[0] : undefined);
  const aside = (used: readonly Dropped[], why: string): void => {
    for (const each of weights) if (!used.includes(each)) ignored.push({ file: each.path, why });
  };
  const whole = weights.find((each) => each.name === single);
  if (whole) {
    aside([whole], `${single} in the same folder holds the weights`);
    for (const each of indexes) ignored.push({ file: each.path, why: `${single} in the same folder holds the weights` });
    return { form, files: [whole] };
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
    return { form, files, map };
  }
  const [first] = weights;
  if (!first)
    throw new LabError(
      'weights-missing',
      `${where}: no weights were dropped with config.json.`,
      'Loupe reads .safetensors files and PyTorch checkpoints (pytorch_model.bin, .pt, .pth). Drop them with the rest of the folder.',
    );
  if (weights.length === 1 && !part.test(first.name)) return { form, files: [first] };
  return { form, files: numbered(weights, part, named, where) };
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

function numbered(weights: readonly Dropped[], part: RegExp, named: string, where: string): Dropped[] {
  const parts = weights.map((each) => part.exec(each.name));
  const [first] = parts;
  if (!first || parts.some((each) => !each || each[1] !== first[1] || each[3] !== first[3]))
    throw new LabError(
      'weights-ambiguous',
      `${where} holds several ${named} files and no index that says which are the model's: ${listed(weights.map((each) => each.name))}.`,
      'Drop the model alone, or with its index (model.safetensors.index.json, pytorch_model.bin.index.json).',
    );
  const have = new Set(parts.map((each) => Number(each?.[2])));
  const of = Number(first[3]);
  const ending = first[0].slice(first[0].lastIndexOf('.'));
  const missing = Array.from({ length: of }, (_, i) => i + 1)
    .filter((i) => !have.has(i))
    .map((i) => `${first[1] ?? ''}-${String(i).padStart(5, '0')}-of-${first[3] ?? ''}${ending}`);
  if (missing.length > 0) throw new LabError('shard-missing', `${where}: not among what was dropped: ${listed(missing)}.`, WHOLE);
  return [...weights];
}
