/**
 * Llama Scope (Language-Model-SAEs): hyperparams.json above checkpoints/final.safetensors; its R1 variant has config.json beside
 * sae_weights.safetensors. encoder.weight [M, d], decoder.weight [d, M], biases of both.
 *
 * Trained on activations scaled to length √d: s = √d / average norm, one s for what is read and one for what is written. The contract undoes one
 * scale, that of the input, so W_dec and b_dec take on s_in/s_out. The threshold is published in units of the unscaled output, and compared with
 * pre-activation × ‖W_dec row‖ where sparsity_include_decoder_norm is set: θ' = θ·s_out/‖W_dec row‖ (Language-Model-SAEs,
 * standardize_parameters_of_dataset_norm and encode; for s_in = s_out and unit rows this is what SAELens does).
 */
import type { Contract, DictionarySpec } from '../../dictionary/spec';
import type { Dropped } from '../drop';
import { readObject } from '../json';
import { assemble, find, type Plan } from './assemble';
import { named, type DictionaryDraft, type Format, type Place } from './draft';
import { spotsOf } from './hooks';
import { nameFrom, parentOf } from './paths';
import { configMissing, GARBAGE, GARBAGE_HINT, unsupported, weightsMissing } from './refusals';
import { count, countIf, flag, part, positive, text, textIf, unknownKeys, type Config } from './values';

export const llamaScope: Format = {
  name: 'Llama Scope',
  find(place) {
    const final = /(^|\/)checkpoints$/.test(place.folder) ? named(place, 'final.safetensors') : undefined;
    if (final) {
      const above = parentOf(place.folder);
      const hyper = place.at(above, 'hyperparams.json');
      const aside = ['lm_config.json', 'config.json'].flatMap((name) => place.at(above, name) ?? []);
      if (hyper) return [{ where: place.where, uses: [final, hyper, ...aside], read: () => read(place, hyper, final, above) }];
      const error = configMissing(place.where, 'final.safetensors came without the hyperparams.json of the folder above');
      return [{ where: place.where, uses: [final], read: () => Promise.reject(error) }];
    }
    const [config, weights] = [named(place, 'config.json'), named(place, 'sae_weights.safetensors')];
    return config && weights
      ? [{ where: place.where, uses: [config, weights], read: () => read(place, config, weights, place.folder) }]
      : [];
  },
};

const KNOWN = new Set([
  ...[
    'hook_point_in',
    'hook_point_out',
    'd_model',
    'd_sae',
    'expansion_factor',
    'act_fn',
    'jump_relu_threshold',
    'top_k',
    'norm_activation',
  ],
  ...['dataset_average_activation_norm', 'sparsity_include_decoder_norm', 'use_decoder_bias', 'apply_decoder_bias_to_pre_encoder'],
  ...['use_glu_encoder', 'dtype', 'device', 'sae_type', 'model_name'],
]);
const TRAINING =
  /^(seed|device|strict|lp|use_ghost|init|use_batch|jumprelu|norm_|decoder_exactly|sae_pretrained|use_triton|sparsity_threshold|tp_|ddp_|pretrained|initial|k_|promote|max_|neuronpedia|exp_|use_auxk|loss)/;

async function read(place: Place, dropped: Dropped, weights: Dropped, folder: string): Promise<DictionaryDraft> {
  const { where } = place;
  const config: Config = { where: dropped.path, values: await readObject(dropped.file, dropped.path, GARBAGE, GARBAGE_HINT) };
  const file = await place.open(weights);
  if (!file) throw weightsMissing(where, `${weights.name} cannot be read`);
  const notes = unknownKeys(dropped.name, config.values, KNOWN, TRAINING);
  if (flag(config, 'use_glu_encoder', false)) throw unsupported(where, 'it has a gated linear encoder (use_glu_encoder)');
  const [input, dIn] = [text(config, 'hook_point_in'), count(config, 'd_model')];
  const output = textIf(config, 'hook_point_out') ?? input;
  const latents = countIf(config, 'd_sae') ?? Math.trunc(dIn * positive(config, 'expansion_factor'));
  const model = textIf(config, 'model_name') ?? (/Llama3_1-8B|Llama-Scope-R1/i.test(folder) ? 'meta-llama/Llama-3.1-8B' : undefined);
  const transcoder = input !== output;
  const spots = spotsOf(where, input, output, model, transcoder);
  const act = textIf(config, 'act_fn') ?? 'jumprelu';
  if (act !== 'jumprelu' && act !== 'topk' && act !== 'relu') throw unsupported(where, `it asks for the activation “${act}”`);
  const includesNorm = flag(config, 'sparsity_include_decoder_norm', false);
  const { contract, outScale } = scales(where, config, dIn, notes);
  const spec: DictionarySpec = {
    kind: `${act === 'jumprelu' ? 'JumpReLU' : act === 'topk' ? 'TopK' : 'ReLU'}${transcoder ? ' transcoder' : ''}`,
    activation: act,
    ...(act === 'topk' && { k: count(config, 'top_k') }),
    hookIn: spots.hookIn,
    hookOut: spots.hookOut,
    dIn,
    dOut: dIn,
    latents,
    skip: false,
    contract: {
      residual: 'raw',
      ...contract,
      subtractBDec: !transcoder && flag(config, 'apply_decoder_bias_to_pre_encoder', false),
      rescaleByDecoderNorm: act === 'topk' && includesNorm,
      ...spots.contract,
      prependBos: true,
    },
  };
  const ratio = contract.scale / outScale;
  const scale = ratio === 1 ? {} : { scale: ratio };
  const decoder = find(file, ['decoder.weight']);
  const norms = includesNorm && decoder ? { overNorms: { of: decoder, transposed: latents === dIn || decoder.shape[0] !== latents } } : {};
  const own = find(file, ['log_jumprelu_threshold']);
  const plan: Plan = {
    W_enc: { names: ['encoder.weight'], documented: 'canonical' },
    W_dec: { names: ['decoder.weight'], documented: 'transposed', ...scale },
    b_enc: { names: ['encoder.bias'] },
    b_dec: { names: ['decoder.bias'], otherwise: 0, ...scale },
  };
  if (act === 'jumprelu' && own) plan['threshold'] = { names: ['log_jumprelu_threshold'], exp: true, ...norms };
  else if (act === 'jumprelu') plan['threshold'] = { names: [], otherwise: positive(config, 'jump_relu_threshold') * outScale, ...norms };
  const { tensors, notes: more } = await assemble(where, file, spec, plan, /^$/);
  return {
    name: nameFrom(folder, spots.hookIn),
    format: own ? 'Llama Scope R1' : 'Llama Scope',
    spec,
    ...(model !== undefined && { model }),
    promised: {},
    tensors,
    notes: [...notes, ...more],
  };
}

/** The scale of the input, as the contract's, and that of the output. */
function scales(
  where: string,
  config: Config,
  width: number,
  notes: string[],
): { contract: Pick<Contract, 'normalisation' | 'scale'>; outScale: number } {
  const plain = { contract: { normalisation: 'none' as const, scale: 1 }, outScale: 1 };
  const how = textIf(config, 'norm_activation') ?? 'dataset-wise';
  if (how === 'inference' || how === 'none') return plain;
  if (how !== 'dataset-wise') throw unsupported(where, `its activations are normalised “${how}”`);
  if (config.values['dataset_average_activation_norm'] === undefined) {
    notes.push(
      'It was trained on activations scaled by a number of its dataset, which its configuration does not give: nothing is scaled. Where you know the number, set the contract to normalisation “scale”.',
    );
    return plain;
  }
  const norms = part(config, 'dataset_average_activation_norm');
  const root = Math.sqrt(width);
  const scale = root / positive(norms, 'in');
  return {
    contract: { normalisation: 'scale', scale },
    outScale: norms.values['out'] === undefined ? scale : root / positive(norms, 'out'),
  };
}
