/**
 * Hugging Face folders out of a drop: which files belong together, what is in their headers, and everything that is wrong
 * with them at once. Nothing is copied here, and no family is known here: tensors are names, shapes and places.
 */
import type { OpenedFile } from '../contract';
import { LabError } from '../errors';
import { templateIn } from './chat';
import { isBelow, sortIntoFolders, type Dropped, type Ignored } from './drop';
import { readObject, type JsonObject } from './json';
import { readAll } from './read';
import { collect, listed } from './reasons';
import { readHeader, type HeaderTensor } from './safetensors';
import { findShards, isIndex, isTraining, isWeights, saysModel, type Shards } from './shards';
import type { TorchWeights } from './torch-weights';

/** A tensor of a checkpoint: `file` is an index into the folder's `weights`. */
export interface FolderTensor extends HeaderTensor {
  file: number;
}
/** What could be read of a folder, and in `reasons` why the rest could not. A part is absent where it was refused. */
export interface ModelFolder {
  /** For messages: the folder as dropped. */
  where: string;
  folder: string;
  config?: JsonObject;
  tokenizer?: JsonObject;
  tokenizerConfig: JsonObject;
  generationConfig: JsonObject;
  /** From a file of its own. */
  chatTemplate?: string;
  /** The files that will be kept: as dropped, or put together from slices of what was (torch-weights.ts). */
  weights: Dropped[];
  tensors?: FolderTensor[];
  reasons: LabError[];
}
export interface Sorted {
  models: ModelFolder[];
  ignored: Ignored[];
  /** Why folders that want to be models are none (what is wrong inside a model's folder is with the model). */
  reasons: LabError[];
}

const READ = new Set([
  'config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'generation_config.json',
  'special_tokens_map.json',
  'chat_template.jinja',
  'chat_template.json',
]);
/** Read when a checkpoint of PyTorch's is dropped: the way to the first token needs none of it. */
const readTorchWeights = async (shard: Dropped): Promise<TorchWeights> => (await import('./torch-weights')).readTorchWeights(shard);

const CONFIG_HINT = 'Download config.json again; it must be a JSON object.';
const OPTIONAL_HINT = 'Download it again, or leave it out.';
const TOKENIZER_HINT = 'Download tokenizer.json again, from the same checkpoint.';

const WHY: readonly [RegExp, string][] = [
  [/\.(pt|pth|npz)$/i, 'neither a dictionary of a form that Loupe knows nor the weights of a model beside its config.json'],
  [
    /\.(bin|ckpt|msgpack|h5|onnx|gguf|ot|tflite)$/i,
    'not in a format whose weights Loupe reads: .safetensors, pytorch_model.bin, .pt, .pth',
  ],
  [/^(vocab\.(json|txt)|merges\.txt|tokenizer\.model|spiece\.model|added_tokens\.json)$/i, 'tokenizer.json says the same, and more'],
  [/^(readme|license|licence|notice|use_policy)/i, 'for people to read'],
];
const whyNot = (name: string): string =>
  isTraining(name)
    ? 'the state of a training run, no weights'
    : (WHY.find(([pattern]) => pattern.test(name))?.[1] ?? 'not part of what Loupe reads from a model');

/** `dropped`: the whole drop, for messages. `others`: is something else than models in it, so that a drop without any is one all the same? */
export async function sortDrop(files: readonly OpenedFile[], dropped = files, others = false): Promise<Sorted> {
  const { folders, ignored } = sortIntoFolders(files);
  const wanting = [...folders].filter(([, list]) => list.some((each) => each.name === 'config.json' || saysModel(each.name)));
  const complete = wanting.filter(([, list]) => list.some((each) => each.name === 'config.json')).map(([folder]) => folder);
  const models: ModelFolder[] = [];
  const reasons: LabError[] = [];
  for (const [folder, list] of folders) {
    const parent = complete.find((above) => isBelow(folder, above));
    const isModel = complete.includes(folder) && !(parent !== undefined && !list.some((each) => isWeights(each.name)));
    const where = folder || 'The drop';
    if (isModel) {
      models.push(await readFolder(folder, where, list, ignored));
    } else if (parent !== undefined) {
      for (const each of list) ignored.push({ file: each.path, why: `below the model in “${parent}”, which does without it` });
    } else if (wanting.some(([other]) => other === folder)) {
      const weights = list.filter((each) => saysModel(each.name)).map((each) => each.name);
      reasons.push(
        new LabError(
          'config-missing',
          `${where} holds ${listed(weights)} but no config.json.`,
          'Drop the whole folder of the checkpoint: config.json, tokenizer.json and the weights.',
        ),
      );
    } else for (const each of list) ignored.push({ file: each.path, why: whyNot(each.name) });
  }
  if (models.length === 0 && reasons.length === 0 && !others)
    reasons.push(
      new LabError(
        'nothing-recognised',
        dropped.length === 0
          ? 'Nothing was dropped.'
          : `Nothing here is a model or a dictionary: ${listed(dropped.map((each) => each.path || each.file.name))}.`,
        'Drop a model as a folder with config.json, tokenizer.json and its weights (.safetensors, or a PyTorch checkpoint), or a dictionary as its folder was published.',
      ),
    );
  return { models, ignored, reasons };
}

async function readFolder(folder: string, where: string, list: readonly Dropped[], ignored: Ignored[]): Promise<ModelFolder> {
  const reasons: LabError[] = [];
  const named = (name: string): Dropped | undefined => list.find((each) => each.name === name);
  const json = async (name: string, code: string, hint: string): Promise<JsonObject | undefined> => {
    const dropped = named(name);
    return dropped && collect(reasons, () => readObject(dropped.file, dropped.path, code, hint));
  };
  const config = await json('config.json', 'config-garbage', CONFIG_HINT);
  const generationConfig = await json('generation_config.json', 'config-garbage', OPTIONAL_HINT);
  const tokenizer = await json('tokenizer.json', 'tokenizer-garbage', TOKENIZER_HINT);
  const tokenizerConfig = await json('tokenizer_config.json', 'tokenizer-garbage', OPTIONAL_HINT);
  const special = await json('special_tokens_map.json', 'tokenizer-garbage', OPTIONAL_HINT);
  const jinja = named('chat_template.jinja');
  const chat = await json('chat_template.json', 'chat-template-garbage', OPTIONAL_HINT);
  const chatTemplate = jinja
    ? await collect(reasons, () => readTemplate(jinja))
    : templateIn(tokenizerConfig ?? {}) === undefined
      ? templateIn(chat ?? {})
      : undefined;
  if (!named('tokenizer.json'))
    reasons.push(
      new LabError(
        'tokenizer-missing',
        `${where}: no tokenizer.json was dropped.`,
        'Drop the tokenizer.json of the same checkpoint with it; a “fast” tokenizer saves one.',
      ),
    );
  const shards = await collect(reasons, () => findShards(list, where, ignored));
  const read = shards && (await readShards(shards, reasons, ignored));
  for (const each of list) {
    if (!READ.has(each.name) && !isWeights(each.name) && !isIndex(each.name)) ignored.push({ file: each.path, why: whyNot(each.name) });
  }
  return {
    where,
    folder,
    ...(config && { config }),
    ...(tokenizer && { tokenizer }),
    tokenizerConfig: { ...special, ...tokenizerConfig },
    generationConfig: generationConfig ?? {},
    ...(chatTemplate !== undefined && { chatTemplate }),
    weights: read?.weights ?? shards?.files ?? [],
    ...(read && { tensors: read.tensors }),
    reasons,
  };
}

/** Real templates reach some 30 kB. Whether it parses is asked when it is used: a model without a working one still reads plain text. */
async function readTemplate({ file, path }: Dropped): Promise<string> {
  if (file.size > 1e6)
    throw new LabError('chat-template-garbage', `${path} has ${Math.round(file.size / 1e6)} MB, too much for a template.`, OPTIONAL_HINT);
  return new TextDecoder().decode(await readAll(file, path));
}

/** Every shard's header, and the index held against them; undefined where something is wrong with either. */
async function readShards(
  { form, files, map }: Shards,
  reasons: LabError[],
  ignored: Ignored[],
): Promise<Pick<Required<ModelFolder>, 'weights' | 'tensors'> | undefined> {
  const tensors: FolderTensor[] = [];
  const weights: Dropped[] = [];
  const homes = new Map<string, Dropped>();
  const before = reasons.length;
  for (const [file, shard] of files.entries()) {
    const torch = form === 'torch' ? await collect(reasons, () => readTorchWeights(shard)) : undefined;
    const header = form === 'torch' ? torch : await collect(reasons, () => readHeader(shard.file, shard.path));
    weights.push(torch ? { ...shard, file: torch.file } : shard);
    for (const key of torch?.aside ?? []) ignored.push({ file: `${shard.path}: “${key}”`, why: 'beside the weights in the checkpoint' });
    for (const tensor of header?.tensors ?? []) {
      const other = homes.get(tensor.name);
      if (other)
        reasons.push(
          new LabError(
            'tensor-duplicate',
            `“${tensor.name}” is in ${other.path} and in ${shard.path}.`,
            'Drop the shards of one checkpoint only.',
          ),
        );
      homes.set(tensor.name, shard);
      tensors.push({ ...tensor, file });
    }
  }
  if (map && reasons.length === before) {
    const astray = [...map].filter(([tensor, file]) => homes.get(tensor)?.name !== file);
    if (astray.length > 0)
      reasons.push(
        new LabError(
          'tensor-missing',
          `The index places ${listed(astray.map(([tensor, file]) => `${tensor} → ${file}`))}, but not so the shards.`,
          'The index and the shards are of different checkpoints, or a shard is damaged. Download them again.',
        ),
      );
  }
  return reasons.length === before ? { weights, tensors } : undefined;
}
