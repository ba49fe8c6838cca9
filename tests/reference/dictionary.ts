/**
 * A dictionary's arithmetic in float64, over the canonical tensors of workers/dictionary/spec.ts:
 *   x̂ = normalised x      pre = (x̂ − b_dec·[subtractBDec]) W_encᵀ + b_enc      (·‖W_dec‖ where rescaled)
 *   a = relu(pre) | relu(pre)·[pre > θ] | the k largest of pre, then relu | [gate > 0]·relu(magnitude)
 *   y = denormalised(a W_dec + b_dec) + x W_skipᵀ
 * After SAELens 6 (sae_lens/saes), Gao et al. 2024 and Rajamanoharan et al. 2024 (gated, JumpReLU). Rows are independent of each other.
 *
 * LayerNorm is undone where a dictionary rebuilds what it reads. A transcoder writes elsewhere, where its input's mean and spread
 * mean nothing, and SAELens leaves its output as it is.
 */
import { isTranscoder, tensorNames, SHAPES, type DictionarySpec } from '../../workers/dictionary/spec';
import { at, dot } from './array';
import { topK } from './softmax';

export interface Dictionary {
  spec: DictionarySpec;
  /** Canonical, by name: the names of `tensorNames(spec)`, row-major in the shapes of `SHAPES`. */
  tensors: Readonly<Record<string, ArrayLike<number>>>;
}

/** A tensor that the kind has; that it is missing, or of another size, is a mistake in the test. */
export function tensor({ spec, tensors }: Dictionary, name: string): ArrayLike<number> {
  const found = tensors[name];
  const size = SHAPES[name]?.(spec).reduce((product, n) => product * n, 1);
  if (!found || found.length !== size || !tensorNames(spec).includes(name))
    throw new RangeError(`${name}: ${found?.length ?? 'no'} values for ${size ?? 'no'} in a ${spec.kind}`);
  return found;
}

export function rowsOf(x: ArrayLike<number>, width: number): number {
  const rows = x.length / width;
  if (!Number.isInteger(rows)) throw new RangeError(`${x.length} values are not rows of ${width}`);
  return rows;
}

/** How one row was brought to the dictionary's scale: x̂ = (x − shift)/inner, and back y = ŷ·outer + shift. */
interface Scale {
  shift: number;
  inner: number;
  outer: number;
}

const UNSCALED: Scale = { shift: 0, inner: 1, outer: 1 };
/** Inside the division alone: OpenAI's and SAELens's code multiply by the bare deviation afterwards. */
const EPS = 1e-5;

function scaleOf({ contract, dIn }: DictionarySpec, x: ArrayLike<number>, row: number): Scale {
  const centred = contract.residual === 'centred';
  if (contract.normalisation === 'none' && !centred) return UNSCALED;
  if (contract.normalisation === 'scale' && !centred) return { shift: 0, inner: 1 / contract.scale, outer: 1 / contract.scale };
  const values = Array.from({ length: dIn }, (_, i) => at(x, row * dIn + i));
  const mean = values.reduce((sum, value) => sum + value, 0) / dIn;
  // Trained on a stream whose writers are centred: of one that is not, the mean is taken off, and put back.
  if (contract.normalisation !== 'layer_norm') return { shift: mean, inner: 1 / contract.scale, outer: 1 / contract.scale };
  const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (dIn - 1));
  return { shift: mean, inner: deviation + EPS, outer: deviation };
}

/** x̂, [n, dIn], before b_dec is taken off. */
export function normalise({ spec }: Dictionary, x: ArrayLike<number>): Float64Array {
  const out = new Float64Array(x.length);
  for (let row = 0; row < rowsOf(x, spec.dIn); row++) {
    const { shift, inner } = scaleOf(spec, x, row);
    for (let i = row * spec.dIn; i < (row + 1) * spec.dIn; i++) out[i] = (at(x, i) - shift) / inner;
  }
  return out;
}

/** ‖W_dec‖ of every latent. */
export function decoderNorms(dictionary: Dictionary): Float64Array {
  const { latents, dOut } = dictionary.spec;
  const decoder = tensor(dictionary, 'W_dec');
  return Float64Array.from({ length: latents }, (_, m) => Math.sqrt(dot(decoder, m * dOut, decoder, m * dOut, dOut)));
}

/** The norms that activations are multiplied by before the top k and divided by before decoding; ones where nothing is rescaled. */
function rescaling(dictionary: Dictionary): Float64Array {
  const { contract, latents } = dictionary.spec;
  return contract.rescaleByDecoderNorm ? decoderNorms(dictionary) : new Float64Array(latents).fill(1);
}

/** x̂ W_encᵀ, [n, latents], with no bias on either side but b_dec. */
function projected(dictionary: Dictionary, x: ArrayLike<number>): Float64Array {
  const { dIn, latents, contract } = dictionary.spec;
  const inner = normalise(dictionary, x);
  if (contract.subtractBDec) {
    const bias = tensor(dictionary, 'b_dec');
    inner.forEach((value, i) => (inner[i] = value - at(bias, i % dIn)));
  }
  const encoder = tensor(dictionary, 'W_enc');
  const rows = rowsOf(x, dIn);
  return Float64Array.from({ length: rows * latents }, (_, i) =>
    dot(inner, Math.floor(i / latents) * dIn, encoder, (i % latents) * dIn, dIn),
  );
}

/** What decides whether a latent is active, [n, latents]: the gate of a gated dictionary, and pre otherwise. */
export function preActivations(dictionary: Dictionary, x: ArrayLike<number>): Float64Array {
  const { activation, latents } = dictionary.spec;
  const bias = tensor(dictionary, activation === 'gated' ? 'b_gate' : 'b_enc');
  const by = rescaling(dictionary);
  return projected(dictionary, x).map((value, i) => (value + at(bias, i % latents)) * at(by, i % latents));
}

/** The active latents' values and zeros, [n, latents]. Ties for the last of k places go to the lowest index. */
export function encode(dictionary: Dictionary, x: ArrayLike<number>): Float64Array {
  const { activation, latents, k } = dictionary.spec;
  const pre = preActivations(dictionary, x);
  if (activation === 'relu') return pre.map((value) => Math.max(value, 0));
  if (activation === 'jumprelu') {
    const threshold = tensor(dictionary, 'threshold');
    return pre.map((value, i) => (value > at(threshold, i % latents) ? Math.max(value, 0) : 0));
  }
  if (activation === 'gated') {
    const [bias, log] = [tensor(dictionary, 'b_mag'), tensor(dictionary, 'r_mag')];
    const magnitude = projected(dictionary, x).map((value, i) => value * Math.exp(at(log, i % latents)) + at(bias, i % latents));
    return magnitude.map((value, i) => (at(pre, i) > 0 ? Math.max(value, 0) : 0));
  }
  if (k === undefined) throw new RangeError('a top-k dictionary without k');
  const out = new Float64Array(pre.length);
  for (let start = 0; start < pre.length; start += latents)
    for (const m of topK(pre.subarray(start, start + latents), k)) out[start + m] = Math.max(at(pre, start + m), 0);
  return out;
}

/** y, [n, dOut], of activations [n, latents]. `x` is what they were encoded from: its scale is undone, and a skip reads it. */
export function decode(dictionary: Dictionary, activations: ArrayLike<number>, x: ArrayLike<number>): Float64Array {
  const { spec } = dictionary;
  const { dIn, dOut, latents } = spec;
  const [decoder, bias] = [tensor(dictionary, 'W_dec'), tensor(dictionary, 'b_dec')];
  const skip = spec.skip ? tensor(dictionary, 'W_skip') : undefined;
  const by = rescaling(dictionary);
  const rows = rowsOf(x, dIn);
  if (rowsOf(activations, latents) !== rows) throw new RangeError('activations of other rows than x');
  const out = new Float64Array(rows * dOut);
  for (let row = 0; row < rows; row++) {
    const inPlace = spec.contract.normalisation !== 'scale' && isTranscoder(spec);
    const { shift, outer } = inPlace ? UNSCALED : scaleOf(spec, x, row);
    for (let o = 0; o < dOut; o++) {
      let sum = at(bias, o);
      for (let m = 0; m < latents; m++) {
        const value = at(activations, row * latents + m);
        if (value !== 0) sum += (value / at(by, m)) * at(decoder, m * dOut + o);
      }
      out[row * dOut + o] = sum * outer + shift + (skip ? dot(x, row * dIn, skip, o * dIn, dIn) : 0);
    }
  }
  return out;
}

/** decode(encode(x)). */
export const reconstruct = (dictionary: Dictionary, x: ArrayLike<number>): Float64Array => decode(dictionary, encode(dictionary, x), x);

/** What the dictionary misses, [n, dOut]: y − f(x), y being what stands at its hookOut (x itself unless it is a transcoder). */
export function errorTerm(dictionary: Dictionary, x: ArrayLike<number>, y: ArrayLike<number> = x): Float64Array {
  return reconstruct(dictionary, x).map((value, i) => at(y, i) - value);
}
