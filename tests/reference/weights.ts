/**
 * A checkpoint's tensors as the float64 forward pass wants them, placed by the families' own rules, so that the rules'
 * names, orientations and order within stacked matrices are tested against PyTorch and not only against themselves.
 */
import type { Tensor } from '../../workers/api';
import type { Family, Place, TensorRule } from '../../workers/model/family';
import type { ModelSpec } from '../../workers/model/spec';
import { at } from './array';
import type { Linear } from './linear';

export interface Gain {
  weight: Float64Array;
  bias?: Float64Array;
}
export interface MlpWeights {
  /** Where there is a gate. */
  gate?: Linear;
  /** Into the MLP: the only branch, or the ungated one. */
  up: Linear;
  down: Linear;
}
export interface LayerWeights {
  /** Norms: absent where the model has none of them. */
  ln1?: Gain;
  ln2?: Gain;
  ln1Post?: Gain;
  ln2Post?: Gain;
  q: Linear;
  k: Linear;
  v: Linear;
  /** Gains of each head's own norm, [d_head]. */
  qNorm?: Float64Array;
  kNorm?: Float64Array;
  out: Linear;
  /** Absent in attention-only models. */
  mlp?: MlpWeights;
}
export interface Weights {
  embed: Float64Array;
  pos?: Float64Array;
  layers: LayerWeights[];
  lnFinal?: Gain;
  unembed: Linear;
}

/** [rows, columns] → [columns, rows] */
function transpose(x: Float64Array, rows: number, columns: number): Float64Array {
  return Float64Array.from(x, (_, i) => at(x, (i % rows) * columns + Math.floor(i / rows)));
}

/** A rule's values, [out, in] for a matrix; nothing where they may be missing and are. */
function read(tensors: ReadonlyMap<string, Tensor>, family: Family, rule: TensorRule): Float64Array | undefined {
  const names = [rule.name, ...family.prefixes.map((prefix) => prefix + rule.name)];
  const tensor = names.map((name) => tensors.get(name)).find((each) => each);
  if (!tensor && rule.optional) return undefined;
  if (!tensor) throw new Error(`no tensor ${names.join(' or ')}`);
  if (tensor.shape.join() !== rule.shape.join()) throw new Error(`${rule.name} is [${tensor.shape}], not [${rule.shape}]`);
  const data = Float64Array.from(tensor.data, (value) => value + (rule.plus ?? 0));
  if (!rule.transposed) return data;
  // The outputs are the last axis; heads, where they are stacked, the first; whatever lies between is inputs.
  const slices = rule.stacked ? at(rule.shape, 0) : 1;
  const size = data.length / slices;
  const outputs = at(rule.shape, rule.shape.length - 1);
  const out = new Float64Array(data.length);
  for (let slice = 0; slice < slices; slice++)
    out.set(transpose(data.subarray(slice * size, (slice + 1) * size), size / outputs, outputs), slice * size);
  return out;
}

/** Rows of a part that holds several: [key, rows] one after the other, over and over until the tensor ends. */
function rowsOf(place: Place & { part: string }, { heads, kvHeads, dHead, dMlp }: ModelSpec): [key: string, rows: number][] {
  switch (place.part) {
    case 'qkv':
      return [
        ['q', heads * dHead],
        ['k', kvHeads * dHead],
        ['v', kvHeads * dHead],
      ];
    case 'heads':
      return [
        ['q', dHead],
        ['k', dHead],
        ['v', dHead],
      ];
    case 'gate-up':
      return [
        ['gate', dMlp],
        ['up', dMlp],
      ];
    default:
      return [[place.part, Infinity]];
  }
}

/** Where a rule's values go: a layer-and-name key each; parts that lie together are cut apart by rows. */
function placed({ place }: TensorRule, data: Float64Array, spec: ModelSpec): [string, Float64Array][] {
  const layer = 'layer' in place ? `${place.layer}.` : '';
  const bias = 'vector' in place;
  if (!('part' in place)) return [[layer + ('matrix' in place ? place.matrix : place.vector), data]];
  const width = bias ? 1 : spec.dModel;
  const pieces = rowsOf(place, spec);
  const found = new Map<string, number[]>();
  for (let start = 0; start < data.length;)
    for (const [key, rows] of pieces) {
      const mine = data.subarray(start, Math.min(data.length, start + rows * width));
      const values = found.get(key) ?? [];
      for (const value of mine) values.push(value);
      found.set(key, values);
      start += mine.length;
    }
  return [...found].map(([key, values]) => [`${layer}${key}${bias ? '.b' : ''}`, Float64Array.from(values)]);
}

export function canonicalWeights(spec: ModelSpec, family: Family, tensors: ReadonlyMap<string, Tensor>): Weights {
  const found = new Map<string, Float64Array>();
  for (const rule of family.tensors(spec)) {
    const data = read(tensors, family, rule);
    if (data) for (const [key, values] of placed(rule, data, spec)) found.set(key, values);
  }
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
  const { dModel, dMlp, norm, block, attention } = spec;
  /** A norm by its key; a gain that the file leaves out is 1. */
  const gain = (key: string): Gain => withBias({ weight: found.get(`${key}.w`) ?? new Float64Array(dModel).fill(1) }, `${key}.b`);
  const normed = norm.kind !== 'none';
  const mlp = (l: number): MlpWeights => ({
    ...(spec.mlp.gated ? { gate: matrix(`${l}.gate`, `${l}.gate.b`, dModel) } : {}),
    up: matrix(spec.mlp.gated ? `${l}.up` : `${l}.in`, spec.mlp.gated ? `${l}.up.b` : `${l}.in.b`, dModel),
    down: matrix(`${l}.mlp.out`, `${l}.mlp.out.b`, dMlp),
  });
  const pos = found.get('pos');
  return {
    embed: need('embed'),
    ...(pos ? { pos } : {}),
    ...(normed ? { lnFinal: gain('ln_final') } : {}),
    unembed: matrix(spec.tied ? 'embed' : 'unembed', 'unembed.b', dModel),
    layers: Array.from({ length: spec.layers }, (_, l) => ({
      ...(normed ? { ln1: gain(`${l}.ln1`) } : {}),
      ...(normed && dMlp > 0 ? { ln2: gain(block.sharedNorm ? `${l}.ln1` : `${l}.ln2`) } : {}),
      ...(block.postNorms ? { ln1Post: gain(`${l}.ln1_post`), ln2Post: gain(`${l}.ln2_post`) } : {}),
      q: matrix(`${l}.q`, `${l}.q.b`, dModel),
      k: matrix(`${l}.k`, `${l}.k.b`, dModel),
      v: matrix(`${l}.v`, `${l}.v.b`, dModel),
      ...(attention.qkNorm ? { qNorm: need(`${l}.attn.q_norm.w`), kNorm: need(`${l}.attn.k_norm.w`) } : {}),
      out: matrix(`${l}.attn.out`, `${l}.attn.out.b`, spec.heads * spec.dHead),
      ...(dMlp > 0 ? { mlp: mlp(l) } : {}),
    })),
  };
}
