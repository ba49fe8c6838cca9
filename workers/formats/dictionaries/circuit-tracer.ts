/**
 * Transcoders as circuit-tracer takes them (mwhanna's, mntss's): layer_L.safetensors beside a config.yaml that names the hooks. W_enc is [M, d] there, as here;
 * a file that has it the other way round is told by its shape. b_dec is never subtracted; W_skip is applied as x W_skipᵀ.
 * Source: circuit_tracer/transcoder/single_layer_transcoder.py, circuit_tracer/utils/hf_utils.py.
 */
import type { DictionarySpec } from '../../dictionary/spec';
import type { Dropped } from '../drop';
import type { LooseFile } from '../loose';
import { assemble, find, widthOf } from './assemble';
import { named, type DictionaryDraft, type Format, type Place } from './draft';
import { spotsOf } from './hooks';
import { nameFrom } from './paths';
import { badValue, configMissing, crosscoder, unsupported, weightsMissing } from './refusals';
import { count, scalar, text, textIf, unknownKeys, type Config } from './values';
import { readFlatYaml } from './yaml';

const LAYER = /^layer_(\d+)\.safetensors$/;
const ACROSS = /^W_(enc|dec)_\d+\.safetensors$/;

export const circuitTracer: Format = {
  name: 'circuit-tracer',
  find(place) {
    const config = named(place, 'config.yaml');
    const aside = ['wandb-config.yaml', 'wanb-config.yaml'].flatMap((name) => named(place, name) ?? []);
    const shared = [...(config ? [config] : []), ...aside];
    const across = place.files.filter((each) => ACROSS.test(each.name));
    if (across.length > 0) {
      const error = crosscoder(place.where, 'a cross-layer transcoder: every latent writes to all layers above');
      return [{ where: place.where, uses: [...across, ...shared], read: () => Promise.reject(error) }];
    }
    return place.files
      .filter((each) => LAYER.test(each.name))
      .map((weights) => ({ where: weights.path, uses: [weights, ...shared], read: () => read(place, weights, config) }));
  },
};

const KNOWN = new Set([
  ...[
    'model_name',
    'model_kind',
    'feature_input_hook',
    'feature_output_hook',
    'activation',
    'k',
    'scan',
    'scan_name',
    'repo_id',
    'revision',
    'subfolder',
  ],
  ...['transcoders', 'dtype', 'features'],
]);

async function read(place: Place, weights: Dropped, dropped: Dropped | undefined): Promise<DictionaryDraft> {
  const where = weights.path;
  if (!dropped) throw configMissing(where, 'it came without the config.yaml that says which places of the model it reads and writes');
  const config: Config = { where: dropped.path, values: await readFlatYaml(dropped.file, dropped.path) };
  const kind = textIf(config, 'model_kind') ?? 'transcoder_set';
  if (kind === 'cross_layer_transcoder') throw crosscoder(where, `model_kind “${kind}”`);
  if (kind !== 'transcoder_set') throw unsupported(where, `config.yaml says model_kind “${kind}”`);
  const file = await place.open(weights);
  if (!file) throw weightsMissing(where, `${weights.name} cannot be read`);
  const notes = unknownKeys('config.yaml', config.values, KNOWN, /^$/);
  const layer = LAYER.exec(weights.name)?.[1] ?? '0';
  const model = textIf(config, 'model_name');
  const at = (key: string): string => `blocks.${layer}.${text(config, key)}`;
  const spots = spotsOf(where, at('feature_input_hook'), at('feature_output_hook'), model, true);
  const [latents, dOut] = [widthOf(file, ['b_enc'], where), widthOf(file, ['b_dec'], where)];
  const encoder = find(file, ['W_enc'])?.shape ?? [];
  const dIn = (encoder[0] === latents ? encoder[1] : encoder[0]) ?? dOut;
  const { activation, k } = await activationOf(where, config, file);
  const skip = find(file, ['W_skip']) !== undefined;
  const spec: DictionarySpec = {
    kind: `${NAMES[activation]}${skip ? ' skip' : ''} transcoder`,
    activation,
    ...(k !== undefined && { k }),
    hookIn: spots.hookIn,
    hookOut: spots.hookOut,
    dIn,
    dOut,
    latents,
    skip,
    contract: {
      residual: 'raw',
      normalisation: 'none',
      scale: 1,
      subtractBDec: false,
      rescaleByDecoderNorm: false,
      ...spots.contract,
      prependBos: true,
    },
  };
  const { tensors, notes: more } = await assemble(
    where,
    file,
    spec,
    {
      W_enc: { names: ['W_enc'], documented: 'canonical' },
      W_dec: { names: ['W_dec'], documented: 'canonical' },
      b_enc: { names: ['b_enc'] },
      b_dec: { names: ['b_dec'] },
      threshold: { names: ['activation_function.threshold', 'threshold'] },
      W_skip: { names: ['W_skip'], documented: 'canonical' },
    },
    activation === 'topk' ? /^k$/ : /^$/,
  );
  return {
    name: nameFrom(`${place.folder}/${weights.name.replace('.safetensors', '')}`, spots.hookIn),
    format: 'circuit-tracer',
    spec,
    ...(model !== undefined && { model }),
    promised: {},
    tensors,
    notes: [...notes, ...more],
  };
}

const NAMES = { relu: 'ReLU', jumprelu: 'JumpReLU', topk: 'TopK' };

async function activationOf(where: string, config: Config, file: LooseFile): Promise<{ activation: keyof typeof NAMES; k?: number }> {
  const said = textIf(config, 'activation');
  const threshold = find(file, ['activation_function.threshold', 'threshold']);
  if (said === 'topk') return { activation: 'topk', k: config.values['k'] === undefined ? await ownK(where, file) : count(config, 'k') };
  if (said === 'relu' || said === undefined) {
    if (said === 'relu' && threshold) throw badValue(where, `config.yaml says “relu”, but the weights hold “${threshold.name}”`);
    return { activation: threshold ? 'jumprelu' : 'relu' };
  }
  if (/^jump_?relu$/i.test(said)) return { activation: 'jumprelu' };
  throw unsupported(where, `config.yaml asks for the activation “${said}”`);
}

async function ownK(where: string, file: LooseFile): Promise<number> {
  const k = await scalar(file, 'k', where);
  if (k === undefined || !Number.isInteger(k) || k < 1)
    throw badValue(where, 'neither config.yaml nor the weights say how many latents are kept (“k”)');
  return k;
}
