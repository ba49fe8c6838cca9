/**
 * EleutherAI's sparsify: a folder named after its module (layers.5, layers.5.mlp) with cfg.json and sae.safetensors: encoder.weight [M, d],
 * encoder.bias, W_dec [M, d], b_dec, W_skip [d, d]. Source: sparsify/{sparse_coder,fused_encoder,config}.py; where SAELens's own loader for these
 * files differs (W_dec's layout, b_dec), sparsify is followed.
 */
import type { DictionarySpec } from '../../dictionary/spec';
import type { Dropped } from '../drop';
import { isObject, readObject, type JsonObject } from '../json';
import { assemble, find, widthOf } from './assemble';
import { named, type DictionaryDraft, type Format, type Place } from './draft';
import { hookInPath, spotsOf } from './hooks';
import { lastOf, nameFrom, parentOf } from './paths';
import { badValue, configMissing, GARBAGE, GARBAGE_HINT, hookUnknown, unsupported, weightsMissing } from './refusals';
import { count, countIf, flag, textIf, unknownKeys, type Config } from './values';

export const sparsify: Format = {
  name: 'sparsify',
  async find(place) {
    const [cfg, weights] = [named(place, 'cfg.json'), named(place, 'sae.safetensors')];
    if (!weights) return [];
    const around = await runConfig(place);
    const uses = [weights, ...[cfg, around?.dropped].flatMap((each) => each ?? [])];
    if (!cfg) {
      const error = configMissing(place.where, 'sae.safetensors came without its cfg.json');
      return [{ where: place.where, uses, read: () => Promise.reject(error) }];
    }
    return [{ where: place.where, uses, read: () => read(place, cfg, weights, around?.values) }];
  },
};

/** The run's config.json in the folder above, which names the model; a model's own config.json may lie there as well. */
async function runConfig(place: Place): Promise<{ dropped: Dropped; values: JsonObject } | undefined> {
  const dropped = place.folder === '' ? undefined : place.at(parentOf(place.folder), 'config.json');
  const values = dropped && (await readObject(dropped.file, dropped.path, GARBAGE, GARBAGE_HINT).catch(() => undefined));
  return dropped && values && values['model_type'] === undefined ? { dropped, values } : undefined;
}

const KNOWN = new Set([
  'activation',
  'expansion_factor',
  'normalize_decoder',
  'num_latents',
  'k',
  'multi_topk',
  'skip_connection',
  'transcode',
  'd_in',
  'signed',
]);

async function read(place: Place, cfg: Dropped, weights: Dropped, run: JsonObject | undefined): Promise<DictionaryDraft> {
  const { where } = place;
  const config: Config = { where: cfg.path, values: await readObject(cfg.file, cfg.path, GARBAGE, GARBAGE_HINT) };
  const file = await place.open(weights);
  if (!file) throw weightsMissing(where, `${weights.name} cannot be read`);
  const notes = unknownKeys('cfg.json', config.values, KNOWN, /^(lr|seed|batch|auxk|dead)/);
  const activation = textIf(config, 'activation') ?? 'topk';
  if (activation !== 'topk') throw unsupported(where, `cfg.json asks for the activation “${activation}”`);
  if (flag(config, 'signed', false)) throw unsupported(where, 'cfg.json asks for signed latents');
  const [dIn, k] = [count(config, 'd_in'), count(config, 'k')];
  const latents = widthOf(file, ['encoder.bias', 'b_enc'], where);
  const said = config.values['num_latents'] === 0 ? undefined : countIf(config, 'num_latents');
  const wanted = said ?? (countIf(config, 'expansion_factor') ?? NaN) * dIn;
  if (!Number.isNaN(wanted) && wanted !== latents) throw badValue(where, `cfg.json says ${wanted} latents, the weights have ${latents}`);
  const transcode = flag(config, 'transcode', false);
  const skip = flag(config, 'skip_connection', find(file, ['W_skip']) !== undefined);
  const model = run && isObject(run) && typeof run['model'] === 'string' ? run['model'] : undefined;
  const hookpoint = hookInPath(place.folder) ?? lastOf(place.folder);
  if (hookpoint === '') throw hookUnknown(where, 'the name of its folder says which module it belongs to, and it came without one');
  const spots = spotsOf(where, hookpoint, hookpoint, model, transcode);
  if (flag(config, 'multi_topk', false)) notes.push('It was trained with Multi-TopK, which changes training alone.');
  const spec: DictionarySpec = {
    kind: `TopK${skip ? ' skip' : ''}${transcode ? ' transcoder' : ''}`,
    activation: 'topk',
    k,
    hookIn: spots.hookIn,
    hookOut: spots.hookOut,
    dIn,
    dOut: dIn,
    latents,
    skip,
    contract: {
      residual: 'raw',
      normalisation: 'none',
      scale: 1,
      subtractBDec: !transcode,
      rescaleByDecoderNorm: false,
      ...spots.contract,
      prependBos: false,
    },
  };
  notes.push('sparsify trains on chunks of text as they come, without a BOS of their own.');
  const { tensors, notes: more } = await assemble(
    where,
    file,
    spec,
    {
      W_enc: { names: ['encoder.weight', 'W_enc'], documented: 'canonical' },
      W_dec: { names: ['W_dec', 'decoder.weight'], documented: 'canonical' },
      b_enc: { names: ['encoder.bias', 'b_enc'] },
      b_dec: { names: ['b_dec'] },
      W_skip: { names: ['W_skip'], documented: 'canonical' },
    },
    /^$/,
  );
  return {
    name: nameFrom(place.folder, spots.hookIn),
    format: 'sparsify',
    spec,
    ...(model !== undefined && { model }),
    promised: {},
    tensors,
    notes: [...notes, ...more],
  };
}
