/**
 * StarCoder 2: rotary over whole heads, LayerNorm, a plain GELU MLP, biases on every projection or on none, grouped-query
 * attention, a window over every layer where the config sets one.
 * Source: Lozhkov et al. 2024; tensor names as in Hugging Face's starcoder2 checkpoints.
 */
import { activation, count, flag, heads, normRules, real, refuse, type Family, type TensorRule } from '../family';
import { contextOf, rotaryPositions } from '../rope';
import { PLAIN_BLOCK, plainAttention } from '../spec';
import { LLAMA_IGNORABLE } from './llama';

export const starcoder2: Family = {
  types: ['starcoder2'],
  title: 'StarCoder 2',
  // Its tokeniser puts none.
  prependBos: false,
  prefixes: ['model.'],
  ignorable: LLAMA_IGNORABLE,
  spec(config) {
    // Two names that every config writes down and transformers does not read.
    for (const [key, only] of [
      ['norm_type', 'layer_norm'],
      ['mlp_type', 'default'],
    ] as const)
      if (String(config[key] ?? only) !== only) refuse(`a ${key} of “${String(config[key])}”`);
    const shape = heads({ num_key_value_heads: 2, ...config });
    const layers = count(config, ['num_hidden_layers']);
    const vocab = count(config, ['vocab_size']);
    const bias = flag(config, 'use_bias', true);
    const window = (config['sliding_window'] ?? null) === null ? 0 : count(config, ['sliding_window']);
    return {
      family: 'starcoder2',
      ...shape,
      layers,
      dMlp: count(config, ['intermediate_size']),
      vocab,
      vocabOut: vocab,
      context: contextOf(config, 4096),
      embedScale: 1,
      positions: rotaryPositions(config, layers, { dHead: shape.dHead }),
      norm: { kind: 'layer', eps: real(config, 'norm_epsilon', 1e-5) },
      block: PLAIN_BLOCK,
      attention: { ...plainAttention(layers, shape.dHead), windows: new Array<number>(layers).fill(window) },
      mlp: { gated: false, act: activation(config, 'hidden_act', 'gelu_pytorch_tanh') },
      bias: { qkv: bias, out: bias, mlpIn: bias, mlpOut: bias, unembed: false },
      logitCap: 0,
      tied: flag(config, 'tie_word_embeddings', true),
    };
  },
  tensors(spec) {
    const { dModel: D, dMlp: M, dHead, bias } = spec;
    const [Q, KV] = [spec.heads * dHead, spec.kvHeads * dHead];
    const rules: TensorRule[] = [
      { name: 'embed_tokens.weight', shape: [spec.vocab, D], place: { matrix: 'embed' } },
      { name: 'norm.weight', shape: [D], place: { vector: 'ln_final.w' } },
      { name: 'norm.bias', shape: [D], place: { vector: 'ln_final.b' } },
    ];
    if (!spec.tied) rules.push({ name: 'lm_head.weight', shape: [spec.vocab, D], place: { matrix: 'unembed' } });
    for (let layer = 0; layer < spec.layers; layer++) {
      const at = `layers.${layer}`;
      rules.push(...normRules(`${at}.input_layernorm`, D, 'ln1', layer), ...normRules(`${at}.post_attention_layernorm`, D, 'ln2', layer));
      for (const [part, rows] of [
        ['q', Q],
        ['k', KV],
        ['v', KV],
      ] as const) {
        rules.push({ name: `${at}.self_attn.${part}_proj.weight`, shape: [rows, D], place: { matrix: 'attn.qkv', layer, part } });
        if (bias.qkv)
          rules.push({ name: `${at}.self_attn.${part}_proj.bias`, shape: [rows], place: { vector: 'attn.qkv.b', layer, part } });
      }
      rules.push(
        { name: `${at}.self_attn.o_proj.weight`, shape: [D, Q], place: { matrix: 'attn.out', layer } },
        { name: `${at}.mlp.c_fc.weight`, shape: [M, D], place: { matrix: 'mlp.in', layer, part: 'in' } },
        { name: `${at}.mlp.c_proj.weight`, shape: [D, M], place: { matrix: 'mlp.out', layer } },
      );
      if (bias.out) rules.push({ name: `${at}.self_attn.o_proj.bias`, shape: [D], place: { vector: 'attn.out.b', layer } });
      if (bias.mlpIn) rules.push({ name: `${at}.mlp.c_fc.bias`, shape: [M], place: { vector: 'mlp.in.b', layer, part: 'in' } });
      if (bias.mlpOut) rules.push({ name: `${at}.mlp.c_proj.bias`, shape: [D], place: { vector: 'mlp.out.b', layer } });
    }
    return rules;
  },
};
