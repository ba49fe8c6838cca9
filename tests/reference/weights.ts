/**
 * A checkpoint's tensors as the float64 forward pass wants them, placed by the families' own rules, so that the rules'
 * names, orientations and order within stacked matrices are tested against PyTorch and not only against themselves.
 */
import type { Tensor } from '../../workers/api';
import type { Family, TensorRule } from '../../workers/model/family';
import type { ModelSpec } from '../../workers/model/spec';
import { at } from './array';
import type { Linear } from './linear';

export interface Gain {
  weight: Float64Array;
  bias?: Float64Array;
}
export interface LayerWeights {
  ln1: Gain;
  ln2: Gain;
  q: Linear;
  k: Linear;
  v: Linear;
  out: Linear;
  /** Where there is a gate. */
  gate?: Linear;
  /** Into the MLP: the only branch, or the ungated one. */
  up: Linear;
  down: Linear;
}
export interface Weights {
  embed: Float64Array;
  pos?: Float64Array;
  layers: LayerWeights[];
  lnFinal: Gain;
  unembed: Linear;
}

/** [rows, columns] → [columns, rows] */
function transpose(x: Float64Array, rows: number, columns: number): Float64Array {
  return Float64Array.from(x, (_, i) => at(x, (i % rows) * columns + Math.floor(i / rows)));
}

/** A rule's values, [out, in] for a matrix. */
function read(tensors: ReadonlyMap<string, Tensor>, family: Family, rule: TensorRule): Float64Array {
  const names = [rule.name, ...family.prefixes.map((prefix) => prefix + rule.name)];
  const tensor = names.map((name) => tensors.get(name)).find((each) => each);
  if (!tensor) throw new Error(`no tensor ${names.join(' or ')}`);
  if (tensor.shape.join() !== rule.shape.join()) throw new Error(`${rule.name} is [${tensor.shape}], not [${rule.shape}]`);
  const data = Float64Array.from(tensor.data);
  const [inputs, outputs] = rule.shape;
  return rule.transposed && inputs && outputs ? transpose(data, inputs, outputs) : data;
}

/** Where a rule's values go: a layer-and-name key; stacked q, k and v are cut apart by rows. */
function placed(rule: TensorRule, data: Float64Array, spec: ModelSpec): [string, Float64Array][] {
  const { place } = rule;
  const at = 'layer' in place ? `${place.layer}.` : '';
  const bias = 'vector' in place ? '.b' : '';
  if (!('part' in place)) return [[at + ('matrix' in place ? place.matrix : place.vector), data]];
  if (place.part !== 'qkv') return [[`${at}${place.part}${bias}`, data]];
  const row = bias ? 1 : spec.dModel;
  const q = spec.heads * spec.dHead * row;
  const kv = spec.kvHeads * spec.dHead * row;
  return [
    [`${at}q${bias}`, data.subarray(0, q)],
    [`${at}k${bias}`, data.subarray(q, q + kv)],
    [`${at}v${bias}`, data.subarray(q + kv)],
  ];
}

export function canonicalWeights(spec: ModelSpec, family: Family, tensors: ReadonlyMap<string, Tensor>): Weights {
  const found = new Map<string, Float64Array>();
  for (const rule of family.tensors(spec)) for (const [key, data] of placed(rule, read(tensors, family, rule), spec)) found.set(key, data);
  const need = (key: string): Float64Array => {
    const data = found.get(key);
    if (!data) throw new Error(`the family has no rule for ${key}`);
    return data;
  };
  const withBias = <T extends object>(value: T, key: string): T & { bias?: Float64Array } => {
    const bias = found.get(key);
    return bias ? { ...value, bias } : value;
  };
  const matrix = (key: string, biasKey: string, inputs: number): Linear => {
    const weight = need(key);
    return withBias({ weight, inputs, outputs: weight.length / inputs }, biasKey);
  };
  const gain = (key: string): Gain => withBias({ weight: need(`${key}.w`) }, `${key}.b`);
  const { dModel, dMlp } = spec;
  const pos = found.get('pos');
  return {
    embed: need('embed'),
    ...(pos ? { pos } : {}),
    lnFinal: gain('ln_final'),
    unembed: matrix(spec.tied ? 'embed' : 'unembed', 'unembed.b', dModel),
    layers: Array.from({ length: spec.layers }, (_, l) => ({
      ln1: gain(`${l}.ln1`),
      ln2: gain(`${l}.ln2`),
      q: matrix(`${l}.q`, `${l}.q.b`, dModel),
      k: matrix(`${l}.k`, `${l}.k.b`, dModel),
      v: matrix(`${l}.v`, `${l}.v.b`, dModel),
      out: matrix(`${l}.attn.out`, `${l}.attn.out.b`, spec.heads * spec.dHead),
      ...(spec.mlp.gated ? { gate: matrix(`${l}.gate`, `${l}.gate.b`, dModel) } : {}),
      up: matrix(spec.mlp.gated ? `${l}.up` : `${l}.in`, spec.mlp.gated ? `${l}.up.b` : `${l}.in.b`, dModel),
      down: matrix(`${l}.mlp.out`, `${l}.mlp.out.b`, dMlp),
    })),
  };
}
