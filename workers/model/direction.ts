/**
 * A logit, or the difference of two, as something linear in the stream: what is left of a component c once it is read through ln_final and W_U
 * with the norm's scale held where the full stream put it (direct logit attribution; Elhage et al. 2021, TransformerLens's ActivationCache):
 *
 *   u = W_U[a] − W_U[b]     v = w ⊙ u, less its mean after a LayerNorm          c reads as c·v / σ
 *   σ = ln_final's scale of the whole stream at that position; and what depends on no component: b_ln·u, b_U[a] − b_U[b]
 * Taking the mean off v is the same as taking it off every c. A branch's inside (z, the MLP's activations) is read through its last projection and,
 * where there is one, its own norm, whose scale is held as well: r = Wᵀv', v' = g ⊙ v (less its mean), the bias b·v', and the norm's own b_g·v.
 * Weights are read back as they are in use and summed in float64.
 */
import { matrixOf } from './matrices';
import type { Runtime } from './runtime';
import { eachStretch, readMatrixRows, readWords } from './weight-words';

export type Branch = 'attn' | 'mlp';

export interface Direction {
  /** [d_model] */
  u: Float64Array;
  /** w ⊙ u, for what stands after the norm. */
  gained: Float64Array;
  /** For what stands in the stream. */
  v: Float64Array;
  normBias: number;
  unembedBias: number;
}

/** Of token `a`'s logit, or of what it has over `b`'s. */
export async function directionOf(model: Runtime, a: number, b?: number): Promise<Direction> {
  const { planner, spec } = model;
  const matrix = matrixOf(planner.weights, spec.tied ? 'embed' : 'unembed');
  const [plus, minus] = await readMatrixRows(
    model,
    [a, ...(b === undefined ? [] : [b])].map((row) => ({ matrix, row })),
  );
  const u = Float64Array.from({ length: spec.dModel }, (_, i) => (plus?.[i] ?? 0) - (minus?.[i] ?? 0));
  const gain = await vectorOf(model, 'ln_final.w', spec.dModel);
  const bias = await vectorOf(model, 'ln_final.b', spec.dModel);
  const heads = await vectorOf(model, 'unembed.b', spec.vocabOut);
  const gained = u.map((each, i) => each * (gain?.[i] ?? 1));
  return {
    u,
    gained,
    v: spec.norm.kind === 'layer' ? lessMean(gained) : gained,
    normBias: bias ? dot(bias, u) : 0,
    unembedBias: (heads?.[a] ?? 0) - (b === undefined ? 0 : (heads?.[b] ?? 0)),
  };
}

/** What lies between a branch's last projection and the stream. */
export interface Behind {
  /** g ⊙ v: for what stands behind the branch's own norm; v itself where there is no such norm. */
  gained: Float64Array;
  /** v': for what the projection writes, to be divided by the branch's own scale. */
  inner: Float64Array;
  /** b·v', likewise. */
  bias: number;
  /** b_g·v */
  normBias: number;
  hasBias: boolean;
}

export async function behindBranch(model: Runtime, layer: number, branch: Branch, v: Float64Array): Promise<Behind> {
  const { dModel, norm } = model.spec;
  const own = `blocks.${layer}.${branch === 'attn' ? 'ln1_post' : 'ln2_post'}`;
  const gain = await vectorOf(model, `${own}.w`, dModel);
  const shift = await vectorOf(model, `${own}.b`, dModel);
  const bias = await vectorOf(model, `blocks.${layer}.${branch}.out.b`, dModel);
  const gained = gain ? v.map((each, i) => each * (gain[i] ?? 1)) : v;
  const inner = gain && norm.kind === 'layer' ? lessMean(gained) : gained;
  return {
    gained,
    inner,
    bias: bias ? dot(bias, inner) : 0,
    normBias: shift ? dot(shift, v) : 0,
    hasBias: bias !== undefined || shift !== undefined,
  };
}

/** Wᵀv' as the inside's rows lie when they are tapped: heads side by side, or the MLP's activations. */
export async function insideBranch(model: Runtime, layer: number, branch: Branch, inner: Float64Array): Promise<Float64Array> {
  const { planner, spec } = model;
  const matrix = matrixOf(planner.weights, `blocks.${layer}.${branch}.out`);
  const padded = new Float64Array(matrix.k);
  await eachStretch(model, matrix, (row0, numbers) => {
    for (let start = 0, row = row0; start < numbers.length; start += matrix.k, row++) {
      const factor = inner[row] ?? 0;
      for (let i = 0; i < matrix.k; i++) padded[i] = (padded[i] ?? 0) + factor * (numbers[start + i] ?? 0);
    }
  });
  return branch === 'attn' ? together(padded, spec.heads, spec.dHead) : padded.slice(0, spec.dMlp);
}

/** A vector by its name; nothing where the model has none of this name. */
export async function vectorOf(model: Runtime, name: string, length: number): Promise<Float32Array | undefined> {
  const at = model.planner.weights.vectors.get(name);
  if (at === undefined) return undefined;
  const [words] = await readWords(model, [], [{ buffer: 'vecs', words: length, from: at }]);
  return words;
}

/** Σ x[i + from]·y[i] over y. */
export function dot(x: ArrayLike<number>, y: ArrayLike<number>, from = 0): number {
  let sum = 0;
  for (let i = 0; i < y.length; i++) sum += (x[from + i] ?? 0) * (y[i] ?? 0);
  return sum;
}

export function lessMean(x: Float64Array): Float64Array {
  const mean = x.reduce((sum, each) => sum + each, 0) / x.length;
  return x.map((each) => each - mean);
}

/** Heads that lie padded, side by side without padding. */
function together(padded: Float64Array, heads: number, dHead: number): Float64Array {
  const stride = padded.length / heads;
  const out = new Float64Array(heads * dHead);
  for (let h = 0; h < heads; h++) out.set(padded.subarray(h * stride, h * stride + dHead), h * dHead);
  return out;
}
