/**
 * TransformerLens's own models: toys, attention-only stacks, grokked arithmetic. config.json is HookedTransformerConfig.to_dict(), the
 * weights are model.state_dict() under TransformerLens's names. No biases, no norm, no MLP, fewer answers than questions: all allowed.
 * Source: TransformerLens's HookedTransformerConfig and HookedTransformer.
 */
import { activation, count, flag, real, refuse, type Config, type Family, type TensorRule } from '../family';
import { rotary } from '../rope';
import type { ModelSpec } from '../spec';

const NORMS: Readonly<Record<string, ModelSpec['norm']['kind']>> = { LN: 'layer', LNPre: 'layer', RMS: 'rms', RMSPre: 'rms' };

/** Switches of TransformerLens's that change what a model computes, and that the engine does not have. */
const OTHERS = [
  ...['use_normalization_before_and_after', 'use_qk_norm', 'post_embedding_ln', 'use_attention_sinks', 'use_logn_attn'],
  ...['use_NTK_by_parts_rope', 'use_yarn_rope', 'use_dynamic_ntk_rope'],
];

function positions(config: Config, layers: number, dHead: number): ModelSpec['positions'] {
  const kind = String(config['positional_embedding_type'] ?? 'standard');
  if (kind === 'standard') return { kind: 'learned' };
  if (kind !== 'rotary') refuse(`positions of type “${kind}”`);
  if (flag(config, 'rotary_adjacent_pairs', false)) refuse('rotary positions over adjacent pairs');
  const { dims, table } = rotary({ rope_theta: real(config, 'rotary_base', 10000) }, { dHead, dims: count(config, ['rotary_dim'], dHead) });
  return { kind: 'rotary', dims, tables: [table], tableOf: new Array<number>(layers).fill(0) };
}

function windowsOf(config: Config, layers: number): number[] {
  const types: unknown = config['attn_types'];
  if (!flag(config, 'use_local_attn', false) || !Array.isArray(types)) return new Array<number>(layers).fill(0);
  const window = count(config, ['window_size']);
  return Array.from({ length: layers }, (_, layer) => (types[layer] === 'local' ? window : 0));
}

export const toy: Family = {
  types: ['transformer_lens', 'hooked_transformer'],
  title: 'TransformerLens toy',
  prependBos: true,
  prefixes: [],
  head: 'unembed.W_U',
  ignorable: /^blocks\.\d+\.attn\.(mask|IGNORE|rotary_sin|rotary_cos)$/,
  matches: (config) => ['n_layers', 'd_model', 'd_head', 'd_vocab'].every((key) => typeof config[key] === 'number'),
  plainTokens: true,
  spec(config) {
    const layers = count(config, ['n_layers']);
    const dModel = count(config, ['d_model']);
    const dHead = count(config, ['d_head']);
    const heads = count(config, ['n_heads'], Math.floor(dModel / dHead));
    const kvHeads = count(config, ['n_key_value_heads'], heads);
    if (heads % kvHeads !== 0) refuse(`${heads} heads over ${kvHeads} key-value heads`);
    const vocab = count(config, ['d_vocab']);
    const normalization = config['normalization_type'];
    const kind =
      (normalization ?? null) === null ? 'none' : (NORMS[String(normalization)] ?? refuse(`the norm “${String(normalization)}”`));
    if (String(config['attention_dir'] ?? 'causal') !== 'causal') refuse('attention that looks ahead');
    if (flag(config, 'final_rms', false) && kind === 'layer') refuse('an RMSNorm after LayerNorms (final_rms)');
    for (const other of OTHERS) if (flag(config, other, false)) refuse(other);
    for (const other of ['clip_qkv', 'num_experts', 'rotary_base_local']) if ((config[other] ?? null) !== null) refuse(other);
    if (real(config, 'rotary_scaling_factor', 1) !== 1) refuse('rotary positions that are scaled (rotary_scaling_factor)');
    const only = flag(config, 'attn_only', false);
    const scale = real(config, 'attn_scale', -1);
    const gated = !only && flag(config, 'gated_mlp', false);
    return {
      family: 'toy',
      layers,
      dModel,
      heads,
      kvHeads,
      dHead,
      dMlp: only ? 0 : count(config, ['d_mlp'], 4 * dModel),
      vocab,
      vocabOut: typeof config['d_vocab_out'] === 'number' && config['d_vocab_out'] > 0 ? count(config, ['d_vocab_out']) : vocab,
      context: count(config, ['n_ctx']),
      embedScale: 1,
      positions: positions(config, layers, dHead),
      norm: { kind, eps: real(config, 'eps', 1e-5) },
      block: { parallel: !only && flag(config, 'parallel_attn_mlp', false), sharedNorm: false, postNorms: false },
      attention: {
        scale: flag(config, 'use_attn_scale', true) ? 1 / (scale > 0 ? scale : Math.sqrt(dHead)) : 1,
        divideByLayer: flag(config, 'scale_attn_by_inverse_layer_idx', false),
        cap: Math.max(0, real(config, 'attn_scores_soft_cap', 0)),
        qkNorm: false,
        windows: windowsOf(config, layers),
      },
      mlp: { gated, act: only ? 'relu' : activation(config, 'act_fn', 'relu') },
      bias: { qkv: true, out: true, mlpIn: !only, mlpOut: !only, unembed: true },
      logitCap: Math.max(0, real(config, 'output_logits_soft_cap', 0)),
      tied: false,
    };
  },
  tensors(spec) {
    const { dModel: D, dMlp: M, dHead, heads } = spec;
    const gains = spec.norm.kind !== 'none';
    const shifts = spec.norm.kind === 'layer';
    const rules: TensorRule[] = [
      { name: 'embed.W_E', shape: [spec.vocab, D], place: { matrix: 'embed' } },
      { name: 'unembed.W_U', shape: [D, spec.vocabOut], place: { matrix: 'unembed' }, transposed: true },
      { name: 'unembed.b_U', shape: [spec.vocabOut], place: { vector: 'unembed.b' }, optional: true },
    ];
    if (spec.positions.kind === 'learned') rules.push({ name: 'pos_embed.W_pos', shape: [spec.context, D], place: { matrix: 'pos' } });
    if (gains) rules.push({ name: 'ln_final.w', shape: [D], place: { vector: 'ln_final.w' }, optional: true });
    if (shifts) rules.push({ name: 'ln_final.b', shape: [D], place: { vector: 'ln_final.b' }, optional: true });
    for (let layer = 0; layer < spec.layers; layer++) {
      const at = `blocks.${layer}`;
      for (const norm of M > 0 ? (['ln1', 'ln2'] as const) : (['ln1'] as const)) {
        if (gains) rules.push({ name: `${at}.${norm}.w`, shape: [D], place: { vector: `${norm}.w`, layer }, optional: true });
        if (shifts) rules.push({ name: `${at}.${norm}.b`, shape: [D], place: { vector: `${norm}.b`, layer }, optional: true });
      }
      for (const [part, name, n] of [
        ['q', 'Q', heads],
        ['k', 'K', spec.kvHeads],
        ['v', 'V', spec.kvHeads],
      ] as const) {
        // Where a config names key-value heads, TransformerLens keeps them under a name of their own: always where there are fewer of them.
        const shared = n < heads ? '_' : '';
        const also = (of: 'W' | 'b') => (name !== 'Q' && !shared ? { also: `${at}.attn._${of}_${name}` } : {});
        rules.push(
          {
            name: `${at}.attn.${shared}W_${name}`,
            ...also('W'),
            shape: [n, D, dHead],
            place: { matrix: 'attn.qkv', layer, part },
            transposed: true,
            stacked: true,
          },
          {
            name: `${at}.attn.${shared}b_${name}`,
            ...also('b'),
            shape: [n, dHead],
            place: { vector: 'attn.qkv.b', layer, part },
            optional: true,
          },
        );
      }
      rules.push(
        { name: `${at}.attn.W_O`, shape: [heads, dHead, D], place: { matrix: 'attn.out', layer }, transposed: true },
        { name: `${at}.attn.b_O`, shape: [D], place: { vector: 'attn.out.b', layer }, optional: true },
      );
      if (M === 0) continue;
      const into = spec.mlp.gated
        ? ([
            ['gate', 'W_gate'],
            ['up', 'W_in'],
          ] as const)
        : ([['in', 'W_in']] as const);
      for (const [part, name] of into)
        rules.push({ name: `${at}.mlp.${name}`, shape: [D, M], place: { matrix: 'mlp.in', layer, part }, transposed: true });
      rules.push(
        {
          name: `${at}.mlp.b_in`,
          shape: [M],
          place: { vector: 'mlp.in.b', layer, part: spec.mlp.gated ? 'up' : 'in' },
          optional: true,
          // TransformerLens adds it to the product of the two, where the engine has it on one of them.
          ...(spec.mlp.gated ? { zeros: 'a bias behind a gated MLP’s product' } : {}),
        },
        { name: `${at}.mlp.W_out`, shape: [M, D], place: { matrix: 'mlp.out', layer }, transposed: true },
        { name: `${at}.mlp.b_out`, shape: [D], place: { vector: 'mlp.out.b', layer }, optional: true },
      );
    }
    return rules;
  },
};
