/**
 * What a gradient becomes on its way back through each step of the forward twins, in float64: for y = f(x) and dy = ∂m/∂y, dx = f'(x)ᵀ·dy (the chain rule). Written
 * from the forward equations beside this file, not from the kernels.
 */
import { activate } from './activation';
import { at, dot } from './array';
import { attentionPattern, attentionScores, sees, type AttentionShape } from './attention';
import type { Activation } from '../../workers/model/spec';
import { centre, normScale, type NormKind } from './norm';

/** dx = dy·W, rows of `outputs` to rows of `inputs`; W is [out, in]. */
export function linearBack(dy: ArrayLike<number>, weight: ArrayLike<number>, outputs: number, inputs: number): Float64Array {
  const rows = dy.length / outputs;
  const out = new Float64Array(rows * inputs);
  for (let r = 0; r < rows; r++)
    for (let o = 0; o < outputs; o++)
      for (let i = 0; i < inputs; i++) out[r * inputs + i] = at(out, r * inputs + i) + at(dy, r * outputs + o) * at(weight, o * inputs + i);
  return out;
}

/** Of a norm: the gradients at x̂, at the scale, and at x. `scale`: what divided, where it is not the norm's own. */
export function normBack(
  x: ArrayLike<number>,
  dy: ArrayLike<number>,
  kind: NormKind,
  eps: number,
  weight: ArrayLike<number>,
  scale?: ArrayLike<number>,
): { normalized: Float64Array; scale: Float64Array; x: Float64Array } {
  const d = weight.length;
  const centred = centre(x, d, kind);
  const sigma = normScale(centred, d, eps);
  const used = scale ?? sigma;
  const normalized = Float64Array.from(dy, (g, i) => g * at(weight, i % d));
  const slopes = Float64Array.from(sigma, (_, r) => -dot(normalized, r * d, centred, r * d, d) / at(used, r) ** 2);
  const out = normalized.map((g, i) => {
    const r = Math.floor(i / d);
    return g / at(used, r) + (at(slopes, r) * at(centred, i)) / (d * at(sigma, r));
  });
  return { normalized, scale: slopes, x: centre(out, d, kind) };
}

/** act'(x) by central differences of the twin itself: h = 1e-5 leaves about 1e-10 of a smooth function's slope. */
export function slopeOf(kind: Activation, x: number): number {
  if (kind === 'relu') return x > 0 ? 1 : 0;
  const h = 1e-5;
  return (activate(kind, x + h) - activate(kind, x - h)) / (2 * h);
}

/** Of attention: q, k and v as they were multiplied, dz; [row, head, d] all of them. */
export function attentionBack(
  q: ArrayLike<number>,
  k: ArrayLike<number>,
  v: ArrayLike<number>,
  dz: ArrayLike<number>,
  shape: AttentionShape,
  scale: number,
) {
  const { queries, keys, heads, kvHeads, dHead, cap = 0, window = 0 } = shape;
  const scores = attentionScores(q, k, shape, scale);
  const { pattern } = attentionPattern(scores, keys);
  const dPattern = new Float64Array(pattern.length);
  const dScores = new Float64Array(pattern.length);
  const [dq, dk, dv] = [new Float64Array(q.length), new Float64Array(k.length), new Float64Array(v.length)];
  const onto = (x: Float64Array, i: number, by: number): void => void (x[i] = at(x, i) + by);
  for (let h = 0; h < heads; h++) {
    const g = Math.floor((h * kvHeads) / heads);
    for (let i = 0; i < queries; i++) {
      const row = (h * queries + i) * keys;
      const query = (i * heads + h) * dHead;
      for (let t = 0; t < keys; t++) dPattern[row + t] = dot(dz, query, v, (t * kvHeads + g) * dHead, dHead);
      const mean = dot(pattern, row, dPattern, row, keys);
      for (let t = 0; t < keys; t++) {
        if (!sees(i, t, window)) continue;
        const s = at(pattern, row + t) * (at(dPattern, row + t) - mean);
        dScores[row + t] = s;
        const by = s * scale * (cap > 0 ? 1 - (at(scores, row + t) / cap) ** 2 : 1);
        const key = (t * kvHeads + g) * dHead;
        for (let d = 0; d < dHead; d++) {
          onto(dq, query + d, by * at(k, key + d));
          onto(dk, key + d, by * at(q, query + d));
          onto(dv, key + d, at(pattern, row + t) * at(dz, query + d));
        }
      }
    }
  }
  return { scores, pattern, dPattern, dScores, dq, dk, dv };
}
