/**
 * Llama: rotary positions (half-split pairs), RMSNorm, gated SiLU MLP, grouped-query attention, no biases, head tied or not.
 * Source: Touvron et al. 2023; tensor names as in Hugging Face's llama checkpoints.
 */
import { count, flag, real, refuse, type Family, type TensorRule } from '../family';
import type { Activation } from '../spec';

const ACTS: Record<string, Activation> = {
  silu: 'silu',
  swish: 'silu',
  gelu: 'gelu',
  gelu_new: 'gelu_new',
  gelu_pytorch_tanh: 'gelu_new',
  relu: 'relu',
};

/** transformers ≥ 5 writes the base under rope_parameters; earlier ones at the top level beside rope_scaling. */
function ropeBase(config: Record<string, unknown>): number {
  const nested = config['rope_parameters'];
  const rope = typeof nested === 'object' && nested !== null ? (nested as Record<string, unknown>) : {};
  const scaling = config['rope_scaling'];
  const type =
    rope['rope_type'] ??
    (typeof scaling === 'object' && scaling !== null
      ? ((scaling as Record<string, unknown>)['rope_type'] ?? (scaling as Record<string, unknown>)['type'])
      : undefined);
  if (type !== undefined && type !== null && type !== 'default') refuse(`rotary scaling of type “${String(type)}”`);
  return real(rope, 'rope_theta', real(config, 'rope_theta', 10000));
}

export const llama: Family = {
  types: ['llama'],
  title: 'Llama',
  prependBos: true,
  prefixes: ['model.'],
  ignorable: /^layers\.\d+\.self_attn\.rotary_emb\.inv_freq$/,
  spec(config) {
    const dModel = count(config, ['hidden_size']);
    const heads = count(config, ['num_attention_heads']);
    const kvHeads = count(config, ['num_key_value_heads'], heads);
    if (heads % kvHeads !== 0) refuse(`${heads} heads over ${kvHeads} key-value heads`);
    const dHead = count(config, ['head_dim'], Math.floor(dModel / heads));
    if (dHead % 2 !== 0) refuse(`rotary positions over an odd head width (${dHead})`);
    const name = String(config['hidden_act'] ?? 'silu');
    const act = ACTS[name] ?? refuse(`the activation “${name}”`);
    const attentionBias = flag(config, 'attention_bias', false);
    const mlpBias = flag(config, 'mlp_bias', false);
    return {
      family: 'llama',
      layers: count(config, ['num_hidden_layers']),
      dModel,
      heads,
      kvHeads,
      dHead,
      dMlp: count(config, ['intermediate_size']),
      vocab: count(config, ['vocab_size']),
      context: count(config, ['max_position_embeddings'], 2048),
      positions: { kind: 'rotary', dims: dHead, base: ropeBase(config) },
      norm: { kind: 'rms', eps: real(config, 'rms_norm_eps', 1e-6) },
      attention: { scale: 1 / Math.sqrt(dHead), divideByLayer: false },
      mlp: { gated: true, act },
      bias: { qkv: attentionBias, out: attentionBias, mlpIn: mlpBias, mlpOut: mlpBias, unembed: false },
      tied: flag(config, 'tie_word_embeddings', false),
    };
  },
  tensors(spec) {
    const { dModel: D, dMlp: M, dHead, heads, kvHeads } = spec;
    const rules: TensorRule[] = [
      { name: 'embed_tokens.weight', shape: [spec.vocab, D], place: { matrix: 'embed' } },
      { name: 'norm.weight', shape: [D], place: { vector: 'ln_final.w' } },
    ];
    if (!spec.tied) rules.push({ name: 'lm_head.weight', shape: [spec.vocab, D], place: { matrix: 'unembed' } });
    for (let layer = 0; layer < spec.layers; layer++) {
      const at = `layers.${layer}.self_attn`;
      const mlp = `layers.${layer}.mlp`;
      rules.push({ name: `layers.${layer}.input_layernorm.weight`, shape: [D], place: { vector: 'ln1.w', layer } });
      for (const [part, n] of [
        ['q', heads],
        ['k', kvHeads],
        ['v', kvHeads],
      ] as const) {
        rules.push({ name: `${at}.${part}_proj.weight`, shape: [n * dHead, D], place: { matrix: 'attn.qkv', layer, part } });
        if (spec.bias.qkv)
          rules.push({ name: `${at}.${part}_proj.bias`, shape: [n * dHead], place: { vector: 'attn.qkv.b', layer, part } });
      }
      rules.push({ name: `${at}.o_proj.weight`, shape: [D, heads * dHead], place: { matrix: 'attn.out', layer } });
      if (spec.bias.out) rules.push({ name: `${at}.o_proj.bias`, shape: [D], place: { vector: 'attn.out.b', layer } });
      rules.push(
        { name: `layers.${layer}.post_attention_layernorm.weight`, shape: [D], place: { vector: 'ln2.w', layer } },
        { name: `${mlp}.gate_proj.weight`, shape: [M, D], place: { matrix: 'mlp.in', layer, part: 'gate' } },
        { name: `${mlp}.up_proj.weight`, shape: [M, D], place: { matrix: 'mlp.in', layer, part: 'up' } },
        { name: `${mlp}.down_proj.weight`, shape: [D, M], place: { matrix: 'mlp.out', layer } },
      );
      if (spec.bias.mlpIn) {
        rules.push(
          { name: `${mlp}.gate_proj.bias`, shape: [M], place: { vector: 'mlp.in.b', layer, part: 'gate' } },
          { name: `${mlp}.up_proj.bias`, shape: [M], place: { vector: 'mlp.in.b', layer, part: 'up' } },
        );
      }
      if (spec.bias.mlpOut) rules.push({ name: `${mlp}.down_proj.bias`, shape: [D], place: { vector: 'mlp.out.b', layer } });
    }
    return rules;
  },
};
