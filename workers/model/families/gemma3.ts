/**
 * Gemma 3, its text part: Gemma 2 without caps, with q and k normed head by head, five windowed layers to each full one, and
 * two rotary bases: the windowed layers turn faster. Multimodal checkpoints keep the text part under a name of its own.
 * Source: Gemma Team 2025; tensor names as in Hugging Face's gemma3 checkpoints.
 */
import { count, inner, real, type Config, type Family } from '../family';
import { rotary } from '../rope';
import { cap, gemmaSpec } from './gemma2';
import { llamaTensors } from './llama';

/** A multimodal config keeps what it says of text apart, and leaves out whatever is the text config's default. */
const DEFAULTS = { num_attention_heads: 8, num_key_value_heads: 4, head_dim: 256, vocab_size: 262208, max_position_embeddings: 131072 };
const textOf = (config: Config): Config =>
  'text_config' in config
    ? // A head of the file's own is noted at the top (workers/import-model.ts).
      { ...DEFAULTS, ...inner(config, 'text_config'), ...(config['tie_word_embeddings'] === false ? { tie_word_embeddings: false } : {}) }
    : { ...DEFAULTS, ...config };

export const gemma3: Family = {
  types: ['gemma3_text', 'gemma3'],
  title: 'Gemma 3',
  prependBos: true,
  prefixes: ['language_model.model.', 'model.language_model.', 'language_model.', 'model.'],
  ignorable: /^(vision_tower|multi_modal_projector|layers\.\d+\.self_attn\.rotary_emb)\./,
  spec(given) {
    const config = textOf(given);
    const period = count(config, ['sliding_window_pattern', '_sliding_window_pattern'], 6);
    const spec = gemmaSpec('gemma3_text', config, (layer) => (layer + 1) % period !== 0);
    const { dHead } = spec;
    // The old spelling has a base for each type of layer, and a scaling for the full layers alone.
    const local = { ...config, rope_theta: real(config, 'rope_local_base_freq', 10000), rope_scaling: null };
    const full = rotary(config, { dHead, base: 1e6, layerType: 'full_attention' });
    const sliding = rotary(local, { dHead, layerType: 'sliding_attention' });
    return {
      ...spec,
      positions: {
        kind: 'rotary',
        dims: full.dims,
        tables: [full.table, sliding.table],
        tableOf: spec.attention.windows.map((window) => (window > 0 ? 1 : 0)),
      },
      attention: { ...spec.attention, qkNorm: true, cap: cap(config, 'attn_logit_softcapping', 0) },
      logitCap: cap(config, 'final_logit_softcapping', 0),
    };
  },
  tensors: (spec) => llamaTensors(spec, { gain: 1 }),
};
