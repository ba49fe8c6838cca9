/**
 * OpenAI's sparse_autoencoder: one .pt, whose path says where it belongs (resid_post_mlp_v5_32k/autoencoders/8.pt). pre_bias, encoder.weight [M, d],
 * latent_bias, decoder.weight [d, M], and the activation beside them. TopK normalises its input (LayerNorm without gain, undone after decoding):
 * from_state_dict infers one from the other. Source: sparse_autoencoder/{model,paths}.py.
 */
import type { DictionarySpec } from '../../dictionary/spec';
import type { Dropped } from '../drop';
import type { LooseFile } from '../loose';
import { assemble, find, widthOf } from './assemble';
import type { DictionaryDraft, Format } from './draft';
import { hookInPath, spotsOf } from './hooks';
import { cleanPath, nameFrom } from './paths';
import { badValue, hookUnknown, unsupported } from './refusals';
import { contents } from './torch';
import { scalar } from './values';

export const openai: Format = {
  name: 'OpenAI',
  find: (place) =>
    contents(
      place,
      (file) => find(file, ['pre_bias']) !== undefined && find(file, ['latent_bias']) !== undefined,
      (dropped, file) => read(dropped, file),
    ),
};

const LOCATIONS: readonly [RegExp, string][] = [
  [/mlp_post_act/, 'mlp.hook_post'],
  [/resid_delta_mlp/, 'hook_mlp_out'],
  [/resid_delta_attn/, 'hook_attn_out'],
  [/resid_post_mlp/, 'hook_resid_post'],
  [/resid_post_attn/, 'hook_resid_mid'],
];

function hookOf(where: string, path: string): string {
  const own = hookInPath(path);
  if (own !== undefined) return own;
  const place = LOCATIONS.find(([name]) => name.test(path))?.[1];
  const layer = /(?:^|\/)(?:layer_?)?(\d+)(?:\.pth?)$/.exec(path)?.[1] ?? /layer_?(\d+)/.exec(path)?.[1];
  if (place !== undefined && layer !== undefined) return `blocks.${layer}.${place}`;
  throw hookUnknown(where, 'its path does not say which place of the model it belongs to (…/resid_post_mlp_v5_32k/autoencoders/8.pt)');
}

async function read(dropped: Dropped, file: LooseFile): Promise<DictionaryDraft> {
  const where = dropped.path;
  const path = cleanPath(dropped.path);
  const activation = file.plain['activation'] ?? 'ReLU';
  if (activation !== 'ReLU' && activation !== 'TopK')
    throw unsupported(where, `it asks for the activation “${JSON.stringify(activation)}”`);
  const topk = activation === 'TopK';
  const post = file.plain['activation_state_dict.postact_fn'] ?? 'ReLU';
  if (topk && post !== 'ReLU') throw unsupported(where, `it asks for “${JSON.stringify(post)}” after its TopK`);
  const k = topk ? await scalar(file, 'activation_state_dict.k', where) : undefined;
  if (topk && (k === undefined || !Number.isInteger(k) || k < 1))
    throw badValue(where, 'it does not say how many latents are kept (activation_state_dict.k)');
  const [latents, width] = [widthOf(file, ['latent_bias'], where), widthOf(file, ['pre_bias'], where)];
  const hook = hookOf(where, path);
  const model = /gpt2/i.test(path) ? 'gpt2' : undefined;
  const spots = spotsOf(where, hook, hook, model, false);
  const spec: DictionarySpec = {
    kind: topk ? 'TopK' : 'ReLU',
    activation: topk ? 'topk' : 'relu',
    ...(k !== undefined && { k }),
    hookIn: spots.hookIn,
    hookOut: spots.hookOut,
    dIn: width,
    dOut: width,
    latents,
    skip: false,
    contract: {
      residual: 'raw',
      normalisation: topk ? 'layer_norm' : 'none',
      scale: 1,
      subtractBDec: true,
      rescaleByDecoderNorm: false,
      ...spots.contract,
      prependBos: false,
    },
  };
  const tied = !find(file, ['decoder.weight']);
  const { tensors, notes } = await assemble(
    where,
    file,
    spec,
    {
      W_enc: { names: ['encoder.weight'], documented: 'canonical' },
      W_dec: tied
        ? { names: ['decoder.linear.weight', 'encoder.weight'], documented: 'canonical' }
        : { names: ['decoder.weight'], documented: 'transposed' },
      b_enc: { names: ['latent_bias'] },
      b_dec: { names: ['pre_bias'] },
    },
    /^(stats_last_nonzero|latents_activation_frequency|latents_mean_square|activation)/,
  );
  if (tied) notes.unshift('Its decoder is its encoder (tied).');
  return {
    name: nameFrom(path.replace(/\.pth?$/, ''), spots.hookIn),
    format: 'OpenAI',
    spec,
    ...(model !== undefined && { model }),
    promised: {},
    tensors,
    notes,
  };
}
