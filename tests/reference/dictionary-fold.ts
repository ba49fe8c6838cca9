/**
 * Two changes of units that leave reconstructions alone (maths.md C.5; SAELens's fold_W_dec_norm and
 * fold_activation_norm_scaling_factor, whose names they have here in plain words).
 *   decoder norms n: W_enc·n, b·n, θ·n, W_dec/n, so activations come n times as large and W_dec's rows have norm 1
 *   scale s: W_enc·s, W_dec/s, b_dec/s, so the dictionary reads and writes raw activations; θ and b_enc stay
 * Which latents win a top k depends on the norms, so without the rescaling by them the first is another dictionary: it is refused.
 */
import { at } from './array';
import { decoderNorms, tensor, type Dictionary } from './dictionary';

/** SAELens's floor: a latent that writes nothing keeps finite weights. */
const LEAST_NORM = 1e-8;

/** The named tensors with latent m's entries multiplied by factor(m), and the others as they are. */
function timesLatent(
  dictionary: Dictionary,
  names: readonly string[],
  factor: (latent: number) => number,
): Record<string, ArrayLike<number>> {
  const out: Record<string, ArrayLike<number>> = { ...dictionary.tensors };
  for (const name of names) {
    const values = tensor(dictionary, name);
    const width = values.length / dictionary.spec.latents;
    out[name] = Float64Array.from(values, (value, i) => value * factor(Math.floor(i / width)));
  }
  return out;
}

const SCALED_WITH_ENCODER = {
  relu: ['W_enc', 'b_enc'],
  topk: ['W_enc', 'b_enc'],
  jumprelu: ['W_enc', 'b_enc', 'threshold'],
  gated: ['W_enc', 'b_gate', 'b_mag'],
} as const;

/** The same dictionary with unit decoder rows. */
export function foldDecoderNorms(dictionary: Dictionary): Dictionary {
  const { spec } = dictionary;
  if (spec.activation === 'topk' && !spec.contract.rescaleByDecoderNorm)
    throw new RangeError('folding decoder norms would change which latents are the k largest');
  const norms = decoderNorms(dictionary).map((norm) => Math.max(norm, LEAST_NORM));
  const encoder = timesLatent(dictionary, SCALED_WITH_ENCODER[spec.activation], (m) => at(norms, m));
  const decoder = timesLatent(dictionary, ['W_dec'], (m) => 1 / at(norms, m));
  return {
    spec: { ...spec, contract: { ...spec.contract, rescaleByDecoderNorm: false } },
    tensors: { ...encoder, W_dec: decoder['W_dec'] ?? [] },
  };
}

/** The same dictionary, of raw activations: a `scale` normalisation taken into the weights. */
export function foldScale(dictionary: Dictionary): Dictionary {
  const { spec, tensors } = dictionary;
  const { normalisation, scale } = spec.contract;
  if (normalisation !== 'scale') throw new RangeError(`there is no scale to fold: normalisation ${normalisation}`);
  const times = (name: string, by: number): Float64Array => Float64Array.from(tensor(dictionary, name), (value) => value * by);
  return {
    spec: { ...spec, contract: { ...spec.contract, normalisation: 'none', scale: 1 } },
    tensors: { ...tensors, W_enc: times('W_enc', scale), W_dec: times('W_dec', 1 / scale), b_dec: times('b_dec', 1 / scale) },
  };
}
