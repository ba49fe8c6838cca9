/**
 * dictionary_learning (Marks, Karvonen, Mueller): ae.pt with config.json beside it, whose `trainer` says the class. Linear layers keep [out, in]:
 * encoder.weight [M, d], decoder.weight [d, M]; the classes that write W_enc have [d, M], W_dec [M, d].
 * BatchTopK runs with one threshold for all, TopK with its k. Source: dictionary_learning/dictionary.py and trainers/*.py.
 */
import type { DictionarySpec } from '../../dictionary/spec';
import type { Dropped } from '../drop';
import { readObject } from '../json';
import type { LooseFile } from '../loose';
import { assemble, find, widthOf, type Plan } from './assemble';
import { named, type DictionaryDraft, type Format, type Place } from './draft';
import { hookInPath, spotsOf } from './hooks';
import { cleanPath, nameFrom } from './paths';
import { badValue, configMissing, crosscoder, GARBAGE, GARBAGE_HINT, hookUnknown, unsupported, weightsMissing } from './refusals';
import { countIf, flag, numbers, part, scalar, textIf, unknownKeys, type Config } from './values';

export const dictionaryLearning: Format = {
  name: 'dictionary_learning',
  find(place) {
    const weights = named(place, 'ae.pt') ?? named(place, 'ae.safetensors');
    if (!weights || !place.open(weights)) return [];
    const config = named(place, 'config.json');
    const uses = [weights, ...(config ? [config] : []), ...['eval_results.json'].flatMap((name) => named(place, name) ?? [])];
    return [{ where: place.where, uses, read: () => read(place, weights, config) }];
  },
};

interface Class {
  kind: string;
  activation: DictionarySpec['activation'];
  /** What b_dec is called; the encoder subtracts it unless said otherwise. */
  bias: string;
  subtracts?: false;
  /** W_enc and W_dec, or encoder.weight and decoder.weight? */
  bare?: true;
}
const RELU: Class = { kind: 'ReLU', activation: 'relu', bias: 'bias' };
/** By the name of the class, however its trainer is called. */
const CLASSES: Readonly<Record<string, Class>> = {
  AutoEncoder: RELU,
  AutoEncoderNew: { ...RELU, bias: 'decoder.bias', subtracts: false },
  GatedAutoEncoder: { kind: 'Gated', activation: 'gated', bias: 'decoder_bias' },
  JumpReluAutoEncoder: { kind: 'JumpReLU', activation: 'jumprelu', bias: 'b_dec', subtracts: false, bare: true },
  AutoEncoderTopK: { kind: 'TopK', activation: 'topk', bias: 'b_dec' },
  BatchTopKSAE: { kind: 'BatchTopK', activation: 'jumprelu', bias: 'b_dec' },
  MatryoshkaBatchTopKSAE: { kind: 'BatchTopK (Matryoshka)', activation: 'jumprelu', bias: 'b_dec', bare: true },
};

const TRAINER = new Set([
  'dict_class',
  'trainer_class',
  'activation_dim',
  'dict_size',
  'k',
  'layer',
  'lm_name',
  'submodule_name',
  'wandb_name',
  'device',
  'group_fractions',
  'group_weights',
  'group_sizes',
  'num_groups',
]);
const TRAINING =
  /^(lr|l1|seed|steps|warmup|decay|sparsity|resample|auxk|threshold_|k_anneal|top_k_aux|dead|target_l0|bandwidth|num_tokens|initial|penalty|p$|p_|n_|temperature|groups)/;

async function read(place: Place, weights: Dropped, dropped: Dropped | undefined): Promise<DictionaryDraft> {
  const { where } = place;
  const config: Config = {
    where: dropped?.path ?? where,
    values: dropped ? await readObject(dropped.file, dropped.path, GARBAGE, GARBAGE_HINT) : {},
  };
  const file = await place.open(weights);
  if (!file) throw weightsMissing(where, `${weights.name} cannot be read`);
  const [trainer, buffer] = [part(config, 'trainer'), part(config, 'buffer')];
  const notes = unknownKeys('config.json', trainer.values, TRAINER, TRAINING);
  const own = classOf(where, textIf(trainer, 'dict_class'), file);
  const latents = widthOf(file, own.activation === 'gated' ? ['gate_bias'] : ['encoder.bias', 'b_enc'], where);
  const width = widthOf(file, [own.bias], where);
  const said = [
    ['dict_size', latents],
    ['activation_dim', width],
  ] as const;
  for (const [key, is] of said) {
    const wanted = countIf(trainer, key);
    if (wanted !== undefined && wanted !== is) throw badValue(where, `config.json says “${key}” ${wanted}, the weights have ${is}`);
  }
  const k = own.activation === 'topk' ? ((await scalar(file, 'k', where)) ?? countIf(trainer, 'k')) : undefined;
  if (own.activation === 'topk' && k === undefined)
    throw badValue(where, 'neither the weights nor config.json say how many latents are kept (“k”)');
  const model = textIf(trainer, 'lm_name');
  const hook = hookInPath(place.folder) ?? hookOf(where, place.folder, trainer, buffer);
  const spots = spotsOf(where, hook, hook, model, false);
  if (flag(buffer, 'remove_bos', false)) notes.push('Its training left out the first position (remove_bos).');
  await groups(file, notes);
  if (own.activation === 'gated' || own.activation === 'jumprelu')
    if (own.kind === 'Gated' || own.kind === 'JumpReLU')
      notes.push(
        'Some versions of dictionary_learning show activations multiplied by the length of their decoder row; here they are shown as computed.',
      );
  const spec: DictionarySpec = {
    kind: own.kind,
    activation: own.activation,
    ...(k !== undefined && { k }),
    hookIn: spots.hookIn,
    hookOut: spots.hookOut,
    dIn: width,
    dOut: width,
    latents,
    skip: false,
    contract: {
      residual: 'raw',
      normalisation: 'none',
      scale: 1,
      subtractBDec: own.subtracts !== false,
      rescaleByDecoderNorm: false,
      ...spots.contract,
      prependBos: true,
    },
  };
  const { tensors, notes: more } = await assemble(where, file, spec, planOf(own), /^(k|threshold|group_sizes|config|normalize_to_sqrt_d)$/);
  return {
    name: nameFrom(place.folder, `${own.kind} ${spots.hookIn}`),
    format: 'dictionary_learning',
    spec,
    ...(model !== undefined && { model }),
    promised: {},
    tensors,
    notes: [...notes, ...more],
  };
}

/** The class that config.json names, else the one that only such tensors can be of. */
function classOf(where: string, name: string | undefined, file: LooseFile): Class {
  if (name !== undefined) {
    if (/cross_?coder/i.test(name)) throw crosscoder(where, `class ${name}`);
    const known = CLASSES[name];
    if (!known) throw unsupported(where, `config.json names the class “${name}”`);
    return known;
  }
  const has = (key: string): boolean => find(file, [key]) !== undefined;
  const guess = has('gate_bias')
    ? 'GatedAutoEncoder'
    : has('group_sizes')
      ? 'MatryoshkaBatchTopKSAE'
      : has('W_enc') && has('threshold')
        ? 'JumpReluAutoEncoder'
        : has('bias')
          ? 'AutoEncoder'
          : has('decoder.bias')
            ? 'AutoEncoderNew'
            : undefined;
  const known = guess === undefined ? undefined : CLASSES[guess];
  if (known) return known;
  throw configMissing(where, 'TopK and BatchTopK hold the same tensors, and no config.json says which it is');
}

function planOf({ bias, bare, activation }: Class): Plan {
  return {
    ...(bare
      ? { W_enc: { names: ['W_enc'], documented: 'transposed' }, W_dec: { names: ['W_dec'], documented: 'canonical' } }
      : { W_enc: { names: ['encoder.weight'], documented: 'canonical' }, W_dec: { names: ['decoder.weight'], documented: 'transposed' } }),
    b_dec: { names: [bias] },
    ...(activation !== 'gated' && { b_enc: { names: ['encoder.bias', 'b_enc'] } }),
    threshold: { names: ['threshold'] },
    b_gate: { names: ['gate_bias'] },
    b_mag: { names: ['mag_bias'] },
    r_mag: { names: ['r_mag'] },
  };
}

async function groups(file: LooseFile, notes: string[]): Promise<void> {
  const tensor = find(file, ['group_sizes']);
  if (tensor)
    notes.push(`Matryoshka: groups of ${(await numbers(tensor)).join(', ')} latents, each with those before it a dictionary of its own.`);
}

const SUBMODULE = /(resid|mlp|att(?:ention|n)?)_?(pre|mid|post|in|out)?_?layer_?(\d+)/i;

/** From the submodule's name, as config.json or the path has it: resid_post_layer_8, mlp_out_layer3, embed. */
function hookOf(where: string, folder: string, trainer: Config, buffer: Config): string {
  const io = textIf(buffer, 'io') ?? 'out';
  const path = cleanPath(folder);
  const said = [textIf(trainer, 'submodule_name') ?? '', path];
  for (const name of said) {
    const [, part = '', side, layer] = SUBMODULE.exec(name) ?? [];
    if (layer === undefined) continue;
    if (io !== 'out' && !(io === 'in' && part === 'resid'))
      throw hookUnknown(where, `it was trained on the “${io}” of “${name}”, which names no hook`);
    const stream =
      { pre: 'hook_resid_pre', mid: 'hook_resid_mid', in: 'hook_resid_pre' }[side ?? ''] ??
      (io === 'in' ? 'hook_resid_pre' : 'hook_resid_post');
    const hook = part.toLowerCase() === 'resid' ? stream : part.toLowerCase() === 'mlp' ? 'hook_mlp_out' : 'hook_attn_out';
    return `blocks.${layer}.${hook}`;
  }
  if (/(^|\/)embed(\/|$)/.test(path)) return 'hook_embed';
  throw hookUnknown(where, 'neither config.json (“submodule_name”) nor its folder says which place of the model it belongs to');
}
