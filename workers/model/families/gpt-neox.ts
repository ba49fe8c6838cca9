/**
 * GPT-NeoX (Pythia): attention and MLP read the stream side by side, each through its own LayerNorm; rotary over part of a head;
 * q, k and v of a head lie together in one tensor. Source: Black et al. 2022; tensor names as in Hugging Face's gpt_neox checkpoints.
 */
import { activation, count, flag, heads, normRules, real, type Family, type TensorRule } from '../family';
import { contextOf, rotaryPositions } from '../rope';
import { plainAttention } from '../spec';

export const gptNeox: Family = {
  types: ['gpt_neox'],
  title: 'GPT-NeoX',
  // Trained without one, as TransformerLens has it.
  prependBos: false,
  prefixes: ['gpt_neox.'],
  head: 'embed_out.weight',
  ignorable: /^layers\.\d+\.attention\.(bias|masked_bias|rotary_emb\.inv_freq)$/,
  spec(config) {
    // As many key-value heads as heads, whatever else the config says.
    const shape = heads({ ...config, num_key_value_heads: undefined, head_dim: undefined });
    const layers = count(config, ['num_hidden_layers']);
    const vocab = count(config, ['vocab_size']);
    const bias = flag(config, 'attention_bias', true);
    return {
      family: 'gpt_neox',
      ...shape,
      layers,
      dMlp: count(config, ['intermediate_size'], 4 * shape.dModel),
      vocab,
      vocabOut: vocab,
      context: contextOf(config, 2048),
      embedScale: 1,
      positions: rotaryPositions({ rope_theta: config['rotary_emb_base'], ...config }, layers, {
        dHead: shape.dHead,
        partial: real(config, 'rotary_pct', 0.25),
      }),
      norm: { kind: 'layer', eps: real(config, 'layer_norm_eps', 1e-5) },
      block: { parallel: flag(config, 'use_parallel_residual', true), sharedNorm: false, postNorms: false },
      attention: plainAttention(layers, shape.dHead),
      mlp: { gated: false, act: activation(config, 'hidden_act', 'gelu') },
      bias: { qkv: bias, out: bias, mlpIn: true, mlpOut: true, unembed: false },
      logitCap: 0,
      tied: flag(config, 'tie_word_embeddings', false),
    };
  },
  tensors(spec) {
    const { dModel: D, dMlp: M } = spec;
    const rules: TensorRule[] = [
      { name: 'embed_in.weight', shape: [spec.vocab, D], place: { matrix: 'embed' } },
      { name: 'final_layer_norm.weight', shape: [D], place: { vector: 'ln_final.w' } },
      { name: 'final_layer_norm.bias', shape: [D], place: { vector: 'ln_final.b' } },
    ];
    if (!spec.tied) rules.push({ name: 'embed_out.weight', shape: [spec.vocab, D], place: { matrix: 'unembed' } });
    for (let layer = 0; layer < spec.layers; layer++) {
      const at = `layers.${layer}`;
      rules.push(...normRules(`${at}.input_layernorm`, D, 'ln1', layer), ...normRules(`${at}.post_attention_layernorm`, D, 'ln2', layer));
      rules.push(
        { name: `${at}.attention.query_key_value.weight`, shape: [3 * D, D], place: { matrix: 'attn.qkv', layer, part: 'heads' } },
        { name: `${at}.attention.dense.weight`, shape: [D, D], place: { matrix: 'attn.out', layer } },
        { name: `${at}.mlp.dense_h_to_4h.weight`, shape: [M, D], place: { matrix: 'mlp.in', layer, part: 'in' } },
        { name: `${at}.mlp.dense_h_to_4h.bias`, shape: [M], place: { vector: 'mlp.in.b', layer, part: 'in' } },
        { name: `${at}.mlp.dense_4h_to_h.weight`, shape: [D, M], place: { matrix: 'mlp.out', layer } },
        { name: `${at}.mlp.dense_4h_to_h.bias`, shape: [D], place: { vector: 'mlp.out.b', layer } },
      );
      if (spec.bias.qkv)
        rules.push({ name: `${at}.attention.query_key_value.bias`, shape: [3 * D], place: { vector: 'attn.qkv.b', layer, part: 'heads' } });
      if (spec.bias.out) rules.push({ name: `${at}.attention.dense.bias`, shape: [D], place: { vector: 'attn.out.b', layer } });
    }
    return rules;
  },
};
