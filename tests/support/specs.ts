/** The config.json of models that people bring, and their shapes: plans are made for them without a weight. */
import { familyOf } from '../../workers/model/families';
import type { Config } from '../../workers/model/family';
import type { ModelSpec } from '../../workers/model/spec';

const specOf = (config: Config): ModelSpec => familyOf(config).spec(config);

/** What a config.json says that decides a spec; transformers 4's spelling, which is what the hub holds. */
export const CONFIGS = {
  gpt2: { model_type: 'gpt2', n_layer: 12, n_embd: 768, n_head: 12, vocab_size: 50257, n_positions: 1024 },
  'TinyStories-33M': {
    ...{ model_type: 'gpt_neo', hidden_size: 768, num_layers: 4, num_heads: 16, intermediate_size: null, vocab_size: 50257 },
    ...{ max_position_embeddings: 2048, window_size: 256, activation_function: 'gelu_new', layer_norm_epsilon: 1e-5 },
    ...{ attention_types: [[['global', 'local'], 2]], attention_layers: ['global', 'local', 'global', 'local'] },
  },
  'pythia-160m': {
    ...{ model_type: 'gpt_neox', hidden_size: 768, num_hidden_layers: 12, num_attention_heads: 12, intermediate_size: 3072 },
    ...{ vocab_size: 50304, max_position_embeddings: 2048, rotary_pct: 0.25, rotary_emb_base: 10000, hidden_act: 'gelu' },
    ...{ layer_norm_eps: 1e-5, use_parallel_residual: true, tie_word_embeddings: false },
  },
  'Llama-3.2-1B': {
    ...{ model_type: 'llama', hidden_size: 2048, num_hidden_layers: 16, num_attention_heads: 32, num_key_value_heads: 8, head_dim: 64 },
    ...{ intermediate_size: 8192, vocab_size: 128256, max_position_embeddings: 131072, rms_norm_eps: 1e-5, rope_theta: 500000 },
    ...{ hidden_act: 'silu', attention_bias: false, mlp_bias: false, tie_word_embeddings: true },
    rope_scaling: { factor: 32, high_freq_factor: 4, low_freq_factor: 1, original_max_position_embeddings: 8192, rope_type: 'llama3' },
  },
  'Mistral-7B-v0.1': {
    ...{ model_type: 'mistral', hidden_size: 4096, num_hidden_layers: 32, num_attention_heads: 32, num_key_value_heads: 8 },
    ...{ intermediate_size: 14336, vocab_size: 32000, max_position_embeddings: 32768, rms_norm_eps: 1e-5, rope_theta: 10000 },
    ...{ hidden_act: 'silu', sliding_window: 4096, tie_word_embeddings: false },
  },
  'Qwen2.5-0.5B': {
    ...{ model_type: 'qwen2', hidden_size: 896, num_hidden_layers: 24, num_attention_heads: 14, num_key_value_heads: 2 },
    ...{ intermediate_size: 4864, vocab_size: 151936, max_position_embeddings: 32768, rms_norm_eps: 1e-6, rope_theta: 1000000 },
    ...{ hidden_act: 'silu', sliding_window: 32768, max_window_layers: 24, use_sliding_window: false, tie_word_embeddings: true },
  },
  'Qwen3-0.6B': {
    ...{ model_type: 'qwen3', hidden_size: 1024, num_hidden_layers: 28, num_attention_heads: 16, num_key_value_heads: 8, head_dim: 128 },
    ...{ intermediate_size: 3072, vocab_size: 151936, max_position_embeddings: 40960, rms_norm_eps: 1e-6, rope_theta: 1000000 },
    ...{ hidden_act: 'silu', sliding_window: null, max_window_layers: 28, use_sliding_window: false, tie_word_embeddings: true },
    ...{ attention_bias: false, rope_scaling: null },
  },
  'gemma-2-2b': {
    ...{ model_type: 'gemma2', hidden_size: 2304, num_hidden_layers: 26, num_attention_heads: 8, num_key_value_heads: 4, head_dim: 256 },
    ...{ intermediate_size: 9216, vocab_size: 256000, max_position_embeddings: 8192, rms_norm_eps: 1e-6, rope_theta: 10000 },
    ...{ hidden_activation: 'gelu_pytorch_tanh', sliding_window: 4096, query_pre_attn_scalar: 256, attention_bias: false },
    ...{ attn_logit_softcapping: 50, final_logit_softcapping: 30 },
  },
  'gemma-3-1b-pt': {
    ...{ model_type: 'gemma3_text', hidden_size: 1152, num_hidden_layers: 26, num_attention_heads: 4, num_key_value_heads: 1 },
    ...{ head_dim: 256, intermediate_size: 6912, vocab_size: 262144, max_position_embeddings: 32768, rms_norm_eps: 1e-6 },
    ...{ rope_theta: 1000000, rope_local_base_freq: 10000, rope_scaling: null, sliding_window: 512, sliding_window_pattern: 6 },
    ...{ hidden_activation: 'gelu_pytorch_tanh', query_pre_attn_scalar: 256, attention_bias: false },
    ...{ attn_logit_softcapping: null, final_logit_softcapping: null },
  },
  'phi-2': {
    ...{ model_type: 'phi', hidden_size: 2560, num_hidden_layers: 32, num_attention_heads: 32, num_key_value_heads: 32 },
    ...{ intermediate_size: 10240, vocab_size: 51200, max_position_embeddings: 2048, layer_norm_eps: 1e-5, rope_theta: 10000 },
    ...{ hidden_act: 'gelu_new', partial_rotary_factor: 0.4, qk_layernorm: false, rope_scaling: null, tie_word_embeddings: false },
  },
  'Phi-3-mini-4k-instruct': {
    ...{ model_type: 'phi3', hidden_size: 3072, num_hidden_layers: 32, num_attention_heads: 32, num_key_value_heads: 32 },
    ...{ intermediate_size: 8192, vocab_size: 32064, max_position_embeddings: 4096, original_max_position_embeddings: 4096 },
    ...{ rms_norm_eps: 1e-5, rope_theta: 10000, rope_scaling: null, hidden_act: 'silu', sliding_window: 2047 },
    ...{ attention_bias: false, tie_word_embeddings: false },
  },
  'starcoder2-3b': {
    ...{ model_type: 'starcoder2', hidden_size: 3072, num_hidden_layers: 30, num_attention_heads: 24, num_key_value_heads: 2 },
    ...{ intermediate_size: 12288, vocab_size: 49152, max_position_embeddings: 16384, norm_epsilon: 1e-5, rope_theta: 999999.4420358813 },
    ...{ hidden_act: 'gelu_pytorch_tanh', sliding_window: 4096, use_bias: true, mlp_type: 'default', norm_type: 'layer_norm' },
  },
  /** Two layers of attention and nothing else, as TransformerLens writes it. */
  'attn-only-2l': {
    ...{ n_layers: 2, d_model: 512, n_ctx: 1024, d_head: 64, n_heads: 8, d_vocab: 48262, d_vocab_out: 48262, attn_only: true },
    ...{ normalization_type: 'LNPre', positional_embedding_type: 'standard', eps: 1e-5 },
  },
} as const satisfies Record<string, Config>;
export type ModelName = keyof typeof CONFIGS;

export const SPECS = Object.fromEntries(Object.entries(CONFIGS).map(([name, config]) => [name, specOf(config)])) as Record<
  ModelName,
  ModelSpec
>;

export const GPT2_SMALL = SPECS.gpt2;

export const SMALL_LLAMA = specOf({
  model_type: 'llama',
  num_hidden_layers: 12,
  hidden_size: 768,
  num_attention_heads: 12,
  num_key_value_heads: 4,
  intermediate_size: 2048,
  vocab_size: 32000,
  max_position_embeddings: 2048,
});
