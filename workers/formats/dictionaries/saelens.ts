/**
 * SAELens: cfg.json beside sae_weights.safetensors, and sparsity.safetensors where it was published. W_enc is [d_in, d_sae], W_dec [d_sae, d_out],
 * W_skip [d_out, d_in]. Source: sae_lens/saes/*.py and sae_lens/loading/pretrained_sae_loaders.py, version 6.
 */
import type { Contract, DictionarySpec } from '../../dictionary/spec';
import type { Dropped } from '../drop';
import { isObject, readObject } from '../json';
import type { LooseFile } from '../loose';
import { assemble, find, widthOf, type Plan } from './assemble';
import { named, type Candidate, type DictionaryDraft, type Format, type Place } from './draft';
import { spotsOf, type Spots } from './hooks';
import { nameFrom } from './paths';
import { badValue, configMissing, crosscoder, GARBAGE, GARBAGE_HINT, hookUnknown, unsupported, weightsMissing } from './refusals';
import { isCentred } from './res-jb';
import { upgraded } from './saelens-config';
import { count, countIf, flag, numbers, text, textIf, unknownKeys, type Config } from './values';

const WEIGHTS = 'sae_weights.safetensors';
const SPARSITY = 'sparsity.safetensors';

/** Architectures and what they are to Loupe. BatchTopK is kept by SAELens as a JumpReLU; a training checkpoint of one has its threshold beside it. */
const KINDS: Readonly<Record<string, { kind: string; activation: DictionarySpec['activation']; transcoder?: true; skip?: true }>> = {
  standard: { kind: 'ReLU', activation: 'relu' },
  topk: { kind: 'TopK', activation: 'topk' },
  jumprelu: { kind: 'JumpReLU', activation: 'jumprelu' },
  batchtopk: { kind: 'BatchTopK', activation: 'jumprelu' },
  matryoshka_batchtopk: { kind: 'BatchTopK (Matryoshka)', activation: 'jumprelu' },
  gated: { kind: 'Gated', activation: 'gated' },
  transcoder: { kind: 'ReLU transcoder', activation: 'relu', transcoder: true },
  skip_transcoder: { kind: 'ReLU skip transcoder', activation: 'relu', transcoder: true, skip: true },
  jumprelu_transcoder: { kind: 'JumpReLU transcoder', activation: 'jumprelu', transcoder: true },
  jumprelu_skip_transcoder: { kind: 'JumpReLU skip transcoder', activation: 'jumprelu', transcoder: true, skip: true },
};

const KNOWN = new Set([
  ...[
    'architecture',
    'd_in',
    'd_sae',
    'd_out',
    'k',
    'dtype',
    'device',
    'apply_b_dec_to_input',
    'normalize_activations',
    'reshape_activations',
  ],
  ...[
    'rescale_acts_by_decoder_norm',
    'activation_fn',
    'activation_fn_kwargs',
    'finetuning_scaling_factor',
    'metadata',
    'matryoshka_widths',
  ],
]);
/** Settings of training and of storage, which change no number of the finished dictionary. */
const TRAINING =
  /^(lr|adam|l1|lp_norm|mse_loss|l0|jumprelu_|ghost|use_ghost|dead|feature_|noise|decoder_|init_|b_dec_init|scale_sparsity|normalize_sae_decoder|topk_|aux|expansion_|n_|train|store_|eval|log|wandb|run_|checkpoint|resume|seed|verbose|act_|autocast|compile|tokens_|total_|use_cached|cached_|prepend|context|streaming|is_dataset|dataset|model_kwargs|from_pretrained|sae_|verify|finetuning|llm_|disable|output|exclude|hook_eval|model|new_|special|lambda|sparsity|warm|log_|use_|pre_act|rescale_acts)/;
const IGNORABLE = /^(scaling_factor|threshold_ema|num_batches|n_forward|act_freq|topk_threshold)/;

export const saelens: Format = {
  name: 'SAELens',
  find(place) {
    const [cfg, weights, sparsity] = ['cfg.json', WEIGHTS, SPARSITY].map((name) => named(place, name));
    if (cfg && weights)
      return [
        { where: place.where, uses: [cfg, weights, ...(sparsity ? [sparsity] : [])], read: () => read(place, cfg, weights, sparsity) },
      ];
    // The same name of weights beside a config.json is Llama Scope's.
    if (weights && !named(place, 'config.json'))
      return [refusal(place, [weights], configMissing(place.where, `${WEIGHTS} came without its cfg.json`))];
    return [];
  },
};

/** cfg.json whose weights did not come: said last, when no format has taken it. */
export const orphans: Format = {
  name: 'cfg.json',
  find(place) {
    const cfg = named(place, 'cfg.json');
    return cfg ? [refusal(place, [cfg], weightsMissing(place.where, `cfg.json came without ${WEIGHTS} or sae.safetensors`))] : [];
  },
};

const refusal = (place: Place, uses: readonly Dropped[], error: Error): Candidate => ({
  where: place.where,
  uses,
  read: () => Promise.reject(error),
});

async function read(place: Place, cfg: Dropped, weights: Dropped, sparsity: Dropped | undefined): Promise<DictionaryDraft> {
  const { where } = place;
  const config = upgraded(await readObject(cfg.file, cfg.path, GARBAGE, GARBAGE_HINT));
  const file = await place.open(weights);
  if (!file) throw weightsMissing(where, `${weights.name} cannot be read`);
  const values: Config = { where: cfg.path, values: config.values };
  const metadata: Config = { where: cfg.path, values: config.metadata };
  const notes = unknownKeys('cfg.json', config.values, KNOWN, TRAINING);
  const spec = specOf(where, values, metadata, file, notes, place.folder);
  const { plan, ignorable } = await planOf(where, values, spec, file, notes);
  const assembled = await assemble(where, file, spec, plan, ignorable);
  const l0 = sparsity && (await meanActive(place, sparsity));
  const model = textIf(metadata, 'model_name');
  const neuronpedia = textIf(metadata, 'neuronpedia_id');
  return {
    name: neuronpedia ?? nameFrom(place.folder, spec.hookIn),
    format: 'SAELens',
    spec,
    ...(model !== undefined && { model }),
    ...(neuronpedia !== undefined && { neuronpedia }),
    promised: l0 === undefined ? {} : { l0 },
    tensors: assembled.tensors,
    notes: [...notes, ...assembled.notes],
  };
}

function specOf(where: string, values: Config, metadata: Config, file: LooseFile, notes: string[], folder: string): DictionarySpec {
  const architecture = text(values, 'architecture');
  if (/crosscoder/i.test(architecture)) throw crosscoder(where, `architecture “${architecture}”`);
  const known = KINDS[architecture];
  if (!known) throw unsupported(where, `cfg.json asks for the architecture “${architecture}”`);
  const fn = textIf(values, 'activation_fn') ?? 'relu';
  if (fn !== 'relu' && !(fn === 'topk' && known.activation === 'topk'))
    throw unsupported(where, `cfg.json asks for the activation “${fn}”`);
  const hookName = textIf(metadata, 'hook_name');
  if (hookName === undefined) throw hookUnknown(where, 'cfg.json does not name the hook that it belongs to');
  const outName = textIf(metadata, 'hook_name_out') ?? hookName;
  for (const key of ['hook_head_index', 'hook_head_index_out']) {
    const head = metadata.values[key];
    if (head !== undefined && head !== null) throw unsupported(where, `it was trained on head ${JSON.stringify(head)} of its hook alone`);
  }
  const model = textIf(metadata, 'model_name') ?? '';
  const spots = spotsOf(where, hookName, outName, model, known.transcoder === true);
  const [dIn, latents] = [count(values, 'd_in'), count(values, 'd_sae')];
  const dOut = countIf(values, 'd_out') ?? (known.transcoder ? widthOf(file, ['b_dec'], where) : dIn);
  const k = known.activation === 'topk' ? count(values, 'k') : undefined;
  const matryoshka = values.values['matryoshka_widths'];
  if (Array.isArray(matryoshka)) notes.push(`Matryoshka: its first ${matryoshka.join(', ')} latents are dictionaries of their own.`);
  return {
    kind: known.kind,
    activation: known.activation,
    ...(k !== undefined && { k }),
    hookIn: spots.hookIn,
    hookOut: spots.hookOut,
    dIn,
    dOut,
    latents,
    skip: known.skip === true,
    contract: contractOf(where, values, metadata, known.transcoder === true, { spots, folder, latents }, notes),
  };
}

interface Around {
  spots: Spots;
  folder: string;
  latents: number;
}

function contractOf(where: string, values: Config, metadata: Config, transcoder: boolean, around: Around, notes: string[]): Contract {
  const { spots, folder, latents } = around;
  const wanted = textIf(values, 'reshape_activations') ?? 'none';
  if (wanted !== 'none' && wanted !== 'hook_z') throw unsupported(where, `cfg.json asks for reshape_activations “${wanted}”`);
  const subtract = flag(values, 'apply_b_dec_to_input', !transcoder);
  if (subtract && transcoder)
    notes.push('cfg.json asks for b_dec to be subtracted from the input; transcoders never do that, and it is not done.');
  const centred = isCentred({ folder, values: values.values, metadata: metadata.values, hook: spots.hookIn, latents });
  if (centred.note) notes.push(centred.note);
  const kwargs = metadata.values['model_from_pretrained_kwargs'];
  if (isObject(kwargs)) {
    const other = Object.entries(kwargs).filter(([key]) => key !== 'center_writing_weights');
    if (other.length > 0)
      notes.push(`It was trained on a model loaded with ${other.map(([key, value]) => `${key}=${JSON.stringify(value)}`).join(', ')}.`);
  }
  return {
    residual: centred.centred ? 'centred' : 'raw',
    ...normalisationOf(where, values, metadata, notes),
    subtractBDec: subtract && !transcoder,
    rescaleByDecoderNorm: flag(values, 'rescale_acts_by_decoder_norm', false),
    ...spots.contract,
    ...(wanted === 'hook_z' && { reshape: 'hook_z' as const }),
    prependBos: flag(metadata, 'prepend_bos', true),
  };
}

function normalisationOf(where: string, values: Config, metadata: Config, notes: string[]): Pick<Contract, 'normalisation' | 'scale'> {
  const wanted = textIf(values, 'normalize_activations') ?? 'none';
  switch (wanted) {
    case 'none':
    case 'layer_norm':
      return { normalisation: wanted, scale: 1 };
    case 'expected_average_only_in': {
      const scale = values.values['norm_scaling_factor'] ?? metadata.values['norm_scaling_factor'];
      if (typeof scale === 'number' && Number.isFinite(scale) && scale > 0) return { normalisation: 'scale', scale };
      if (scale !== undefined && scale !== null)
        throw badValue(where, `norm_scaling_factor is ${JSON.stringify(scale)}, not a number above 0`);
      notes.push(
        'It was trained on activations scaled by a number of its dataset (expected_average_only_in), which cfg.json does not give: nothing is scaled, as in SAELens. Where you know the number, set the contract to normalisation “scale”.',
      );
      return { normalisation: 'none', scale: 1 };
    }
    default:
      throw unsupported(where, `cfg.json asks for normalize_activations “${wanted}”`);
  }
}

async function planOf(
  where: string,
  values: Config,
  spec: DictionarySpec,
  file: LooseFile,
  notes: string[],
): Promise<{ plan: Plan; ignorable: RegExp }> {
  const rows = await finetuned(where, values, file, notes);
  const trained = find(file, ['threshold', 'topk_threshold']) === undefined;
  return {
    plan: {
      W_enc: { names: ['W_enc'], documented: 'transposed' },
      W_dec: { names: ['W_dec'], documented: 'canonical', ...(rows && { rows }) },
      b_dec: { names: ['b_dec'] },
      b_enc: { names: ['b_enc'] },
      threshold: trained ? { names: ['log_threshold'], exp: true } : { names: ['threshold', 'topk_threshold'] },
      b_gate: { names: ['b_gate'] },
      b_mag: { names: ['b_mag'] },
      r_mag: { names: ['r_mag'] },
      W_skip: { names: ['W_skip'], documented: 'canonical' },
    },
    ignorable: spec.activation === 'gated' ? /^(b_enc$|scaling_factor)/ : IGNORABLE,
  };
}

/** scaling_factor multiplies each latent before it is decoded, where it was finetuned; elsewhere it must be ones. */
async function finetuned(
  where: string,
  values: Config,
  file: LooseFile,
  notes: string[],
): Promise<LooseFile['tensors'][number] | undefined> {
  const factor = find(file, ['finetuning_scaling_factor', 'scaling_factor']);
  if (!factor || (await numbers(factor)).every((each) => Math.abs(each - 1) <= 1e-5 + 1e-8)) return undefined;
  const wanted = values.values['finetuning_scaling_factor'];
  if (wanted !== true)
    throw unsupported(where, `the weights hold a ${factor.name} that is not all ones, and cfg.json does not say finetuning_scaling_factor`);
  notes.push('Its latents were finetuned with a scaling factor each, which is multiplied into the rows of W_dec.');
  return factor;
}

/** Latents active at a token, on average: the sum of their frequencies, which are kept as log10. */
async function meanActive(place: Place, sparsity: Dropped): Promise<number | undefined> {
  const file = await place.open(sparsity);
  const tensor = file && find(file, ['sparsity']);
  if (!tensor) return undefined;
  const sum = (await numbers(tensor)).reduce((total, log) => total + (Number.isFinite(log) ? 10 ** log : 0), 0);
  return Number.isFinite(sum) ? sum : undefined;
}
