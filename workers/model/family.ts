/**
 * What a family file provides: a config read into a spec, and a rule for every tensor of the checkpoint, so that the
 * files can be checked before a byte is copied and the weights placed without a family's name in the engine.
 */
import { LabError } from '../errors';
import type { Activation, ModelSpec } from './spec';

/**
 * Where the engine keeps a weight. Matrices are [out, in]; `blocks.l.attn.qkv` stacks q, k and v; `blocks.l.mlp.in`
 * interleaves gate and up row by row where there is a gate. Vectors are norm gains and biases. Parts that hold several
 * of these at once: 'qkv' (q, then k, then v), 'heads' (q, k and v of head 0, of head 1, …), 'gate-up' (gate, then up).
 */
export type Place =
  | { matrix: 'embed' | 'pos' | 'unembed' }
  | { matrix: 'attn.qkv'; layer: number; part: QkvPart }
  | { matrix: 'attn.out'; layer: number }
  | { matrix: 'mlp.in'; layer: number; part: MlpPart }
  | { matrix: 'mlp.out'; layer: number }
  | { vector: `${NormName}.${'w' | 'b'}` | 'mlp.out.b' | 'attn.out.b' | 'attn.q_norm.w' | 'attn.k_norm.w'; layer: number }
  | { vector: 'mlp.in.b'; layer: number; part: MlpPart }
  | { vector: 'attn.qkv.b'; layer: number; part: QkvPart }
  | { vector: 'ln_final.w' | 'ln_final.b' | 'unembed.b' };
export type NormName = 'ln1' | 'ln2' | 'ln1_post' | 'ln2_post';
export type QkvPart = 'q' | 'k' | 'v' | 'qkv' | 'heads';
export type MlpPart = 'in' | 'gate' | 'up' | 'gate-up';

/** One tensor that a checkpoint must hold. */
export interface TensorRule {
  name: string;
  /** Another name that some checkpoints give it. */
  also?: string;
  shape: number[];
  place: Place;
  /** Stored [in, out], as GPT-2's Conv1D does. */
  transposed?: boolean;
  /** Stored [head, in, out]: so many transposed matrices, a head's rows each. */
  stacked?: boolean;
  /** Added to every number on the way in: Gemma keeps its gains less 1. */
  plus?: number;
  /** May be missing: a bias is 0 then, a gain 1. */
  optional?: boolean;
  /** What a tensor is that the engine has no place for: it may be there as zeros, and is refused by this name otherwise. */
  zeros?: string;
}

export interface Family {
  /** config.json's model_type values that this family reads. */
  types: readonly string[];
  /** A person's name for it. */
  title: string;
  /** Does a string prompt get a BOS by default? (TransformerLens's rule for the family.) */
  prependBos: boolean;
  /** Prefixes that some checkpoints put before every name. */
  prefixes: readonly string[];
  /** What a head of its own is called; lm_head.weight unless given. */
  head?: string;
  /** Names (without prefix) that checkpoints carry and that hold nothing learned. */
  ignorable: RegExp;
  /** Says of a config.json whose model_type nobody knows that it is this family's. */
  matches?(config: Config): boolean;
  /** Models that come without a tokeniser are given one: numbers from 0, written out. */
  plainTokens?: boolean;
  spec(config: Config): ModelSpec;
  tensors(spec: ModelSpec): TensorRule[];
}

/** A config.json. */
export type Config = Readonly<Record<string, unknown>>;

/** Does a string prompt get a BOS by default? The family's rule, which a config of TransformerLens's may overrule. */
export const prependsBos = (family: Family, config: Config): boolean => flag(config, 'default_prepend_bos', family.prependBos);

const HINT = 'Check that config.json belongs to this checkpoint and was not edited.';

/** A whole number > 0 from a config, under any of its names. */
export function count(config: Config, names: readonly string[], fallback?: number): number {
  for (const name of names) {
    const value = config[name];
    if (value === undefined || value === null) continue;
    if (typeof value !== 'number' || !Number.isInteger(value) || value <= 0)
      throw new LabError('config-value', `config.json: “${name}” is ${JSON.stringify(value)}; it must be a whole number above 0.`, HINT);
    return value;
  }
  if (fallback === undefined) throw new LabError('config-value', `config.json has no “${names[0] ?? ''}”.`, HINT);
  return fallback;
}

/** A finite number from a config. */
export function real(config: Config, name: string, fallback: number): number {
  const value = config[name];
  if (value === undefined || value === null) return fallback;
  if (typeof value !== 'number' || !Number.isFinite(value))
    throw new LabError('config-value', `config.json: “${name}” is ${JSON.stringify(value)}; it must be a number.`, HINT);
  return value;
}

export function flag(config: Config, name: string, fallback: boolean): boolean {
  const value = config[name];
  return typeof value === 'boolean' ? value : fallback;
}

/** A config inside a config. */
export function inner(config: Config, name: string): Config {
  const value = config[name];
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Config) : {};
}

const ACTS: Readonly<Record<string, Activation>> = {
  gelu_new: 'gelu_new',
  gelu_pytorch_tanh: 'gelu_new',
  gelu_fast: 'gelu_new',
  gelu: 'gelu',
  relu: 'relu',
  silu: 'silu',
  swish: 'silu',
};

/** The activation that a config names, under the key of its family. */
export function activation(config: Config, key: string, fallback: string): Activation {
  const name = String(config[key] ?? fallback);
  return ACTS[name] ?? refuse(`the activation “${name}”`);
}

/** How many heads and how wide: heads share key-value heads evenly. */
export function heads(config: Config): Pick<ModelSpec, 'dModel' | 'heads' | 'kvHeads' | 'dHead'> {
  const dModel = count(config, ['hidden_size']);
  const queries = count(config, ['num_attention_heads']);
  const kvHeads = count(config, ['num_key_value_heads'], queries);
  if (queries % kvHeads !== 0) refuse(`${queries} heads over ${kvHeads} key-value heads`);
  const dHead = count(config, ['head_dim'], Math.floor(dModel / queries));
  return { dModel, heads: queries, kvHeads, dHead };
}

/** Which layers slide: from layer_types where the config has it, else by the family's own rule. */
export function windows(config: Config, layers: number, window: number, slides: (layer: number) => boolean): number[] {
  const types = config['layer_types'];
  if (Array.isArray(types) && types.length !== layers) refuse(`${types.length} layer types over ${layers} layers`);
  return Array.from({ length: layers }, (_, layer) => {
    const type: unknown = Array.isArray(types) ? types[layer] : slides(layer) ? 'sliding_attention' : 'full_attention';
    if (type !== 'sliding_attention' && type !== 'full_attention') refuse(`layers of type “${String(type)}”`);
    return type === 'sliding_attention' ? window : 0;
  });
}

/** A setting that this engine does not implement is refused, never ignored: a wrong convention is silently wrong. */
export function refuse(what: string): never {
  throw new LabError(
    'config-unsupported',
    `This checkpoint uses ${what}, which Loupe does not run yet.`,
    'Try another checkpoint of the same family.',
  );
}

/** The two tensors of a layer's LayerNorm. */
export const normRules = (name: string, dModel: number, norm: NormName, layer: number): TensorRule[] => [
  { name: `${name}.weight`, shape: [dModel], place: { vector: `${norm}.w`, layer } },
  { name: `${name}.bias`, shape: [dModel], place: { vector: `${norm}.b`, layer } },
];
