/**
 * Gemma 2: Llama with embeddings scaled by √d_model, gains kept less 1, a second norm after each branch, caps on scores and
 * logits, a scale of its own, and a window over every other layer, the first included (TransformerLens 2 had it reversed).
 * Source: Gemma Team 2024; tensor names as in Hugging Face's gemma2 checkpoints.
 */
import { activation, count, flag, real, refuse, windows, type Config, type Family } from '../family';
import type { ModelSpec } from '../spec';
import { LLAMA_IGNORABLE, llamaSpec, llamaTensors } from './llama';

/** What Gemma 2 and 3 share. */
export function gemmaSpec(family: string, config: Config, slides: (layer: number) => boolean): ModelSpec {
  if (config['use_bidirectional_attention'] === true) refuse('attention that looks ahead');
  const spec = llamaSpec(family, { ...config, head_dim: count(config, ['head_dim'], 256) });
  return {
    ...spec,
    embedScale: Math.sqrt(spec.dModel),
    block: { parallel: false, sharedNorm: false, postNorms: true },
    attention: {
      ...spec.attention,
      scale: real(config, 'query_pre_attn_scalar', 256) ** -0.5,
      windows: windows(config, spec.layers, count(config, ['sliding_window'], 4096), slides),
    },
    mlp: { gated: true, act: activation(config, 'hidden_activation', 'gelu_pytorch_tanh') },
    tied: flag(config, 'tie_word_embeddings', true),
  };
}

/** A cap that is null is none; one that is absent, the family's default. */
export const cap = (config: Config, name: string, fallback: number): number => (config[name] === null ? 0 : real(config, name, fallback));

export const gemma2: Family = {
  types: ['gemma2'],
  title: 'Gemma 2',
  prependBos: true,
  prefixes: ['model.'],
  ignorable: LLAMA_IGNORABLE,
  spec(config) {
    const spec = gemmaSpec('gemma2', config, (layer) => layer % 2 === 0);
    return {
      ...spec,
      attention: { ...spec.attention, cap: cap(config, 'attn_logit_softcapping', 50) },
      logitCap: cap(config, 'final_logit_softcapping', 30),
    };
  },
  tensors: (spec) => llamaTensors(spec, { gain: 1 }),
};
