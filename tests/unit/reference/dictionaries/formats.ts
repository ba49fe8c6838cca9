/**
 * Each format's tensors laid out as the canonical ones (workers/dictionary/spec.ts), given the spec that the fixture says they have. Small and of the
 * tests alone: the lab's readers find the spec out as well, and a fixture must not be read by the code that it judges.
 */
import type { Tensor } from '../../../../workers/api';
import type { DictionarySpec } from '../../../../workers/dictionary/spec';
import type { DictionaryFixture } from '../../../golden/dictionary-fixtures';
import { readSafetensors } from '../../../golden/safetensors';
import { at } from '../../../reference/array';
import type { Dictionary } from '../../../reference/dictionary';
import { readNpz, readTorch, tensorsOf } from './torch-file';

type Values = ArrayLike<number>;
type Canonical = Record<string, Values>;

interface Source {
  spec: DictionarySpec;
  tensors: ReadonlyMap<string, Tensor>;
  /** The configuration beside the weights, and the paths of all files. */
  config: Readonly<Record<string, unknown>>;
  paths: readonly string[];
}

/** [rows, columns] to [columns, rows]. */
export function transposed({ shape, data }: Tensor): Tensor {
  const [rows, columns] = [at(shape, 0), at(shape, 1)];
  return { shape: [columns, rows], data: Float32Array.from(data, (_, i) => at(data, (i % rows) * columns + Math.floor(i / rows))) };
}

const spread = (value: number, { latents }: DictionarySpec): Values => new Float64Array(latents).fill(value);

function get({ tensors }: Source, name: string): Tensor {
  const found = tensors.get(name);
  if (!found) throw new Error(`no tensor “${name}” among ${[...tensors.keys()].join(', ')}`);
  return found;
}
/** Those of the names that are there, under the names that they map to. */
function pick(source: Source, names: Readonly<Record<string, string>>): Canonical {
  const out: Canonical = {};
  for (const [from, to] of Object.entries(names)) if (source.tensors.has(from)) out[to] = get(source, from).data;
  return out;
}

const SAME = Object.fromEntries(
  ['W_enc', 'W_dec', 'b_enc', 'b_dec', 'threshold', 'b_gate', 'b_mag', 'r_mag', 'W_skip'].map((name) => [name, name]),
);

function saelens(source: Source): Canonical {
  const log = source.tensors.get('log_threshold');
  const out: Canonical = { ...pick(source, SAME), W_enc: transposed(get(source, 'W_enc')).data };
  return log ? { ...out, threshold: Float64Array.from(log.data, Math.exp) } : out;
}

const linears = (source: Source, encoder = 'encoder.weight', decoder = 'decoder.weight'): Canonical => ({
  W_enc: get(source, encoder).data,
  W_dec: transposed(get(source, decoder)).data,
});

function dictionaryLearning(source: Source): Canonical {
  const biases = { bias: 'b_dec', decoder_bias: 'b_dec', 'encoder.bias': 'b_enc', gate_bias: 'b_gate', mag_bias: 'b_mag' };
  const weights = source.tensors.has('W_enc') ? { W_enc: transposed(get(source, 'W_enc')).data } : linears(source);
  const out: Canonical = { ...pick(source, SAME), ...pick(source, biases), ...weights };
  const threshold = source.tensors.get('threshold');
  return threshold?.shape.length === 0 ? { ...out, threshold: spread(at(threshold.data, 0), source.spec) } : out;
}

const sparsify = (source: Source): Canonical => ({
  ...pick(source, { ...SAME, 'encoder.weight': 'W_enc', 'encoder.bias': 'b_enc' }),
});

function gemmaScope(source: Source): Canonical {
  const out: Canonical = { ...pick(source, SAME), W_enc: transposed(get(source, 'W_enc')).data };
  if (!source.paths.some((path) => path.includes('/embedding/'))) return out;
  const root = Math.sqrt(source.spec.dIn);
  return {
    ...out,
    W_enc: Float64Array.from(out['W_enc'] ?? [], (value) => value / root),
    W_dec: Float64Array.from(out['W_dec'] ?? [], (value) => value * root),
  };
}

function gemmaScope2(source: Source): Canonical {
  const skip = source.tensors.get('affine_skip_connection');
  const same = pick(source, { b_enc: 'b_enc', b_dec: 'b_dec', threshold: 'threshold', w_dec: 'W_dec' });
  const out: Canonical = { ...same, W_enc: transposed(get(source, 'w_enc')).data };
  return skip ? { ...out, W_skip: transposed(skip).data } : out;
}

const openai = (source: Source): Canonical => ({ ...linears(source), ...pick(source, { pre_bias: 'b_dec', latent_bias: 'b_enc' }) });

const goodfire = (source: Source): Canonical => ({
  ...linears(source, 'encoder_linear.weight', 'decoder_linear.weight'),
  ...pick(source, { 'encoder_linear.bias': 'b_enc', 'decoder_linear.bias': 'b_dec' }),
});

function circuitTracer(source: Source): Canonical {
  const decoder = get(source, 'W_dec');
  const own = pick(source, { ...SAME, 'activation_function.threshold': 'threshold' });
  return { ...own, W_dec: decoder.shape[0] === source.spec.latents ? decoder.data : transposed(decoder).data };
}

interface Hyperparameters {
  d_model: number;
  jump_relu_threshold: number;
  dataset_average_activation_norm: { in: number; out: number };
}
const isFirstLayout = (config: object): config is Hyperparameters => 'dataset_average_activation_norm' in config;

/** Thresholds are compared with pre·‖W_dec‖ of raw activations; in the file's units, those of activations scaled by s_in, θ·s_in/‖W_dec·s_in/s_out‖. */
function llamaScope(source: Source): Canonical {
  const { config, spec } = source;
  const [encoder, bias] = [get(source, 'encoder.bias').data, get(source, 'decoder.bias').data];
  const [weights, log] = [linears(source), source.tensors.get('log_jumprelu_threshold')];
  const norms = isFirstLayout(config) ? config.dataset_average_activation_norm : { in: 1, out: 1 };
  const across = norms.out / norms.in;
  const decoder = Float64Array.from(weights['W_dec'] ?? [], (value) => value * across);
  const threshold = Float64Array.from({ length: spec.latents }, (_, m) => {
    const norm = Math.hypot(...decoder.subarray(m * spec.dOut, (m + 1) * spec.dOut));
    const theta = isFirstLayout(config)
      ? (config.jump_relu_threshold * Math.sqrt(config.d_model)) / norms.in
      : Math.exp(at(log?.data ?? [], m));
    return theta / norm;
  });
  return { ...weights, W_dec: decoder, b_enc: encoder, b_dec: Float64Array.from(bias, (value) => value * across), threshold };
}

const LAYOUTS = {
  saelens,
  dictionary_learning: dictionaryLearning,
  sparsify,
  gemma_scope: gemmaScope,
  gemma_scope_2: gemmaScope2,
  openai,
  llama_scope: llamaScope,
  goodfire,
  circuit_tracer: circuitTracer,
} as const;

const isWeights = (path: string): boolean => /\.(safetensors|npz|pt|pth)$/.test(path) && !path.endsWith('sparsity.safetensors');

/** The fixture's dictionary in canonical form. */
export async function canonical({ about, files }: DictionaryFixture): Promise<Dictionary> {
  const bytes = async (wanted: (path: string) => boolean): Promise<Uint8Array | undefined> => {
    const found = files.find(({ path }) => wanted(path));
    return found && new Uint8Array(await found.file.arrayBuffer());
  };
  const weights = files.find(({ path }) => isWeights(path))?.path ?? '';
  const data = (await bytes((path) => path === weights)) ?? new Uint8Array();
  const config = await bytes((path) => path.endsWith('.json'));
  let tensors: Map<string, Tensor>;
  if (weights.endsWith('.npz')) tensors = readNpz(data);
  else tensors = weights.endsWith('.safetensors') ? readSafetensors(data) : tensorsOf(readTorch(data));
  const spec = { ...about.spec, kind: about.name };
  const source: Source = {
    spec,
    tensors,
    config: config ? (JSON.parse(new TextDecoder().decode(config)) as Record<string, unknown>) : {},
    paths: files.map(({ path }) => path),
  };
  return { spec, tensors: LAYOUTS[about.format](source) };
}
