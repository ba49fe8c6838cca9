/**
 * Llama: rotary positions (half-split pairs, plain or scaled), RMSNorm, gated SiLU MLP, grouped-query attention, biases only
 * where the config asks for them, head tied or not. Mistral, Qwen, Gemma and Phi-3 differ by a line or two and start from here.
 * Source: Touvron et al. 2023; tensor names as in Hugging Face's llama checkpoints.
 */
import { activation, count, flag, heads, real, type Config, type Family, type TensorRule } from '../family';
import { contextOf, rotaryPositions } from '../rope';
import { PLAIN_BLOCK, plainAttention, type ModelSpec } from '../spec';

/** What a config of this shape says, by Llama's defaults. */
export function llamaSpec(family: string, config: Config): ModelSpec {
  const shape = heads(config);
  const layers = count(config, ['num_hidden_layers']);
  const vocab = count(config, ['vocab_size']);
  const attentionBias = flag(config, 'attention_bias', false);
  const mlpBias = flag(config, 'mlp_bias', false);
  return {
    family,
    ...shape,
    layers,
    dMlp: count(config, ['intermediate_size']),
    vocab,
    vocabOut: vocab,
    context: contextOf(config, 2048),
    embedScale: 1,
    positions: rotaryPositions(config, layers, { dHead: shape.dHead }),
    norm: { kind: 'rms', eps: real(config, 'rms_norm_eps', 1e-6) },
    block: PLAIN_BLOCK,
    attention: plainAttention(layers, shape.dHead),
    mlp: { gated: true, act: activation(config, 'hidden_act', 'silu') },
    bias: { qkv: attentionBias, out: attentionBias, mlpIn: mlpBias, mlpOut: mlpBias, unembed: false },
    logitCap: 0,
    tied: flag(config, 'tie_word_embeddings', false),
  };
}

/** The names of a layer's norms: a plain block's two, or a sandwich's four. */
const NORMS = { ln1: 'input_layernorm', ln2: 'post_attention_layernorm' } as const;
const SANDWICH = {
  ln1: 'input_layernorm',
  ln1_post: 'post_attention_layernorm',
  ln2: 'pre_feedforward_layernorm',
  ln2_post: 'post_feedforward_layernorm',
} as const;

/** `gain`: what the checkpoint's gains are less than the real ones (Gemma: 1). `fused`: q, k, v in one tensor, gate and up in another. */
export function llamaTensors(spec: ModelSpec, { gain = 0, fused = false } = {}): TensorRule[] {
  const { dModel: D, dMlp: M, dHead, layers } = spec;
  const [Q, KV] = [spec.heads * dHead, spec.kvHeads * dHead];
  const plus = gain ? { plus: gain } : {};
  const rules: TensorRule[] = [
    { name: 'embed_tokens.weight', shape: [spec.vocab, D], place: { matrix: 'embed' } },
    { name: 'norm.weight', shape: [D], place: { vector: 'ln_final.w' }, ...plus },
  ];
  if (!spec.tied) rules.push({ name: 'lm_head.weight', shape: [spec.vocab, D], place: { matrix: 'unembed' } });
  for (let layer = 0; layer < layers; layer++) {
    const at = `layers.${layer}`;
    const qkv = fused
      ? ([['qkv', Q + 2 * KV]] as const)
      : ([
          ['q', Q],
          ['k', KV],
          ['v', KV],
        ] as const);
    const mlp = fused
      ? ([['gate-up', 'gate_up', 2 * M]] as const)
      : ([
          ['gate', 'gate', M],
          ['up', 'up', M],
        ] as const);
    for (const [norm, name] of Object.entries(spec.block.postNorms ? SANDWICH : NORMS))
      rules.push({ name: `${at}.${name}.weight`, shape: [D], place: { vector: `${norm as keyof typeof SANDWICH}.w`, layer }, ...plus });
    for (const [part, rows] of qkv) {
      rules.push({ name: `${at}.self_attn.${part}_proj.weight`, shape: [rows, D], place: { matrix: 'attn.qkv', layer, part } });
      if (spec.bias.qkv)
        rules.push({ name: `${at}.self_attn.${part}_proj.bias`, shape: [rows], place: { vector: 'attn.qkv.b', layer, part } });
    }
    if (spec.attention.qkNorm)
      for (const part of ['q', 'k'] as const)
        rules.push({
          name: `${at}.self_attn.${part}_norm.weight`,
          shape: [dHead],
          place: { vector: `attn.${part}_norm.w`, layer },
          ...plus,
        });
    rules.push({ name: `${at}.self_attn.o_proj.weight`, shape: [D, Q], place: { matrix: 'attn.out', layer } });
    if (spec.bias.out) rules.push({ name: `${at}.self_attn.o_proj.bias`, shape: [D], place: { vector: 'attn.out.b', layer } });
    for (const [part, name, rows] of mlp) {
      rules.push({ name: `${at}.mlp.${name}_proj.weight`, shape: [rows, D], place: { matrix: 'mlp.in', layer, part } });
      if (spec.bias.mlpIn) rules.push({ name: `${at}.mlp.${name}_proj.bias`, shape: [rows], place: { vector: 'mlp.in.b', layer, part } });
    }
    rules.push({ name: `${at}.mlp.down_proj.weight`, shape: [D, M], place: { matrix: 'mlp.out', layer } });
    if (spec.bias.mlpOut) rules.push({ name: `${at}.mlp.down_proj.bias`, shape: [D], place: { vector: 'mlp.out.b', layer } });
  }
  return rules;
}

/** Old checkpoints carry the frequencies, which the config says as well. */
export const LLAMA_IGNORABLE = /^layers\.\d+\.self_attn\.rotary_emb\.inv_freq$/;

export const llama: Family = {
  types: ['llama'],
  title: 'Llama',
  prependBos: true,
  prefixes: ['model.'],
  ignorable: LLAMA_IGNORABLE,
  spec: (config) => llamaSpec('llama', config),
  tensors: (spec) => llamaTensors(spec),
};
