/**
 * Phi-1 to Phi-2: one LayerNorm feeds attention and a plain GELU MLP in parallel, rotary over part of a head, biases everywhere,
 * the head's included. Source: Javaheripi et al. 2023; tensor names as in Hugging Face's phi checkpoints.
 */
import { activation, count, flag, heads, normRules, real, refuse, type Family, type TensorRule } from '../family';
import { contextOf, rotaryPositions } from '../rope';
import { plainAttention } from '../spec';

export const phi: Family = {
  types: ['phi'],
  title: 'Phi-2',
  prependBos: false,
  prefixes: ['model.'],
  ignorable: /^layers\.\d+\.self_attn\.rotary_emb\.inv_freq$/,
  spec(config) {
    if (flag(config, 'qk_layernorm', false)) refuse('norms of q and k with a mean (qk_layernorm)');
    const shape = heads(config);
    const layers = count(config, ['num_hidden_layers']);
    const vocab = count(config, ['vocab_size']);
    return {
      family: 'phi',
      ...shape,
      layers,
      dMlp: count(config, ['intermediate_size'], 4 * shape.dModel),
      vocab,
      vocabOut: vocab,
      context: contextOf(config, 2048),
      embedScale: 1,
      positions: rotaryPositions(config, layers, { dHead: shape.dHead, partial: 0.5 }),
      norm: { kind: 'layer', eps: real(config, 'layer_norm_eps', 1e-5) },
      block: { parallel: true, sharedNorm: true, postNorms: false },
      attention: plainAttention(layers, shape.dHead),
      mlp: { gated: false, act: activation(config, 'hidden_act', 'gelu_new') },
      bias: { qkv: true, out: true, mlpIn: true, mlpOut: true, unembed: true },
      logitCap: 0,
      tied: flag(config, 'tie_word_embeddings', false),
    };
  },
  tensors(spec) {
    const { dModel: D, dMlp: M, dHead } = spec;
    const rules: TensorRule[] = [
      { name: 'embed_tokens.weight', shape: [spec.vocab, D], place: { matrix: 'embed' } },
      { name: 'final_layernorm.weight', shape: [D], place: { vector: 'ln_final.w' } },
      { name: 'final_layernorm.bias', shape: [D], place: { vector: 'ln_final.b' } },
      { name: 'lm_head.bias', shape: [spec.vocab], place: { vector: 'unembed.b' } },
    ];
    if (!spec.tied) rules.push({ name: 'lm_head.weight', shape: [spec.vocab, D], place: { matrix: 'unembed' } });
    for (let layer = 0; layer < spec.layers; layer++) {
      const at = `layers.${layer}`;
      rules.push(...normRules(`${at}.input_layernorm`, D, 'ln1', layer));
      for (const [part, n] of [
        ['q', spec.heads],
        ['k', spec.kvHeads],
        ['v', spec.kvHeads],
      ] as const)
        rules.push(
          { name: `${at}.self_attn.${part}_proj.weight`, shape: [n * dHead, D], place: { matrix: 'attn.qkv', layer, part } },
          { name: `${at}.self_attn.${part}_proj.bias`, shape: [n * dHead], place: { vector: 'attn.qkv.b', layer, part } },
        );
      rules.push(
        { name: `${at}.self_attn.dense.weight`, shape: [D, spec.heads * dHead], place: { matrix: 'attn.out', layer } },
        { name: `${at}.self_attn.dense.bias`, shape: [D], place: { vector: 'attn.out.b', layer } },
        { name: `${at}.mlp.fc1.weight`, shape: [M, D], place: { matrix: 'mlp.in', layer, part: 'in' } },
        { name: `${at}.mlp.fc1.bias`, shape: [M], place: { vector: 'mlp.in.b', layer, part: 'in' } },
        { name: `${at}.mlp.fc2.weight`, shape: [D, M], place: { matrix: 'mlp.out', layer } },
        { name: `${at}.mlp.fc2.bias`, shape: [D], place: { vector: 'mlp.out.b', layer } },
      );
    }
    return rules;
  },
};
