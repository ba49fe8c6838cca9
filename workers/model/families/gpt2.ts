/**
 * GPT-2: learned positions, LayerNorm, plain GELU MLP, biases everywhere, tied head. Weights are Conv1D, stored [in, out].
 * Source: Radford et al. 2019; tensor names as in Hugging Face's gpt2 checkpoints.
 */
import { activation, count, flag, normRules, real, refuse, type Family, type TensorRule } from '../family';
import { PLAIN_BLOCK, plainAttention } from '../spec';

export const gpt2: Family = {
  types: ['gpt2'],
  title: 'GPT-2',
  prependBos: true,
  prefixes: ['transformer.'],
  ignorable: /^h\.\d+\.attn\.(bias|masked_bias)$/,
  spec(config) {
    const dModel = count(config, ['n_embd', 'hidden_size']);
    const heads = count(config, ['n_head', 'num_attention_heads']);
    if (dModel % heads !== 0) refuse(`${heads} heads over a width of ${dModel}`);
    if (config['add_cross_attention'] === true) refuse('cross-attention');
    const dHead = dModel / heads;
    const tied = flag(config, 'tie_word_embeddings', true);
    const layers = count(config, ['n_layer', 'num_hidden_layers']);
    const vocab = count(config, ['vocab_size']);
    return {
      family: 'gpt2',
      layers,
      dModel,
      heads,
      kvHeads: heads,
      dHead,
      dMlp: count(config, ['n_inner'], 4 * dModel),
      vocab,
      vocabOut: vocab,
      context: count(config, ['n_positions', 'n_ctx', 'max_position_embeddings']),
      embedScale: 1,
      positions: { kind: 'learned' },
      norm: { kind: 'layer', eps: real(config, 'layer_norm_epsilon', 1e-5) },
      block: PLAIN_BLOCK,
      attention: {
        ...plainAttention(layers, dHead),
        ...(flag(config, 'scale_attn_weights', true) ? {} : { scale: 1 }),
        divideByLayer: flag(config, 'scale_attn_by_inverse_layer_idx', false),
      },
      mlp: { gated: false, act: activation(config, 'activation_function', 'gelu_new') },
      bias: { qkv: true, out: true, mlpIn: true, mlpOut: true, unembed: false },
      logitCap: 0,
      tied,
    };
  },
  tensors(spec) {
    const { dModel: D, dMlp: M } = spec;
    const rules: TensorRule[] = [
      { name: 'wte.weight', shape: [spec.vocab, D], place: { matrix: 'embed' } },
      { name: 'wpe.weight', shape: [spec.context, D], place: { matrix: 'pos' } },
      { name: 'ln_f.weight', shape: [D], place: { vector: 'ln_final.w' } },
      { name: 'ln_f.bias', shape: [D], place: { vector: 'ln_final.b' } },
    ];
    if (!spec.tied) rules.push({ name: 'lm_head.weight', shape: [spec.vocab, D], place: { matrix: 'unembed' } });
    for (let layer = 0; layer < spec.layers; layer++) {
      const h = `h.${layer}`;
      rules.push(
        ...normRules(`${h}.ln_1`, D, 'ln1', layer),
        { name: `${h}.attn.c_attn.weight`, shape: [D, 3 * D], place: { matrix: 'attn.qkv', layer, part: 'qkv' }, transposed: true },
        { name: `${h}.attn.c_attn.bias`, shape: [3 * D], place: { vector: 'attn.qkv.b', layer, part: 'qkv' } },
        { name: `${h}.attn.c_proj.weight`, shape: [D, D], place: { matrix: 'attn.out', layer }, transposed: true },
        { name: `${h}.attn.c_proj.bias`, shape: [D], place: { vector: 'attn.out.b', layer } },
        ...normRules(`${h}.ln_2`, D, 'ln2', layer),
        { name: `${h}.mlp.c_fc.weight`, shape: [D, M], place: { matrix: 'mlp.in', layer, part: 'in' }, transposed: true },
        { name: `${h}.mlp.c_fc.bias`, shape: [M], place: { vector: 'mlp.in.b', layer, part: 'in' } },
        { name: `${h}.mlp.c_proj.weight`, shape: [M, D], place: { matrix: 'mlp.out', layer }, transposed: true },
        { name: `${h}.mlp.c_proj.bias`, shape: [D], place: { vector: 'mlp.out.b', layer } },
      );
    }
    return rules;
  },
};
