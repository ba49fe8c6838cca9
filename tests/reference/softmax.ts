/**
 * What is read off a row of logits. Natural logarithms throughout: entropy and KL are in nats.
 *   logSumExp(x) = m + log Σ e^(x − m), m = max x     log p = x − logSumExp(x)
 *   entropy = −Σ p·log p     KL(p ‖ q) = Σ p·(log p − log q)
 * Ties go to the lowest index, in the top-k and in a rank.
 */
import { at } from './array';

export function logSumExp(x: ArrayLike<number>): number {
  let max = -Infinity;
  for (let i = 0; i < x.length; i++) max = Math.max(max, at(x, i));
  if (max === -Infinity) return max;
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += Math.exp(at(x, i) - max);
  return max + Math.log(sum);
}

export function logSoftmax(x: ArrayLike<number>): Float64Array {
  const lse = logSumExp(x);
  return Float64Array.from(x, (value) => value - lse);
}

export function entropy(logits: ArrayLike<number>): number {
  // A probability of 0 has no surprise to add: p·log p → 0.
  return logSoftmax(logits).reduce((sum, logP) => (logP === -Infinity ? sum : sum - Math.exp(logP) * logP), 0);
}

/** KL(p ‖ q) of two rows of logits: infinite where p gives weight to what q rules out. */
export function kl(p: ArrayLike<number>, q: ArrayLike<number>): number {
  if (p.length !== q.length) throw new RangeError(`${p.length} logits against ${q.length}`);
  const logQ = logSoftmax(q);
  return logSoftmax(p).reduce((sum, logP, i) => (logP === -Infinity ? sum : sum + Math.exp(logP) * (logP - at(logQ, i))), 0);
}

/** Indices of the k largest, largest first. */
export function topK(x: ArrayLike<number>, k: number): number[] {
  return Array.from({ length: x.length }, (_, i) => i)
    .sort((a, b) => at(x, b) - at(x, a) || a - b)
    .slice(0, k);
}

/** How many come before `index` in the order of `topK`: 0 is the most likely. */
export function rank(x: ArrayLike<number>, index: number): number {
  const value = at(x, index);
  let before = 0;
  for (let i = 0; i < x.length; i++) if (at(x, i) > value || (at(x, i) === value && i < index)) before++;
  return before;
}
