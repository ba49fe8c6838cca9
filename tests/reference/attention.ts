/**
 * Causal attention with grouped keys and values (Vaswani et al. 2017; Ainslie et al. 2023), over a window of the last keys
 * where there is one (Child et al. 2019), and with Gemma 2's cap on the scores before the mask:
 *   scores[h, q, k] = cap·tanh(scale · q_h·k_⌊h·n_kv/n_h⌋ / cap) for q − window < k ≤ q, −∞ elsewhere
 *   pattern = softmax over keys;  z[q, h] = Σ_k pattern[h, q, k]·v_⌊h·n_kv/n_h⌋[k]
 * In three steps, because scores and pattern are hooks. Queries may start past the first key (a cache lies before them):
 * query row i stands at position keys − queries + i.
 */
import { at, dot } from './array';
import { softcap } from './softcap';
import { logSumExp } from './softmax';

export interface AttentionShape {
  queries: number;
  keys: number;
  heads: number;
  kvHeads: number;
  dHead: number;
  /** Keys that a query sees, itself included; 0: all before it. */
  window?: number;
  /** 0: none. */
  cap?: number;
}

/** Does the query at position q see key k? */
export const sees = (q: number, k: number, window: number): boolean => k <= q && (window === 0 || k > q - window);

const kvHead = (head: number, { heads, kvHeads }: AttentionShape): number => Math.floor((head * kvHeads) / heads);

/** q: [query, head, d_head], k: [key, kv_head, d_head] → [head, query, key]. */
export function attentionScores(q: ArrayLike<number>, k: ArrayLike<number>, shape: AttentionShape, scale: number): Float64Array {
  const { queries, keys, heads, kvHeads, dHead, window = 0, cap = 0 } = shape;
  const out = new Float64Array(heads * queries * keys).fill(-Infinity);
  for (let h = 0; h < heads; h++)
    for (let i = 0; i < queries; i++)
      for (let j = 0; j < keys; j++) {
        if (!sees(keys - queries + i, j, window)) continue;
        const score = scale * dot(q, (i * heads + h) * dHead, k, (j * kvHeads + kvHead(h, shape)) * dHead, dHead);
        out[(h * queries + i) * keys + j] = softcap(score, cap);
      }
  return out;
}

/** Softmax of each row of scores, and each row's log-sum-exp [head, query]: pattern = e^(score − lse). */
export function attentionPattern(scores: ArrayLike<number>, keys: number): { pattern: Float64Array; lse: Float64Array } {
  const all = Float64Array.from(scores);
  const lse = Float64Array.from({ length: all.length / keys }, (_, row) => logSumExp(all.subarray(row * keys, (row + 1) * keys)));
  return { pattern: all.map((score, i) => Math.exp(score - at(lse, Math.floor(i / keys)))), lse };
}

/** pattern: [head, query, key], v: [key, kv_head, d_head] → z: [query, head, d_head]. */
export function attentionMix(pattern: ArrayLike<number>, v: ArrayLike<number>, shape: AttentionShape): Float64Array {
  const { queries, keys, heads, kvHeads, dHead } = shape;
  const out = new Float64Array(queries * heads * dHead);
  for (let h = 0; h < heads; h++)
    for (let i = 0; i < queries; i++)
      for (let j = 0; j < keys; j++) {
        const weight = at(pattern, (h * queries + i) * keys + j);
        const from = (j * kvHeads + kvHead(h, shape)) * dHead;
        const to = (i * heads + h) * dHead;
        for (let d = 0; d < dHead; d++) out[to + d] = at(out, to + d) + weight * at(v, from + d);
      }
  return out;
}

export function attention(q: ArrayLike<number>, k: ArrayLike<number>, v: ArrayLike<number>, shape: AttentionShape, scale: number) {
  const scores = attentionScores(q, k, shape, scale);
  const { pattern, lse } = attentionPattern(scores, shape.keys);
  return { scores, pattern, lse, z: attentionMix(pattern, v, shape) };
}
