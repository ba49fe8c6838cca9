/**
 * A small random model of any family, made from its config alone: what the engine loads, and the same numbers as the float64
 * twin wants them. For what must hold in every family and needs no reference from elsewhere.
 */
import type { Tensor } from '../../workers/api';
import type { ModelRecord } from '../../workers/contract';
import { familyOf } from '../../workers/model/families';
import type { Config, TensorRule } from '../../workers/model/family';
import { RAW_WORDS } from '../../workers/model/processing';
import type { ModelSpec } from '../../workers/model/spec';
import type { TensorReader } from '../../workers/gpu/stored';
import { canonicalWeights, type Weights } from '../reference/weights';
import { numbers } from './numbers';

export interface RandomModel {
  record: ModelRecord;
  reader: TensorReader & { close(): void };
  spec: ModelSpec;
  weights: Weights;
}

const sizeOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** Gains about 1, biases and tables that matter, matrices that keep a row's size. */
function valuesOf(rule: TensorRule, seed: number, dModel: number): Float32Array<ArrayBuffer> {
  const { place } = rule;
  const size = sizeOf(rule.shape);
  if ('matrix' in place) return numbers(size, seed, place.matrix === 'embed' || place.matrix === 'pos' ? 1 : 2 / Math.sqrt(dModel));
  const values = numbers(size, seed, 0.4);
  return place.vector.endsWith('.w') ? values.map((value) => value + 1 - (rule.plus ?? 0)) : values;
}

export function randomModel(config: Record<string, unknown>): RandomModel {
  const family = familyOf(config as Config);
  const spec = family.spec(config);
  const tensors: ModelRecord['tensors'] = [];
  const canonical = new Map<string, Tensor>();
  const parts: Float32Array<ArrayBuffer>[] = [];
  let offset = 0;
  family.tensors(spec).forEach((rule, i) => {
    const data = valuesOf(rule, i + 1, spec.dModel);
    tensors.push({ name: rule.name, file: 0, dtype: 'F32', shape: rule.shape, offset, bytes: data.byteLength });
    canonical.set(rule.name, { shape: rule.shape, data });
    parts.push(data);
    offset += data.byteLength;
  });
  const bytes = new Uint8Array(offset);
  parts.forEach((part, i) => bytes.set(new Uint8Array(part.buffer), tensors[i]?.offset ?? 0));
  const { layers, dModel, heads, kvHeads, context } = spec;
  const shape = { layers, dModel, heads, kvHeads, context, dVocab: spec.vocab };
  return {
    spec,
    weights: canonicalWeights(spec, family, canonical),
    reader: {
      read: (_file, from, into) => into.set(bytes.subarray(from, from + into.length)),
      close: () => undefined,
    },
    record: {
      id: `random-${spec.family}`,
      name: spec.family,
      type: spec.family,
      config,
      stored: 'memory',
      files: [],
      tensors,
      tokenizer: {},
      tokenizerConfig: {},
      generationConfig: {},
      addedAt: 0,
      info: {
        ...shape,
        id: `random-${spec.family}`,
        name: spec.family,
        family: spec.family,
        parameters: offset / 4,
        weights: 'f32',
        bytes: offset,
        badge: `${family.title} · f32 · ${RAW_WORDS}`,
      },
    },
  };
}

const LLAMA = {
  hidden_size: 40,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  intermediate_size: 50,
  vocab_size: 61,
  max_position_embeddings: 32,
};

const TOY = { n_layers: 2, d_model: 33, n_heads: 4, d_head: 9, d_vocab: 61, n_ctx: 32 };

/** Odd widths, two layers: a block of every form. */
export const CONFIGS: Readonly<Record<string, Record<string, unknown>>> = {
  'GPT-2': { model_type: 'gpt2', n_layer: 2, n_embd: 35, n_head: 5, n_inner: 70, vocab_size: 61, n_positions: 32 },
  'GPT-Neo': {
    model_type: 'gpt_neo',
    num_layers: 2,
    hidden_size: 30,
    num_heads: 3,
    intermediate_size: 58,
    vocab_size: 61,
    max_position_embeddings: 32,
    window_size: 4,
    attention_types: [[['global', 'local'], 1]],
  },
  'GPT-NeoX': { ...LLAMA, model_type: 'gpt_neox', rotary_pct: 0.5 },
  'GPT-NeoX without attention biases': {
    ...LLAMA,
    model_type: 'gpt_neox',
    rotary_pct: 0.5,
    attention_bias: false,
    tie_word_embeddings: true,
  },
  'Phi-2': { ...LLAMA, model_type: 'phi' },
  Llama: { ...LLAMA, model_type: 'llama', tie_word_embeddings: true },
  'Qwen 2': { ...LLAMA, model_type: 'qwen2' },
  'Qwen 3': { ...LLAMA, model_type: 'qwen3', head_dim: 10 },
  'Gemma 2': { ...LLAMA, model_type: 'gemma2', head_dim: 10, query_pre_attn_scalar: 10, sliding_window: 4 },
  'Gemma 3': { ...LLAMA, model_type: 'gemma3_text', head_dim: 10, query_pre_attn_scalar: 10, sliding_window: 4, sliding_window_pattern: 2 },
  'toy with LayerNorm': {
    ...TOY,
    d_mlp: 50,
    d_vocab_out: 59,
    act_fn: 'gelu',
    normalization_type: 'LN',
  },
  'toy without norms': { ...TOY, attn_only: true, normalization_type: null },
};
