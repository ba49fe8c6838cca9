/**
 * Weight processing in float64, in plain words: what workers/model/processing.ts and its kernels are held to. Formulas as
 * TransformerLens 3 has them (weight_processing.py); every function answers with weights of its own.
 *   fold      W' = W·diag(γ), b' = b + W·β, then for LayerNorm W' less its mean over the inputs; γ = 1, β = 0
 *   values    b_O' = b_O + Σ_h W_O[:, h]·b_V[kv(h)], b_V = 0
 *   writing   W_E, W_pos less each row's mean; W_O, W_out, b_O, b_out less their mean over the outputs
 *   unembed   W_U, b_U less their mean over the vocabulary
 */
import type { Processing } from '../../workers/api';
import type { ModelSpec } from '../../workers/model/spec';
import { at } from './array';
import type { Linear } from './linear';
import { centre } from './norm';
import type { Gain, LayerWeights, Weights } from './weights';

/** A norm into a matrix that reads it. */
function folded(reader: Linear, norm: Gain, layerNorm: boolean): Linear {
  const { weight, inputs, outputs, bias } = reader;
  const gained = Float64Array.from(weight, (value, i) => value * at(norm.weight, i % inputs));
  const out: Linear = { weight: layerNorm ? centre(gained, inputs, 'layer') : gained, inputs, outputs };
  if (!layerNorm) return bias ? { ...out, bias } : out;
  const shifted = Float64Array.from({ length: outputs }, (_, o) => {
    let sum = bias ? at(bias, o) : 0;
    for (let i = 0; i < inputs; i++) sum += at(weight, o * inputs + i) * (norm.bias ? at(norm.bias, i) : 0);
    return sum;
  });
  return { ...out, bias: shifted };
}

const identity = (norm: Gain): Gain => ({
  weight: norm.weight.map(() => 1),
  ...(norm.bias ? { bias: norm.bias.map(() => 0) } : {}),
});

/** The mean over the outputs taken from each. */
function centredOutputs(matrix: Linear): Linear {
  const { weight, inputs, outputs, bias } = matrix;
  const mean = new Float64Array(inputs);
  for (let o = 0; o < outputs; o++) for (let i = 0; i < inputs; i++) mean[i] = at(mean, i) + at(weight, o * inputs + i) / outputs;
  return {
    ...matrix,
    weight: Float64Array.from(weight, (value, i) => value - at(mean, i % inputs)),
    ...(bias ? { bias: centre(bias, outputs, 'layer') } : {}),
  };
}

function foldNorms(spec: ModelSpec, layer: LayerWeights): LayerWeights {
  const { ln1, ln2, mlp } = layer;
  const layerNorm = spec.norm.kind === 'layer';
  const into = (reader: Linear, norm: Gain | undefined) => (norm ? folded(reader, norm, layerNorm) : reader);
  return {
    ...layer,
    q: into(layer.q, ln1),
    k: into(layer.k, ln1),
    v: into(layer.v, ln1),
    ...(ln1 ? { ln1: identity(ln1) } : {}),
    ...(ln2 ? { ln2: identity(ln2) } : {}),
    ...(mlp ? { mlp: { ...mlp, ...(mlp.gate ? { gate: into(mlp.gate, ln2) } : {}), up: into(mlp.up, ln2) } } : {}),
  };
}

function foldValues({ heads, kvHeads, dHead }: ModelSpec, layer: LayerWeights): LayerWeights {
  const { v, out } = layer;
  const values = v.bias;
  if (!values) return layer;
  const bias = Float64Array.from({ length: out.outputs }, (_, o) => {
    let sum = out.bias ? at(out.bias, o) : 0;
    for (let head = 0; head < heads; head++)
      for (let i = 0; i < dHead; i++)
        sum += at(out.weight, o * out.inputs + head * dHead + i) * at(values, Math.floor((head * kvHeads) / heads) * dHead + i);
    return sum;
  });
  return { ...layer, v: { ...v, bias: new Float64Array(values.length) }, out: { ...out, bias } };
}

const centreWriting = (layer: LayerWeights): LayerWeights => ({
  ...layer,
  out: centredOutputs(layer.out),
  ...(layer.mlp ? { mlp: { ...layer.mlp, down: centredOutputs(layer.mlp.down) } } : {}),
});

export function processed(spec: ModelSpec, weights: Weights, done: Processing): Weights {
  let { layers, embed, pos, lnFinal, unembed } = weights;
  if (done.foldLn && lnFinal) {
    layers = layers.map((layer) => foldNorms(spec, layer));
    unembed = folded(unembed, lnFinal, spec.norm.kind === 'layer');
    lnFinal = identity(lnFinal);
  }
  if (done.foldValueBiases) layers = layers.map((layer) => foldValues(spec, layer));
  if (done.centerWritingWeights) {
    layers = layers.map(centreWriting);
    embed = centre(embed, spec.dModel, 'layer');
    pos &&= centre(pos, spec.dModel, 'layer');
  }
  if (done.centerUnembed) unembed = centredOutputs(unembed);
  return { ...weights, layers, embed, unembed, ...(pos ? { pos } : {}), ...(lnFinal ? { lnFinal } : {}) };
}
