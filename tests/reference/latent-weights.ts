/**
 * What latents' weights say, by the formulas as they are written, in float64: each latent's direction brought to the stream and read by every token
 * of W_U, one by one; cosines of decoder rows.
 */
import type { ModelSpec } from '../../workers/model/spec';
import { at, dot } from './array';
import { tensor, type Dictionary } from './dictionary';
import { linear } from './linear';
import type { Weights } from './weights';

/** W_U[t] · (w ⊙ (s − mean s)), s = d, or g ⊙ W_O·d, g ⊙ W_out·d with the gain of a norm after the branch; no mean where the norm takes none. [d_vocab] */
export function logitWeights(d: Dictionary, spec: ModelSpec, weights: Weights, latent: number): Float64Array {
  const { dOut, hookOut } = d.spec;
  const row = Float64Array.from({ length: dOut }, (_, i) => at(tensor(d, 'W_dec'), latent * dOut + i));
  return logitWeightsOf(row, hookOut, spec, weights);
}

/** The same of a direction at a hook; of a neuron, the axis of hook_post that it is. */
export function logitWeightsOf(row: Float64Array, hookOut: string, spec: ModelSpec, weights: Weights): Float64Array {
  const layer = weights.layers[Number(/^blocks\.(\d+)\./.exec(hookOut)?.[1] ?? -1)];
  const through = hookOut.endsWith('hook_z') ? layer?.out : hookOut.endsWith('hook_post') ? layer?.mlp?.down : undefined;
  const after = hookOut.endsWith('hook_z') ? layer?.ln1Post : hookOut.endsWith('hook_post') ? layer?.ln2Post : undefined;
  const brought = through ? linear(row, { weight: through.weight, inputs: through.inputs, outputs: through.outputs }) : row;
  const stream = after ? brought.map((each, i) => each * at(after.weight, i)) : brought;
  const mean = spec.norm.kind === 'layer' ? stream.reduce((sum, each) => sum + each, 0) / stream.length : 0;
  const read = stream.map((each, i) => (each - mean) * (weights.lnFinal ? at(weights.lnFinal.weight, i) : 1));
  return linear(read, { weight: weights.unembed.weight, inputs: weights.unembed.inputs, outputs: weights.unembed.outputs });
}

/** cos(d, d_j) of one latent with all of another dictionary. */
export function cosines(d: Dictionary, latent: number, other: Dictionary): Float64Array {
  const { dOut } = d.spec;
  const [a, b] = [tensor(d, 'W_dec'), tensor(other, 'W_dec')];
  const of = (i: number): number => dot(b, i * dOut, b, i * dOut, dOut);
  const own = dot(a, latent * dOut, a, latent * dOut, dOut);
  return Float64Array.from(
    { length: other.spec.latents },
    (_, i) => dot(a, latent * dOut, b, i * dOut, dOut) / (Math.sqrt(own * of(i)) || 1),
  );
}
