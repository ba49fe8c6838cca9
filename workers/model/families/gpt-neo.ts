/**
 * GPT-Neo (TinyStories): GPT-2 with plain [out, in] weights, no scale on the scores, no biases on q, k and v, and a window over
 * the layers that the config calls local. Source: Black et al. 2021; tensor names as in Hugging Face's gpt_neo checkpoints.
 */
import { activation, count, flag, normRules, real, refuse, type Config, type Family, type TensorRule } from '../family';
import { PLAIN_BLOCK, plainAttention } from '../spec';

/** “global” or “local” for each layer: written out, or as patterns with how often each is repeated. */
function layerKinds(config: Config, layers: number): string[] {
  const listed: unknown = config['attention_layers'];
  const types: unknown = config['attention_types'] ?? [[['global', 'local'], layers / 2]];
  const kinds = Array.isArray(listed)
    ? listed.map(String)
    : Array.isArray(types)
      ? types.flatMap((each: unknown) => {
          const [pattern, times] = Array.isArray(each) ? (each as unknown[]) : [];
          return Array.isArray(pattern) && typeof times === 'number' && Number.isInteger(times)
            ? Array.from({ length: times }, () => pattern.map(String)).flat()
            : [];
        })
      : [];
  if (kinds.length !== layers || !kinds.every((kind) => kind === 'global' || kind === 'local'))
    refuse(`attention types that do not name ${layers} layers global or local`);
  return kinds;
}

export const gptNeo: Family = {
  types: ['gpt_neo'],
  title: 'GPT-Neo',
  prependBos: true,
  prefixes: ['transformer.'],
  ignorable: /^h\.\d+\.attn\.attention\.(bias|masked_bias)$/,
  spec(config) {
    const dModel = count(config, ['hidden_size']);
    const heads = count(config, ['num_heads', 'num_attention_heads']);
    if (dModel % heads !== 0) refuse(`${heads} heads over a width of ${dModel}`);
    const layers = count(config, ['num_layers', 'num_hidden_layers']);
    const vocab = count(config, ['vocab_size']);
    const window = count(config, ['window_size'], 256);
    return {
      family: 'gpt_neo',
      layers,
      dModel,
      heads,
      kvHeads: heads,
      dHead: dModel / heads,
      dMlp: count(config, ['intermediate_size'], 4 * dModel),
      vocab,
      vocabOut: vocab,
      context: count(config, ['max_position_embeddings'], 2048),
      embedScale: 1,
      positions: { kind: 'learned' },
      norm: { kind: 'layer', eps: real(config, 'layer_norm_epsilon', 1e-5) },
      block: PLAIN_BLOCK,
      attention: {
        ...plainAttention(layers, dModel / heads),
        scale: 1,
        windows: layerKinds(config, layers).map((kind) => (kind === 'local' ? window : 0)),
      },
      mlp: { gated: false, act: activation(config, 'activation_function', 'gelu_new') },
      bias: { qkv: false, out: true, mlpIn: true, mlpOut: true, unembed: false },
      logitCap: 0,
      tied: flag(config, 'tie_word_embeddings', true),
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
      const attention = `${h}.attn.attention`;
      rules.push(...normRules(`${h}.ln_1`, D, 'ln1', layer), ...normRules(`${h}.ln_2`, D, 'ln2', layer));
      for (const part of ['q', 'k', 'v'] as const)
        rules.push({ name: `${attention}.${part}_proj.weight`, shape: [D, D], place: { matrix: 'attn.qkv', layer, part } });
      rules.push(
        { name: `${attention}.out_proj.weight`, shape: [D, D], place: { matrix: 'attn.out', layer } },
        { name: `${attention}.out_proj.bias`, shape: [D], place: { vector: 'attn.out.b', layer } },
        { name: `${h}.mlp.c_fc.weight`, shape: [M, D], place: { matrix: 'mlp.in', layer, part: 'in' } },
        { name: `${h}.mlp.c_fc.bias`, shape: [M], place: { vector: 'mlp.in.b', layer, part: 'in' } },
        { name: `${h}.mlp.c_proj.weight`, shape: [D, M], place: { matrix: 'mlp.out', layer } },
        { name: `${h}.mlp.c_proj.bias`, shape: [D], place: { vector: 'mlp.out.b', layer } },
      );
    }
    return rules;
  },
};
