/**
 * Mistakes that a mapping of a family could make, each on purpose: in the spec, in the tensors' rules, or in the weights once they
 * are placed. A fixture that does not notice one of them tests less than it seems to.
 */
import type { Family, TensorRule } from '../../workers/model/family';
import type { ModelSpec, Rotary } from '../../workers/model/spec';
import { at } from '../reference/array';
import type { HookFn } from '../reference/forward';
import type { Linear } from '../reference/linear';
import { norm } from '../reference/norm';
import { plainRotary } from '../reference/rope';
import type { Gain, LayerWeights, MlpWeights, Weights } from '../reference/weights';

export interface Mutation {
  name: string;
  /** Is there anything to get wrong in this way? */
  applies(spec: ModelSpec, rules: readonly TensorRule[]): boolean;
  spec?(spec: ModelSpec): ModelSpec;
  rule?(rule: TensorRule, spec: ModelSpec): TensorRule;
  weights?(weights: Weights, spec: ModelSpec): Weights;
  hook?(weights: Weights, spec: ModelSpec): HookFn;
  /** What it must move a row by where it cannot move it by much: GELU's two forms are nowhere further apart than 5e-4. */
  least?: number;
}

type Positions = Extract<ModelSpec['positions'], { kind: 'rotary' }>;
const isRotary = (spec: ModelSpec): boolean => spec.positions.kind === 'rotary';
const attention = (change: (spec: ModelSpec) => Partial<ModelSpec['attention']>) => (spec: ModelSpec) => ({
  ...spec,
  attention: { ...spec.attention, ...change(spec) },
});
const windows = (change: (windows: readonly number[]) => number[]) => attention((spec) => ({ windows: change(spec.attention.windows) }));
const block = (change: (spec: ModelSpec) => Partial<ModelSpec['block']>) => (spec: ModelSpec) => ({
  ...spec,
  block: { ...spec.block, ...change(spec) },
});
const positions = (change: (positions: Positions, spec: ModelSpec) => Partial<Positions>) => (spec: ModelSpec) =>
  spec.positions.kind === 'rotary' ? { ...spec, positions: { ...spec.positions, ...change(spec.positions, spec) } } : spec;
const part = (place: TensorRule['place']): string | undefined => ('part' in place ? place.part : undefined);
const renamed = (from: string, to: string) => (rule: TensorRule) =>
  part(rule.place) === from ? { ...rule, place: { ...rule.place, part: to } as TensorRule['place'] } : rule;
const layers = (change: (layer: LayerWeights, spec: ModelSpec) => LayerWeights) => (weights: Weights, spec: ModelSpec) => ({
  ...weights,
  layers: weights.layers.map((layer) => change(layer, spec)),
});
const mlps = (change: (mlp: MlpWeights) => MlpWeights) => layers((layer) => (layer.mlp ? { ...layer, mlp: change(layer.mlp) } : layer));
const bare = ({ bias: _, ...rest }: Linear): Linear => rest;
const shiftless = (gain: Gain | undefined): Gain | undefined => gain && { weight: gain.weight };
/** With a norm left as it was where there is none. */
const gains = (layer: LayerWeights, change: (gain: Gain | undefined) => Gain | undefined): LayerWeights => {
  const [ln1, ln2] = [change(layer.ln1), change(layer.ln2)];
  return { ...layer, ...(ln1 ? { ln1 } : {}), ...(ln2 ? { ln2 } : {}) };
};
const turned = (x: Linear): Linear => ({
  ...x,
  weight: Float64Array.from(x.weight, (_, i) => at(x.weight, (i % x.inputs) * x.inputs + Math.floor(i / x.inputs))),
});
/** Rows of a projection in another order, its bias with them. */
function reordered(x: Linear, from: (row: number) => number): Linear {
  const { weight, inputs, bias } = x;
  return {
    ...x,
    weight: Float64Array.from(weight, (_, i) => at(weight, from(Math.floor(i / inputs)) * inputs + (i % inputs))),
    ...(bias ? { bias: Float64Array.from(bias, (_, i) => at(bias, from(i))) } : {}),
  };
}
const columns = (x: Linear, from: (column: number) => number): Linear => ({
  ...x,
  weight: Float64Array.from(x.weight, (_, i) => at(x.weight, i - (i % x.inputs) + from(i % x.inputs))),
});

/** Adjacent pairs (2i, 2i + 1) turned is half-split pairs turned of rows in this order. */
const adjacent = ({ dHead, positions: p }: ModelSpec) => {
  const dims = p.kind === 'rotary' ? p.dims : 0;
  return (row: number): number => {
    const i = row % dHead;
    if (i >= dims) return row;
    return row - i + (i < dims / 2 ? 2 * i : 2 * (i - dims / 2) + 1);
  };
};
/** The base that a plain table tells. */
const baseOf = ({ frequencies }: Rotary, dims: number): number => at(frequencies, 1) ** (-dims / 2);

export const MUTATIONS: readonly Mutation[] = [
  // Orientation and order.
  {
    name: 'the output projection transposed',
    applies: (spec) => spec.heads * spec.dHead === spec.dModel,
    weights: layers((layer) => ({ ...layer, out: turned(layer.out) })),
  },
  {
    name: 'q transposed',
    applies: (spec) => spec.heads * spec.dHead === spec.dModel,
    weights: layers((layer) => ({ ...layer, q: turned(layer.q) })),
  },
  {
    name: 'q and k swapped',
    applies: (spec) => spec.heads === spec.kvHeads,
    weights: layers((layer) => ({ ...layer, q: layer.k, k: layer.q })),
  },
  { name: 'k and v swapped', applies: () => true, weights: layers((layer) => ({ ...layer, k: layer.v, v: layer.k })) },
  {
    name: 'gate and up swapped',
    applies: (spec) => spec.mlp.gated,
    weights: mlps((mlp) => ({ ...mlp, gate: mlp.up, up: mlp.gate ?? mlp.up })),
  },
  {
    name: 'the first and the second norm swapped',
    applies: (spec) => spec.norm.kind !== 'none' && spec.dMlp > 0 && !spec.block.sharedNorm,
    weights: layers(({ ln1, ln2, ...rest }) => ({ ...rest, ...(ln2 ? { ln1: ln2 } : {}), ...(ln1 ? { ln2: ln1 } : {}) })),
  },
  {
    name: 'the norms before and after a branch swapped',
    applies: (spec) => spec.block.postNorms,
    weights: layers(({ ln1, ln1Post, ...rest }) => ({ ...rest, ...(ln1Post ? { ln1: ln1Post } : {}), ...(ln1 ? { ln1Post: ln1 } : {}) })),
  },
  {
    name: 'q, k and v of each head read as all q, all k, all v',
    applies: (_, rules) => rules.some((rule) => part(rule.place) === 'heads'),
    rule: renamed('heads', 'qkv'),
  },
  {
    name: 'all q, all k, all v read head by head',
    applies: (spec, rules) => spec.heads === spec.kvHeads && spec.heads > 1 && rules.some((rule) => part(rule.place) === 'qkv'),
    rule: renamed('qkv', 'heads'),
  },
  {
    name: 'gate and up, one after the other, read row by row in turn',
    applies: (_, rules) => rules.some((rule) => part(rule.place) === 'gate-up'),
    weights: mlps((mlp) => {
      const { gate, up } = mlp;
      if (!gate) return mlp;
      const rows = up.outputs;
      const both: Linear = { ...up, outputs: 2 * rows, weight: Float64Array.from([...Array.from(gate.weight), ...Array.from(up.weight)]) };
      const half = (first: number): Linear => {
        const all = reordered(both, (row) => (2 * row + first) % (2 * rows));
        return { ...up, weight: Array.from(all.weight).slice(0, rows * up.inputs) };
      };
      return { ...mlp, gate: half(0), up: half(1) };
    }),
  },
  {
    name: 'heads take key-value heads in turn, not in groups',
    applies: (spec) => spec.kvHeads > 1 && spec.kvHeads < spec.heads,
    weights: layers((layer, { heads, kvHeads, dHead }) => {
      // The head that stands at a place whose group is kv is one with head % kvHeads = kv.
      const group = heads / kvHeads;
      const from = (row: number): number => {
        const h = Math.floor(row / dHead);
        return ((h % group) * kvHeads + Math.floor(h / group)) * dHead + (row % dHead);
      };
      return { ...layer, q: reordered(layer.q, from), out: columns(layer.out, from) };
    }),
  },
  {
    name: 'the embedding for a head of its own',
    applies: (spec) => !spec.tied && spec.vocab === spec.vocabOut,
    weights: (weights) => ({ ...weights, unembed: { ...weights.unembed, weight: weights.embed } }),
  },

  // What is left out.
  {
    name: 'no bias on q, k and v',
    applies: (spec) => spec.bias.qkv,
    weights: layers((layer) => ({ ...layer, q: bare(layer.q), k: bare(layer.k), v: bare(layer.v) })),
  },
  { name: 'no bias on v', applies: (spec) => spec.bias.qkv, weights: layers((layer) => ({ ...layer, v: bare(layer.v) })) },
  { name: 'no bias on the output', applies: (spec) => spec.bias.out, weights: layers((layer) => ({ ...layer, out: bare(layer.out) })) },
  {
    name: 'no bias into the MLP',
    applies: (spec) => spec.bias.mlpIn,
    weights: mlps(({ gate, up, down }) => ({ ...(gate ? { gate: bare(gate) } : {}), up: bare(up), down })),
  },
  { name: 'no bias out of the MLP', applies: (spec) => spec.bias.mlpOut, weights: mlps((mlp) => ({ ...mlp, down: bare(mlp.down) })) },
  {
    name: 'no bias on the head',
    applies: (spec) => spec.bias.unembed,
    weights: (weights) => ({ ...weights, unembed: bare(weights.unembed) }),
  },
  {
    name: 'no shift in the norms',
    applies: (spec) => spec.norm.kind === 'layer',
    weights: layers((layer) => gains(layer, shiftless)),
  },
  {
    name: 'gains without the 1 that they are kept less',
    applies: (_, rules) => rules.some((rule) => rule.plus),
    rule: ({ plus: _, ...rest }) => rest,
  },
  { name: 'no scale on the embedding', applies: (spec) => spec.embedScale !== 1, spec: (spec) => ({ ...spec, embedScale: 1 }) },
  {
    name: 'no norms after the branches',
    applies: (spec) => spec.block.postNorms,
    weights: layers(({ ln1Post: _, ln2Post: __, ...rest }) => rest),
  },
  { name: 'no norm of q and k', applies: (spec) => spec.attention.qkNorm, weights: layers(({ qNorm: _, kNorm: __, ...rest }) => rest) },
  {
    name: 'q and k normed after they are turned',
    applies: (spec) => spec.attention.qkNorm,
    weights: layers(({ qNorm: _, kNorm: __, ...rest }) => rest),
    hook: (weights, spec) => (name, x) => {
      const found = /^blocks\.(\d+)\.attn\.hook_rot_([qk])$/.exec(name);
      const layer = weights.layers[Number(found?.[1])];
      const gain = found?.[2] === 'q' ? layer?.qNorm : layer?.kNorm;
      return found && gain ? norm(x, 'rms', spec.norm.eps, gain).out : undefined;
    },
  },
  {
    name: 'the norms of q and of k swapped',
    applies: (spec) => spec.attention.qkNorm,
    weights: layers(({ qNorm, kNorm, ...rest }) => ({ ...rest, ...(kNorm ? { qNorm: kNorm } : {}), ...(qNorm ? { kNorm: qNorm } : {}) })),
  },
  { name: 'no cap on the scores', applies: (spec) => spec.attention.cap > 0, spec: attention(() => ({ cap: 0 })) },
  { name: 'no cap on the logits', applies: (spec) => spec.logitCap > 0, spec: (spec) => ({ ...spec, logitCap: 0 }) },

  // The wrong convention.
  {
    name: 'scores scaled that are not, or not scaled that are',
    applies: () => true,
    spec: attention((spec) => ({ scale: spec.attention.scale === 1 ? 1 / Math.sqrt(spec.dHead) : 1 })),
  },
  {
    name: 'scores scaled by the width of a head, not as the config says',
    applies: (spec) => Math.abs(spec.attention.scale * Math.sqrt(spec.dHead) - 1) > 1e-9 && spec.attention.scale !== 1,
    spec: attention((spec) => ({ scale: 1 / Math.sqrt(spec.dHead) })),
  },
  {
    name: 'scores divided by the layer',
    applies: (spec) => spec.layers > 1,
    spec: attention((spec) => ({ divideByLayer: !spec.attention.divideByLayer })),
  },
  {
    name: 'one after the other for side by side',
    applies: (spec) => spec.block.parallel,
    spec: block(() => ({ parallel: false })),
  },
  {
    name: 'side by side for one after the other',
    applies: (spec) => !spec.block.parallel && spec.dMlp > 0,
    spec: block(() => ({ parallel: true })),
  },
  {
    name: 'RMSNorm for LayerNorm',
    applies: (spec) => spec.norm.kind === 'layer',
    spec: (spec) => ({ ...spec, norm: { ...spec.norm, kind: 'rms' } }),
  },
  {
    name: 'LayerNorm for RMSNorm',
    applies: (spec) => spec.norm.kind === 'rms',
    spec: (spec) => ({ ...spec, norm: { ...spec.norm, kind: 'layer' } }),
  },
  {
    name: 'the other GELU',
    applies: (spec) => spec.dMlp > 0 && spec.mlp.act.startsWith('gelu'),
    spec: (spec) => ({ ...spec, mlp: { ...spec.mlp, act: spec.mlp.act === 'gelu' ? 'gelu_new' : 'gelu' } }),
    least: 1.5e-4,
  },
  {
    name: 'GELU for SiLU',
    applies: (spec) => spec.dMlp > 0 && spec.mlp.act === 'silu',
    spec: (spec) => ({ ...spec, mlp: { ...spec.mlp, act: 'gelu' } }),
  },

  // Windows.
  { name: 'no window', applies: (spec) => spec.attention.windows.some(Boolean), spec: windows((all) => all.map(() => 0)) },
  {
    name: 'a window one longer',
    applies: (spec) => spec.attention.windows.some(Boolean),
    spec: windows((all) => all.map((window) => (window > 0 ? window + 1 : 0))),
  },
  {
    name: 'a window one shorter',
    applies: (spec) => spec.attention.windows.some((window) => window > 1),
    spec: windows((all) => all.map((window) => (window > 1 ? window - 1 : window))),
  },
  {
    name: 'windows on the other layers',
    applies: (spec) => new Set(spec.attention.windows).size > 1,
    spec: windows((all) => all.map((window) => (window > 0 ? 0 : Math.max(...all)))),
  },
  {
    name: 'a window on every layer',
    applies: (spec) => new Set(spec.attention.windows).size > 1,
    spec: windows((all) => all.map(() => Math.max(...all))),
  },

  // Rotary positions.
  {
    name: 'adjacent pairs turned',
    // Of one pair there is no other order.
    applies: (spec) => spec.positions.kind === 'rotary' && spec.positions.dims > 2,
    weights: layers((layer, spec) => {
      const from = adjacent(spec);
      const gain = (x: Float64Array | undefined) => x && Float64Array.from(x, (_, i) => at(x, from(i)));
      const [qNorm, kNorm] = [gain(layer.qNorm), gain(layer.kNorm)];
      return {
        ...layer,
        q: reordered(layer.q, from),
        k: reordered(layer.k, from),
        ...(qNorm ? { qNorm } : {}),
        ...(kNorm ? { kNorm } : {}),
      };
    }),
  },
  {
    name: 'nothing turned',
    applies: isRotary,
    spec: positions(({ tables }) => ({ tables: tables.map((table) => ({ ...table, frequencies: table.frequencies.map(() => 0) })) })),
  },
  {
    name: 'turned the other way',
    applies: isRotary,
    spec: positions(({ tables }) => ({ tables: tables.map((table) => ({ ...table, frequencies: table.frequencies.map((f) => -f) })) })),
  },
  {
    name: 'the whole head turned, not a part',
    applies: (spec) => spec.positions.kind === 'rotary' && spec.positions.dims < spec.dHead && spec.dHead % 2 === 0,
    spec: positions(({ tables, dims }, { dHead }) => ({
      dims: dHead,
      tables: tables.map((table) => ({ ...table, frequencies: plainRotary(dHead, baseOf(table, dims)).frequencies })),
    })),
  },
  {
    name: 'a part of the head turned, not the whole',
    applies: (spec) => spec.positions.kind === 'rotary' && spec.positions.dims === spec.dHead && spec.dHead >= 4,
    spec: positions(({ tables, dims }) => ({
      dims: dims - 2,
      tables: tables.map((table) => ({ ...table, frequencies: table.frequencies.slice(0, -1) })),
    })),
  },
  {
    name: 'a base of 10000',
    applies: (spec) => spec.positions.kind === 'rotary' && spec.positions.dims > 2,
    spec: positions(({ tables, dims }) => ({ tables: tables.map(({ scale }) => ({ ...plainRotary(dims, 10000), scale })) })),
  },
  {
    name: 'every layer turned by the first table',
    applies: (spec) => spec.positions.kind === 'rotary' && spec.positions.tables.length > 1,
    spec: positions(({ tableOf }) => ({ tableOf: tableOf.map(() => 0) })),
  },
  {
    name: 'every layer turned by the second table',
    applies: (spec) => spec.positions.kind === 'rotary' && spec.positions.tables.length > 1,
    spec: positions(({ tableOf }) => ({ tableOf: tableOf.map(() => 1) })),
  },
  {
    name: 'what is turned not lengthened',
    applies: (spec) => spec.positions.kind === 'rotary' && spec.positions.tables.some(({ scale }) => scale !== 1),
    spec: positions(({ tables }) => ({ tables: tables.map((table) => ({ ...table, scale: 1 })) })),
  },
];

/** A config that asks for scaled frequencies, without what asks for them. */
export function unscaled(config: Readonly<Record<string, unknown>>): Record<string, unknown> | undefined {
  const plain = (rope: unknown): unknown => {
    if (typeof rope !== 'object' || rope === null) return rope;
    const given = rope as Record<string, unknown>;
    return 'full_attention' in given
      ? Object.fromEntries(Object.entries(given).map(([key, value]) => [key, plain(value)]))
      : { ...given, rope_type: 'default', type: 'default' };
  };
  const out = { ...config, rope_scaling: null, rope_parameters: plain(config['rope_parameters']) };
  const scaled = (rope: unknown): boolean => /linear|llama3|longrope/.test(JSON.stringify(rope ?? ''));
  return scaled(config['rope_scaling']) || scaled(config['rope_parameters']) ? out : undefined;
}

/** A family that makes the mistake: what of it is in the spec and in the rules. */
export const mutated = (family: Family, { spec, rule }: Pick<Mutation, 'spec' | 'rule'>): Family => ({
  ...family,
  spec: (config) => {
    const right = family.spec(config);
    return spec ? spec(right) : right;
  },
  tensors: (right) => family.tensors(right).map((each) => (rule ? rule(each, right) : each)),
});
