/**
 * AtP*'s correction of queries and keys (Kramár, Lieberum, Shah and Nanda 2024, “AtP*: An efficient and scalable method for localizing LLM behaviour to components”,
 * §3.1): a softmax may be saturated, so that the gradient at a query or key says little of what another in its place does. So the patched query's or key's
 * pattern is computed, through the softmax, and only what comes after it is linear:
 *
 *   query   Σ_t (P(q', K)[t] − P(q, K)[t]) · ∂m/∂P[t]                     of its own row
 *   key     Σ_i Σ_t (P(q_i, K with k'_s)[i, t] − P(q_i, K)[i, t]) · ∂m/∂P[i, t]   of every row that sees it, heads of its group together
 * In float64 on the host, from turned queries and keys: what comes between a query and its score (a norm, a rotation) is of its own position, and so the same in
 * the other run. The paper's other correction (GradDrop) is not made.
 */
import { firstKey, type ModelSpec } from '../../model/spec';
import type { Rows } from './rows';

export interface HeadInputs {
  /** Turned. */
  q: Rows;
  k: Rows;
}
export interface Shape {
  spec: Pick<ModelSpec, 'heads' | 'kvHeads'>;
  scale: number;
  /** Of the scores; 0: none. */
  cap: number;
  /** 0: all keys. */
  window: number;
}

const dot = (a: Float32Array, b: Float32Array): number => {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] ?? 0) * (b[i] ?? 0);
  return sum;
};

function score(q: Float32Array, k: Float32Array, { scale, cap }: Shape): number {
  const s = scale * dot(q, k);
  return cap > 0 ? cap * Math.tanh(s / cap) : s;
}

/** Σ_t softmax(scores)[t]·gradient[from + t]. */
function weighed(scores: Float64Array, gradient: Float32Array, from: number): number {
  const high = scores.reduce((a, b) => Math.max(a, b), -Infinity);
  let [sum, total] = [0, 0];
  scores.forEach((s, t) => {
    const e = Math.exp(s - high);
    total += e;
    sum += e * (gradient[from + t] ?? 0);
  });
  return sum / total;
}

/** Of the query at a position of a head, taken from `other`. `gradient`: ∂m/∂pattern. */
export function queryEffect(base: HeadInputs, other: HeadInputs, gradient: Rows, shape: Shape, position: number, head: number): number {
  const group = Math.floor((head * shape.spec.kvHeads) / shape.spec.heads);
  const low = firstKey(shape.window, position);
  const scores = (q: Float32Array): Float64Array =>
    Float64Array.from({ length: position + 1 - low }, (_, t) => score(q, base.k.at(low + t, group), shape));
  const slope = gradient.at(position, head);
  return weighed(scores(other.q.at(position, head)), slope, low) - weighed(scores(base.q.at(position, head)), slope, low);
}

/** Of keys of a group taken from `other`: the one at `position`, or all. */
export function keyEffect(
  base: HeadInputs,
  other: HeadInputs,
  gradient: Rows,
  shape: Shape,
  position: number | undefined,
  group: number,
): number {
  const size = shape.spec.heads / shape.spec.kvHeads;
  let sum = 0;
  for (let head = group * size; head < (group + 1) * size; head++)
    for (let i = position ?? 0; i < base.q.positions; i++) {
      const low = firstKey(shape.window, i);
      if (position !== undefined && position < low) break;
      const q = base.q.at(i, head);
      const before = Float64Array.from({ length: i + 1 - low }, (_, t) => score(q, base.k.at(low + t, group), shape));
      const after = before.map((s, t) =>
        position === undefined || low + t === position ? score(q, other.k.at(low + t, group), shape) : s,
      );
      const slope = gradient.at(i, head);
      sum += weighed(after, slope, low) - weighed(before, slope, low);
    }
  return sum;
}
