/**
 * What a family file provides: a config read into a spec, and a rule for every tensor of the checkpoint, so that the
 * files can be checked before a byte is copied and the weights placed without a family's name in the engine.
 */
import { LabError } from '../errors';
import type { ModelSpec } from './spec';

/**
 * Where the engine keeps a weight. Matrices are [out, in]; `blocks.l.attn.qkv` stacks q, k and v; `blocks.l.mlp.in`
 * interleaves gate and up row by row where there is a gate. Vectors are norm gains and biases.
 */
export type Place =
  | { matrix: 'embed' | 'pos' | 'unembed' }
  | { matrix: 'attn.qkv'; layer: number; part: 'q' | 'k' | 'v' | 'qkv' }
  | { matrix: 'attn.out'; layer: number }
  | { matrix: 'mlp.in'; layer: number; part: 'in' | 'gate' | 'up' }
  | { matrix: 'mlp.out'; layer: number }
  | { vector: 'ln1.w' | 'ln1.b' | 'ln2.w' | 'ln2.b' | 'mlp.out.b' | 'attn.out.b'; layer: number }
  | { vector: 'mlp.in.b'; layer: number; part: 'in' | 'gate' | 'up' }
  | { vector: 'attn.qkv.b'; layer: number; part: 'q' | 'k' | 'v' | 'qkv' }
  | { vector: 'ln_final.w' | 'ln_final.b' | 'unembed.b' };

/** One tensor that a checkpoint must hold. `transposed`: stored [in, out], as GPT-2's Conv1D does. */
export interface TensorRule {
  name: string;
  shape: number[];
  place: Place;
  transposed?: boolean;
}

export interface Family {
  /** config.json's model_type values that this family reads. */
  types: readonly string[];
  /** A person's name for it. */
  title: string;
  /** Does a string prompt get a BOS by default? (TransformerLens prepends for both first families.) */
  prependBos: boolean;
  /** Prefixes that some checkpoints put before every name. */
  prefixes: readonly string[];
  /** Names (without prefix) that checkpoints carry and that hold nothing learned. */
  ignorable: RegExp;
  spec(config: Record<string, unknown>): ModelSpec;
  tensors(spec: ModelSpec): TensorRule[];
}

const HINT = 'Check that config.json belongs to this checkpoint and was not edited.';

/** A whole number > 0 from a config, under any of its names. */
export function count(config: Record<string, unknown>, names: readonly string[], fallback?: number): number {
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
export function real(config: Record<string, unknown>, name: string, fallback: number): number {
  const value = config[name];
  if (value === undefined || value === null) return fallback;
  if (typeof value !== 'number' || !Number.isFinite(value))
    throw new LabError('config-value', `config.json: “${name}” is ${JSON.stringify(value)}; it must be a number.`, HINT);
  return value;
}

export function flag(config: Record<string, unknown>, name: string, fallback: boolean): boolean {
  const value = config[name];
  return typeof value === 'boolean' ? value : fallback;
}

/** A setting that this engine does not implement is refused, never ignored: a wrong convention is silently wrong. */
export function refuse(what: string): never {
  throw new LabError(
    'config-unsupported',
    `This checkpoint uses ${what}, which Loupe does not run yet.`,
    'Try another checkpoint of the same family.',
  );
}
