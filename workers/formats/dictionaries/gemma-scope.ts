/**
 * Gemma Scope: a params file in a folder whose path says everything else, layer_12/width_16k/average_l0_82/params.npz inside a repository called
 * gemma-scope-2b-pt-res. Gemma Scope 2 has params.safetensors, names in small letters, and a config.json that names the hooks as Hugging Face modules.
 * JumpReLU; b_dec is not subtracted; W_enc is [d, M], W_dec [M, d]. Source: Lieberum et al. 2024; sae_lens/loading/pretrained_sae_loaders.py.
 */
import type { Dropped } from '../drop';
import { readObject } from '../json';
import { wrappingOf } from '../loose-readers';
import { assemble, find, widthOf, type Given } from './assemble';
import { named, type DictionaryDraft, type Format, type Place } from './draft';
import { hookInPath, spotsOf } from './hooks';
import { cleanPath, nameFrom } from './paths';
import { badValue, crosscoder, GARBAGE, GARBAGE_HINT, hookUnknown, unsupported, weightsMissing } from './refusals';
import { countIf, flag, positive, textIf, unknownKeys, type Config } from './values';

export const gemmaScope: Format = {
  name: 'Gemma Scope',
  find(place) {
    const params = place.files.filter((each) => /^params\.(npz|safetensors)$/.test(each.name) && place.open(each) !== undefined);
    return params.map((weights) => {
      const config = wrappingOf(weights.name) === 'safetensors' ? named(place, 'config.json') : undefined;
      return { where: place.where, uses: [weights, ...(config ? [config] : [])], read: () => read(place, weights, config) };
    });
  },
};

/** What the names on the way to the file say. */
export function saidByPath(path: string): {
  layer?: number;
  thousands?: number;
  l0?: number;
  site?: Site;
  embedding: boolean;
  model?: string;
} {
  const [, size, tune, repo] = /gemma-scope-(\d+b)-(pt|it)(?:-(res|mlp|att|transcoders))?/.exec(path) ?? [];
  const layer = /(?:^|[/_])layer_(\d+)/.exec(path)?.[1];
  const [, width, unit] = /width_(\d+)(k|m)\b/.exec(path) ?? /width_(\d+)(k|m)_/.exec(path) ?? [];
  const l0 = /average_l0_(\d+)/.exec(path)?.[1];
  const folder = /(?:^|\/)(resid_post|attn_out|mlp_out|transcoder|crosscoder|clt)(?:_all)?(?:\/|$)/.exec(path)?.[1];
  const site = SITES[repo ?? folder ?? ''];
  const second = /gemma-scope-2-(\d+[bm])-(pt|it)/.exec(path);
  return {
    ...(layer !== undefined && { layer: Number(layer) }),
    ...(width !== undefined && { thousands: Number(width) * (unit === 'm' ? 1000 : 1) }),
    ...(l0 !== undefined && { l0: Number(l0) }),
    ...(site && { site }),
    embedding: /(?:^|\/)embedding(?:\/|$)/.test(path),
    ...(second
      ? { model: `google/gemma-3-${second[1] ?? ''}-${second[2] ?? ''}` }
      : size !== undefined && { model: `google/gemma-2-${size}${tune === 'it' ? '-it' : ''}` }),
  };
}

type Site = 'res' | 'mlp' | 'att' | 'transcoder' | 'attn-out' | 'crosscoder' | 'clt';
const SITES: Readonly<Record<string, Site>> = {
  ...{ res: 'res', mlp: 'mlp', att: 'att', transcoders: 'transcoder' },
  ...{ resid_post: 'res', mlp_out: 'mlp', attn_out: 'attn-out', transcoder: 'transcoder', crosscoder: 'crosscoder', clt: 'clt' },
};
/** Widths of z in Gemma 2's models, none of them a width of their residual. */
const Z_WIDTHS = new Set([2048, 4096]);
const CONFIG = new Set(['hf_hook_point_in', 'hf_hook_point_out', 'width', 'model_name', 'architecture', 'l0', 'affine_connection', 'type']);

async function read(place: Place, weights: Dropped, dropped: Dropped | undefined): Promise<DictionaryDraft> {
  const { where } = place;
  const said = saidByPath(cleanPath(place.folder));
  if (said.site === 'crosscoder' || said.site === 'clt') throw crosscoder(where, `the folder “${said.site}”`);
  const config: Config = {
    where: dropped?.path ?? where,
    values: dropped ? await readObject(dropped.file, dropped.path, GARBAGE, GARBAGE_HINT) : {},
  };
  const file = await place.open(weights);
  if (!file) throw weightsMissing(where, `${weights.name} cannot be read`);
  const small = wrappingOf(weights.name) === 'safetensors';
  const notes = dropped ? unknownKeys('config.json', config.values, CONFIG, /^$/) : [];
  const model = textIf(config, 'model_name') ?? said.model;
  const architecture = textIf(config, 'architecture') ?? 'jump_relu';
  if (architecture !== 'jump_relu' && architecture !== 'jumprelu')
    throw unsupported(where, `config.json asks for the architecture “${architecture}”`);
  if (/crosscoder|clt|cross_layer/i.test(textIf(config, 'type') ?? '')) throw crosscoder(where, `type “${textIf(config, 'type') ?? ''}”`);

  const latents = widthOf(file, ['b_enc'], where);
  const dOut = widthOf(file, ['b_dec'], where);
  const shape = find(file, ['W_enc', 'w_enc'])?.shape ?? [];
  const dIn = (shape[0] === latents ? shape[1] : shape[0]) ?? dOut;
  checkWidth(where, latents, said.thousands, countIf(config, 'width'));
  const affine = find(file, ['affine_skip_connection']);
  if (flag(config, 'affine_connection', affine !== undefined) !== (affine !== undefined))
    throw badValue(where, 'config.json and the weights disagree on whether there is an affine connection');
  const spots = placed(where, place.folder, said, config, dIn, model, small);
  const transcoder = spots.hookIn !== spots.hookOut;
  const spec = {
    kind: `JumpReLU${affine ? ' skip' : ''}${transcoder ? ' transcoder' : ''}`,
    activation: 'jumprelu' as const,
    hookIn: spots.hookIn,
    hookOut: spots.hookOut,
    dIn,
    dOut,
    latents,
    skip: affine !== undefined,
    contract: {
      residual: 'raw' as const,
      normalisation: 'none' as const,
      scale: 1,
      subtractBDec: false,
      rescaleByDecoderNorm: false,
      ...spots.contract,
      prependBos: true,
    },
  };
  if (affine) notes.push('Its affine connection is read [in, out], as its other matrices are kept; its square shape cannot tell.');
  if (said.embedding)
    notes.push(
      'W_enc is divided, W_dec multiplied by √d_model, as SAELens does: it was trained on embeddings before their scaling. b_dec is left as published.',
    );
  const root = said.embedding ? Math.sqrt(dIn) : undefined;
  const scaled = (given: Given, scale: number | undefined): Given => (scale === undefined ? given : { ...given, scale });
  const { tensors, notes: more } = await assemble(
    where,
    file,
    spec,
    {
      W_enc: scaled({ names: ['W_enc', 'w_enc'], documented: 'transposed' }, root && 1 / root),
      W_dec: scaled({ names: ['W_dec', 'w_dec'], documented: 'canonical' }, root),
      b_enc: { names: ['b_enc'] },
      b_dec: { names: ['b_dec'] },
      threshold: { names: ['threshold'] },
      W_skip: { names: ['affine_skip_connection'], documented: 'transposed' },
    },
    /^$/,
  );
  const l0 = said.l0 ?? (config.values['l0'] === undefined ? undefined : positive(config, 'l0'));
  return {
    name: nameFrom(place.folder, `Gemma Scope ${spots.hookIn}`),
    format: small ? 'Gemma Scope 2' : 'Gemma Scope',
    spec,
    ...(model !== undefined && { model }),
    promised: l0 === undefined ? {} : { l0 },
    tensors,
    notes: [...notes, ...more.filter((note) => !note.startsWith('affine'))],
  };
}

function checkWidth(where: string, latents: number, thousands: number | undefined, width: number | undefined): void {
  const fits = thousands === undefined || Math.floor(latents / 1000) === thousands || Math.floor(latents / 1e6) * 1000 === thousands;
  if (!fits) throw badValue(where, `the folder says a width of ${thousands} thousand, the weights have ${latents} latents`);
  if (width !== undefined && width !== latents)
    throw badValue(where, `config.json says a width of ${width}, the weights have ${latents} latents`);
}

function placed(
  where: string,
  folder: string,
  { layer, site, embedding }: ReturnType<typeof saidByPath>,
  config: Config,
  dIn: number,
  model: string | undefined,
  second: boolean,
): ReturnType<typeof spotsOf> {
  const named = textIf(config, 'hf_hook_point_in');
  if (named !== undefined) {
    const out = textIf(config, 'hf_hook_point_out') ?? named;
    return spotsOf(where, named, out, model ?? 'gemma-3', out !== named);
  }
  const own = hookInPath(folder);
  if (own !== undefined) return spotsOf(where, own, own, model, false);
  if (embedding) return spotsOf(where, 'hook_embed', 'hook_embed', model, false);
  if (layer === undefined) throw hookUnknown(where, 'no folder above the params says which layer (layer_12/…)');
  const at = (hook: string): ReturnType<typeof spotsOf> =>
    spotsOf(where, `blocks.${layer}.${hook}`, `blocks.${layer}.${hook}`, model, false);
  switch (site ?? (Z_WIDTHS.has(dIn) && !second ? 'att' : undefined)) {
    case 'res':
      return at('hook_resid_post');
    case 'mlp':
      return at('hook_mlp_out');
    case 'att':
      return at('attn.hook_z');
    case 'attn-out':
      return at('hook_attn_out');
    case 'transcoder':
      // The first Gemma Scope reads the bare norm, its gain folded into the model; the second reads what the norm gives, gain included.
      return spotsOf(
        where,
        `blocks.${layer}.${second ? 'mlp.hook_in' : 'ln2.hook_normalized'}`,
        `blocks.${layer}.hook_mlp_out`,
        model,
        true,
      );
    default:
      throw hookUnknown(
        where,
        'nothing says whether it is of the residual, the MLP, the attention or a transcoder (gemma-scope-2b-pt-res/…)',
      );
  }
}
