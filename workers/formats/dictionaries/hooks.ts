/**
 * Where a dictionary stands in a model, in TransformerLens's names. Publishers write those, TransformerLens 3's names of module ends
 * (mlp.hook_in), or Hugging Face's modules (model.layers.5.mlp), whose output or input is meant. What has no exact equal among Loupe's
 * hooks is refused: the hook next to it would be silently wrong.
 */
import type { Hook } from '../../api';
import type { Contract } from '../../dictionary/spec';
import { hookUnknown } from './refusals';

export interface Spot {
  hook: Hook;
  /** The hook is a norm's, and what leaves the norm is meant: see Contract.normGain. */
  normGain?: true;
  /** The heads of z side by side. */
  heads?: true;
}
export type End = 'in' | 'out';

const OURS =
  /^(blocks\.\d+\.(ln[12](_post)?\.hook_(scale|normalized)|attn\.hook_(q|k|v|z|rot_q|rot_k)|mlp\.hook_(pre|pre_linear|post)|hook_(resid_(pre|mid|post)|attn_out|mlp_out))|hook_embed|hook_pos_embed|ln_final\.hook_(scale|normalized))$/;

/** TransformerLens's own names for what Loupe has under another. */
const ALIASES: Readonly<Record<string, Omit<Spot, 'hook'> & { as: string }>> = {
  hook_in: { as: 'hook_resid_pre' },
  hook_out: { as: 'hook_resid_post' },
  hook_mlp_in: { as: 'hook_resid_mid' },
  hook_attn_in: { as: 'hook_resid_pre' },
  'mlp.hook_in': { as: 'ln2.hook_normalized', normGain: true },
  'ln2.hook_out': { as: 'ln2.hook_normalized', normGain: true },
  'ln1.hook_out': { as: 'ln1.hook_normalized', normGain: true },
  'mlp.hook_out': { as: 'hook_mlp_out' },
  'attn.hook_out': { as: 'hook_attn_out' },
  'attn.hook_in': { as: 'ln1.hook_normalized', normGain: true },
};
/** In models with norms after their branches, a branch's own output is not what is added to the stream. */
const RAW_BRANCH = new Set(['mlp.hook_out', 'attn.hook_out']);
/** “gemma-v3-1b-pt” is Gemma Scope 2's word for it. */
const POST_NORMS = /gemma-?v?[23]/i;

export function spotOf(name: string, end: End, where: string, model = ''): Spot {
  const hook = name.trim();
  const [, layer, rest = ''] = /^blocks\.(\d+)\.(.+)$/.exec(hook) ?? [];
  if (layer !== undefined && RAW_BRANCH.has(rest) && POST_NORMS.test(model)) throw rawBranch(where, name);
  const alias = ALIASES[rest];
  if (layer !== undefined && alias) {
    const { as, ...more } = alias;
    return { hook: `blocks.${layer}.${as}`, ...more };
  }
  if (OURS.test(hook)) return { hook, ...(hook.endsWith('attn.hook_z') ? { heads: true as const } : {}) };
  const found = moduleSpot(hook, end, where, model);
  if (found) return found;
  throw hookUnknown(where, `“${name}” is no place that Loupe knows in a model`);
}

const rawBranch = (where: string, name: string): Error =>
  hookUnknown(where, `“${name}” is a branch's output before the norm that follows it in this family, a place that Loupe has no hook for`);

const MODULE = /^(?:[a-z_]+\.)*(?:layers|h|blocks)\.(\d+)(?:\.(.+?))?$/;
const EMBEDDING = /^(?:[a-z_]+\.)*(?:embed_tokens|wte|embed_in)(?:\.output)?$/;

/** A module of a Hugging Face model: its output (or input) unless its name says which. */
function moduleSpot(name: string, end: End, where: string, model: string): Spot | undefined {
  if (EMBEDDING.test(name)) return { hook: 'hook_embed' };
  const said = /\.(input|output)$/.exec(name)?.[1];
  const side: End = said === undefined ? end : said === 'input' ? 'in' : 'out';
  const [, layer, part = ''] = MODULE.exec(said === undefined ? name : name.slice(0, -said.length - 1)) ?? [];
  if (layer === undefined) return undefined;
  const gemma = POST_NORMS.test(model);
  const at = (hook: string, more: Omit<Spot, 'hook'> = {}): Spot => ({ hook: `blocks.${layer}.${hook}`, ...more });
  const branch = (hook: string): Spot => {
    if (gemma) throw rawBranch(where, name);
    return at(hook);
  };
  const gain = { normGain: true } as const;
  switch (part) {
    case '':
      return at(side === 'in' ? 'hook_resid_pre' : 'hook_resid_post');
    case 'mlp':
    case 'feed_forward':
      return side === 'in' ? at('ln2.hook_normalized', gain) : branch('hook_mlp_out');
    case 'attn':
    case 'self_attn':
    case 'attention':
      return side === 'in' ? at('ln1.hook_normalized', gain) : branch('hook_attn_out');
    case 'self_attn.o_proj':
    case 'attn.c_proj':
    case 'attention.dense':
      return side === 'in' ? at('attn.hook_z', { heads: true }) : branch('hook_attn_out');
    case 'mlp.down_proj':
    case 'mlp.c_proj':
    case 'mlp.dense_4h_to_h':
      return side === 'in' ? at('mlp.hook_post') : branch('hook_mlp_out');
    case 'input_layernorm':
    case 'ln_1':
      return side === 'out' ? at('ln1.hook_normalized', gain) : at('hook_resid_pre');
    case 'pre_feedforward_layernorm':
    case 'ln_2':
      return side === 'out' ? at('ln2.hook_normalized', gain) : at('hook_resid_mid');
    case 'post_attention_layernorm':
      if (gemma) return side === 'out' ? at('hook_attn_out') : undefined;
      return side === 'out' ? at('ln2.hook_normalized', gain) : at('hook_resid_mid');
    case 'post_feedforward_layernorm':
      return side === 'out' ? at('hook_mlp_out') : undefined;
    default:
      return undefined;
  }
}

/** A hook's name as a part of a path: “gpt2/blocks.8.hook_resid_pre/ae.pt”. */
export function hookInPath(path: string): string | undefined {
  return path.split('/').find((part) => /^(blocks\.\d+\.[\w.]*hook_\w+|hook_(pos_)?embed|ln_final\.hook_normalized)$/.test(part));
}

export interface Spots {
  hookIn: Hook;
  hookOut: Hook;
  contract: Pick<Contract, 'reshape' | 'normGain'>;
}

/** Both ends. Of an autoencoder they are one; of a transcoder, a module's name means its input here and its output there. */
export function spotsOf(where: string, input: string, output: string, model: string | undefined, transcoder: boolean): Spots {
  const reads = spotOf(input, transcoder ? 'in' : 'out', where, model);
  const writes = transcoder || input !== output ? spotOf(output, 'out', where, model) : reads;
  if (writes.normGain) throw hookUnknown(where, `“${output}” is what leaves a norm with its gain, where Loupe can read but not write`);
  return {
    hookIn: reads.hook,
    hookOut: writes.hook,
    contract: { reshape: reads.heads ? 'hook_z' : 'none', ...(reads.normGain && { normGain: true }) },
  };
}
