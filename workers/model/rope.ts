/**
 * How fast each pair of a head turns, from what a config.json says of it. transformers ≥ 5 writes rope_parameters (one, or one
 * for each type of layer); earlier ones rope_theta, rope_scaling and partial_rotary_factor at the top level.
 * Sources: Su et al. 2021 (the plain form); maths.md C.3 and transformers' modeling_rope_utils (the scaled ones).
 */
import { LabError } from '../errors';
import { inner, real, refuse, type Config } from './family';
import type { ModelSpec, Rotary } from './spec';

export interface RopeRequest {
  dHead: number;
  /** The base where the config names none. */
  base?: number;
  /** How many dimensions of a head are turned, where the config gives their number. */
  dims?: number;
  /** The share of a head that is turned where the config does not say. */
  partial?: number;
  /** rope_parameters may differ by type of layer (Gemma 3). */
  layerType?: 'sliding_attention' | 'full_attention';
}

/** What a config says, in either spelling, as transformers ≥ 5 spells it. */
function parameters(config: Config, layerType: RopeRequest['layerType']): Config {
  const nested = inner(config, 'rope_parameters');
  const own = layerType && layerType in nested ? inner(nested, layerType) : nested;
  const flat = Object.fromEntries(['rope_theta', 'partial_rotary_factor'].filter((key) => key in config).map((key) => [key, config[key]]));
  return { ...flat, ...inner(config, 'rope_scaling'), ...own };
}

/** The dimensions of a head that are turned, and the table they turn by. */
export function rotary(config: Config, request: RopeRequest): { dims: number; table: Rotary } {
  const rope = parameters(config, request.layerType);
  const base = real(rope, 'rope_theta', request.base ?? 10000);
  const partial = real(rope, 'partial_rotary_factor', request.partial ?? 1);
  const asked = request.dims ?? Math.floor(request.dHead * partial);
  // An odd share is rounded up to pairs, as transformers does; the frequencies go by the share as asked.
  const dims = 2 * Math.ceil(asked / 2);
  if (asked < 1 || dims > request.dHead || request.dHead % 2 !== 0)
    refuse(`rotary positions over ${asked} of ${request.dHead} dimensions a head`);
  const plain = Array.from({ length: dims / 2 }, (_, i) => base ** ((-2 * i) / asked));
  return { dims, table: scaled(plain, config, rope) };
}

function scaled(plain: readonly number[], config: Config, rope: Config): Rotary {
  const type = String(rope['rope_type'] ?? rope['type'] ?? 'default');
  switch (type) {
    case 'default':
    // Stretches with the text only beyond the trained context, where Loupe does not go.
    case 'dynamic':
      return { frequencies: plain, scale: 1 };
    case 'linear': {
      const factor = need(rope, 'factor');
      return { frequencies: plain.map((f) => f / factor), scale: 1 };
    }
    case 'llama3':
      return { frequencies: plain.map((f) => llama3(f, rope)), scale: 1 };
    case 'longrope':
    case 'su':
      return longrope(plain, config, rope);
    default:
      return refuse(`rotary scaling of type “${type}”`);
  }
}

/** λ = 2π/f. Short waves stay, long ones are divided, those between pass from one to the other. */
function llama3(f: number, rope: Config): number {
  const factor = need(rope, 'factor');
  const low = need(rope, 'low_freq_factor');
  const high = need(rope, 'high_freq_factor');
  const original = need(rope, 'original_max_position_embeddings');
  const wave = (2 * Math.PI) / f;
  if (wave < original / high) return f;
  if (wave > original / low) return f / factor;
  const s = (original / wave - low) / (high - low);
  return ((1 - s) * f) / factor + s * f;
}

/** A divisor for each pair. The short ones are in force up to the original context, and Loupe reads no further (see contextOf). */
function longrope(plain: readonly number[], config: Config, rope: Config): Rotary {
  const short: unknown = rope['short_factor'];
  if (!Array.isArray(short) || short.length !== plain.length || !short.every((each) => typeof each === 'number' && each > 0))
    throw fault('short_factor', `must list ${plain.length} numbers above 0`);
  const original = originalContext(config, rope);
  const most = real(config, 'max_position_embeddings', original);
  const factor = most > original ? most / original : real(rope, 'factor', 1);
  const scale = factor > 1 ? Math.sqrt(1 + Math.log(factor) / Math.log(original)) : 1;
  return { frequencies: plain.map((f, i) => f / Number(short[i])), scale: real(rope, 'attention_factor', scale) };
}

function originalContext(config: Config, rope: Config): number {
  const most = real(config, 'max_position_embeddings', 4096);
  return real(rope, 'original_max_position_embeddings', real(config, 'original_max_position_embeddings', most));
}

/** The longest sequence that the table is right for: with LongRoPE, the original context. */
export function contextOf(config: Config, fallback: number): number {
  const rope = parameters(config, undefined);
  const most = real(config, 'max_position_embeddings', fallback);
  const long = ['longrope', 'su'].includes(String(rope['rope_type'] ?? rope['type']));
  return long ? Math.min(most, originalContext(config, rope)) : most;
}

const fault = (name: string, must: string): LabError =>
  new LabError(
    'config-value',
    `config.json: the rotary scaling’s “${name}” ${must}.`,
    'Check that config.json belongs to this checkpoint and was not edited.',
  );

function need(rope: Config, name: string): number {
  const value = real(rope, name, NaN);
  if (!(value > 0)) throw fault(name, 'must be a number above 0');
  return value;
}

/** Positions of a model whose layers all turn alike. */
export function rotaryPositions(config: Config, layers: number, request: RopeRequest): ModelSpec['positions'] {
  const { dims, table } = rotary(config, request);
  return { kind: 'rotary', dims, tables: [table], tableOf: new Array<number>(layers).fill(0) };
}
