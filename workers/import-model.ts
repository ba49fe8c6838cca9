/**
 * A dropped folder against the family that should read it: the one place where files and models meet. Names, shapes and
 * dtypes are checked here against the family's rules, from headers alone, so that a checkpoint that cannot run is refused
 * before it is copied. Every fault of a folder is collected; nothing is guessed.
 */
import type { ModelInfo } from './api';
import type { StoredDtype, StoredTensor } from './contract';
import { LabError } from './errors';
import type { FolderTensor, ModelFolder } from './formats/huggingface';
import type { JsonObject } from './formats/json';
import { collect, listed, throwAll } from './formats/reasons';
import { plainTokens } from './formats/plain-tokens';
import { allZeros, sameBytes } from './formats/same-bytes';
import { elements } from './formats/safetensors';
import { ModelTokenizer } from './formats/tokenizer';
import type { Draft } from './library/library';
import { familyOf } from './model/families';
import { prependsBos, refuse as unsupported, type Family, type TensorRule } from './model/family';
import { RAW_WORDS } from './model/processing';
import type { ModelSpec } from './model/spec';

const OTHER = 'config.json and the weights are of different models, or one was edited. Drop a checkpoint as it was published.';

/** Everything checked: throws all reasons together, else returns what the shelf will keep. */
export async function draftModel(folder: ModelFolder, signal?: AbortSignal): Promise<Draft> {
  const reasons = [...folder.reasons];
  const { config, tensors } = folder;
  const read = config && (await collect(reasons, () => readConfig(config)));
  const plain = read?.family.plainTokens === true && !folder.tokenizer ? plainTokens(read.spec.vocab) : undefined;
  if (plain) reasons.splice(0, reasons.length, ...reasons.filter(({ code }) => code !== 'tokenizer-missing'));
  const tokenizer = folder.tokenizer ?? plain;
  const checked = read && tensors && (await collect(reasons, () => checkTensors(folder, tensors, read.family, read.spec, signal)));
  if (read && tokenizer)
    await collect(
      reasons,
      () =>
        new ModelTokenizer({
          tokenizer,
          tokenizerConfig: folder.tokenizerConfig,
          generationConfig: folder.generationConfig,
          config: read.config,
          vocab: read.spec.vocab,
          prependBos: prependsBos(read.family, read.config),
        }),
    );
  throwAll(reasons);
  if (!read || !tokenizer || !checked)
    throw new LabError('internal', `${folder.where} was refused without a reason.`, 'Please report this.');
  // A file whose own head differs from the embedding is an untied model, whatever its config says.
  const kept: JsonObject = checked.untied ? { ...read.config, tie_word_embeddings: false } : read.config;
  const { family, spec } = checked.untied ? readConfig(kept) : read;
  return {
    name: nameOf(folder, family, spec),
    type: String(kept['model_type'] ?? family.types[0]),
    config: kept,
    tensors: checked.tensors,
    tokenizer,
    tokenizerConfig: folder.tokenizerConfig,
    generationConfig: folder.generationConfig,
    ...(folder.chatTemplate !== undefined && { chatTemplate: folder.chatTemplate }),
    info: describe(nameOf(folder, family, spec), folder, family, spec, checked),
  };
}

function readConfig(config: JsonObject): { config: JsonObject; family: Family; spec: ModelSpec } {
  const family = familyOf(config);
  return { config, family, spec: family.spec(config) };
}

interface Checked {
  tensors: StoredTensor[];
  /** The file carries a head of its own although the config ties it to the embedding. */
  untied: boolean;
}

async function checkTensors(
  folder: ModelFolder,
  present: readonly FolderTensor[],
  family: Family,
  spec: ModelSpec,
  signal?: AbortSignal,
): Promise<Checked> {
  const reasons: LabError[] = [];
  const refuse = (code: string, what: string, faults: readonly string[], hint = OTHER): void => {
    if (faults.length > 0) reasons.push(new LabError(code, `${folder.where}: ${what} ${listed(faults)}.`, hint));
  };
  const rules = new Map(family.tensors(spec).map((rule) => [rule.name, rule]));
  const aliases = new Map([...rules.values()].flatMap(({ name, also }) => (also === undefined ? [] : [[also, name] as const])));
  const headName = family.head ?? 'lm_head.weight';
  const head = headRule(headName, spec, rules);
  const found = new Map<string, FolderTensor>();
  const unknown: string[] = [];
  for (const tensor of present) {
    const given = stripped(tensor.name, family.prefixes);
    const name = aliases.get(given) ?? given;
    const wanted = rules.has(name) || (head !== undefined && name === headName);
    if (!wanted && family.ignorable.test(name)) continue;
    if (!wanted || found.has(name)) unknown.push(tensor.name);
    else found.set(name, tensor);
  }
  const pairs = [...found].flatMap(([name, tensor]) => {
    const rule = rules.get(name) ?? head;
    return rule ? [{ name, tensor, rule }] : [];
  });
  refuse(
    'tensor-missing',
    'missing from the weights:',
    [...rules.values()].filter(({ name, optional }) => !optional && !found.has(name)).map(({ name }) => name),
  );
  refuse('tensor-unknown', `no ${family.title} model has`, unknown);
  refuse(
    'tensor-shape',
    'of another shape than config.json says:',
    pairs
      .filter(({ tensor, rule }) => tensor.shape.join() !== rule.shape.join())
      .map(({ tensor, rule }) => `${tensor.name} [${tensor.shape.join(', ')}], not [${rule.shape.join(', ')}]`),
  );
  refuse(
    'dtype-unsupported',
    'of a dtype that cannot be run:',
    pairs.filter(({ tensor }) => !isStored(tensor.dtype)).map(({ tensor }) => `${tensor.name} ${tensor.dtype}`),
    'Loupe runs F32, F16 and BF16 weights. Drop a checkpoint that is saved in one of them.',
  );
  throwAll(reasons);
  for (const { tensor, rule } of pairs) {
    const file = folder.weights[tensor.file]?.file;
    if (rule.zeros && file && !(await allZeros({ file, offset: tensor.offset }, tensor.bytes, signal)))
      unsupported(`${rule.zeros} (${tensor.name})`);
  }
  const untied = head !== undefined && (await headDiffers(folder, found, headName, family, spec, signal));
  const tensors = pairs
    .filter(({ name }) => untied || rules.has(name))
    .flatMap(({ name, tensor }): StoredTensor[] =>
      isStored(tensor.dtype)
        ? [{ name, file: tensor.file, dtype: tensor.dtype, shape: tensor.shape, offset: tensor.offset, bytes: tensor.bytes }]
        : [],
    );
  return { tensors, untied };
}

/** Checkpoints put a family's prefix before most names and not before others (Llama's lm_head): each name for itself. */
function stripped(name: string, prefixes: readonly string[]): string {
  const prefix = prefixes.find((each) => name.startsWith(each));
  return prefix === undefined ? name : name.slice(prefix.length);
}

const isStored = (dtype: string): dtype is StoredDtype => dtype === 'F32' || dtype === 'F16' || dtype === 'BF16';

/** A head that a tied model's file may still carry: of the embedding's shape. */
function headRule(name: string, spec: ModelSpec, rules: ReadonlyMap<string, TensorRule>): TensorRule | undefined {
  return rules.has(name) ? undefined : { name, shape: [spec.vocab, spec.dModel], place: { matrix: 'unembed' } };
}

/**
 * A tied model's file may carry the head as well. Where its bytes are the embedding's it says nothing new and is left
 * out; where they differ, the file is believed over the config, as transformers does from version 5 on.
 */
async function headDiffers(
  folder: ModelFolder,
  found: ReadonlyMap<string, FolderTensor>,
  name: string,
  family: Family,
  spec: ModelSpec,
  signal?: AbortSignal,
): Promise<boolean> {
  const own = found.get(name);
  const rule = family.tensors(spec).find((each) => 'matrix' in each.place && each.place.matrix === 'embed');
  const embed = rule && found.get(rule.name);
  const [ownFile, embedFile] = [own, embed].map((tensor) => tensor && folder.weights[tensor.file]?.file);
  if (!own || !embed || !ownFile || !embedFile) return false;
  if (own.dtype !== embed.dtype) return true;
  return !(await sameBytes({ file: ownFile, offset: own.offset }, { file: embedFile, offset: embed.offset }, own.bytes, signal));
}

function nameOf(folder: ModelFolder, family: Family, spec: ModelSpec): string {
  const cached = /(?:^|\/)models--([^/]+)\//.exec(`${folder.folder}/`)?.[1]?.split('--').pop();
  const base = folder.folder.split('/').pop();
  const origin = folder.config?.['_name_or_path'];
  const named = typeof origin === 'string' ? origin.split('/').pop() : undefined;
  return cached || base || named || `${family.title} ${spec.layers}×${spec.dModel}`;
}

const LABEL: Record<StoredDtype, string> = { F32: 'f32', F16: 'f16', BF16: 'bf16' };

function describe(name: string, folder: ModelFolder, family: Family, spec: ModelSpec, { tensors, untied }: Checked): ModelInfo {
  const dtypes = [...new Set(tensors.map((tensor) => tensor.dtype))];
  const [only] = dtypes;
  const weights = dtypes.length === 1 && only ? LABEL[only] : 'mixed';
  return {
    id: '',
    name,
    family: spec.family,
    parameters: tensors.reduce((sum, tensor) => sum + elements(tensor.shape), 0),
    layers: spec.layers,
    dModel: spec.dModel,
    heads: spec.heads,
    kvHeads: spec.kvHeads,
    dVocab: spec.vocab,
    context: spec.context,
    weights,
    bytes: folder.weights.reduce((sum, each) => sum + each.file.size, 0),
    badge: [family.title, weights, RAW_WORDS, ...(untied ? ['head from the file, not tied'] : [])].join(' · '),
  };
}
