/**
 * Attention patterns as numbers to look at. Value-weighted: how much of what a position receives comes from each source, A_qk‖v_k‖ ÷ Σ_j A_qj‖v_j‖, after Kobayashi et al. 2020
 * (“Attention is not only a weight”), who weigh by what is moved; here before W_O. A first token of large weight and small value then takes its true place.
 */
import type { HeadScores, Tensor } from '../../workers/api';

/** Numbers that the patterns of all heads may hold together: 64 MB of them. */
const MOST_NUMBERS = 16e6;

/** Positions whose patterns are kept. */
export const mostPositions = (layers: number, heads: number): number =>
  Math.min(512, Math.floor(Math.sqrt(MOST_NUMBERS / Math.max(1, layers * heads))));

/** ‖v‖ by position and kv head, [pos, kv_head]. */
export function lengths(v: Tensor): Tensor {
  const [positions = 0, heads = 0, width = 0] = v.shape;
  const data = new Float32Array(positions * heads);
  for (let i = 0; i < data.length; i++) {
    let square = 0;
    for (let k = 0; k < width; k++) square += (v.data[i * width + k] ?? 0) ** 2;
    data[i] = Math.sqrt(square);
  }
  return { shape: [positions, heads], data };
}

/** One head of [head, query, key], keys that come after their query left out. */
export function mapOf(pattern: Tensor, head: number): (query: number, key: number) => number {
  const [, queries = 0, keys = 0] = pattern.shape;
  const at = head * queries * keys;
  return (query, key) => (key > query ? Number.NaN : (pattern.data[at + query * keys + key] ?? Number.NaN));
}

/** The same, weighted by the values' lengths. Query heads share kv heads in order: h reads ⌊h·n_kv/n_h⌋. */
export function weightedMap(pattern: Tensor, norms: Tensor, head: number): (query: number, key: number) => number {
  const [heads = 1, queries = 0] = pattern.shape;
  const kvHeads = norms.shape[1] ?? 1;
  const kv = Math.floor((head * kvHeads) / heads);
  const plain = mapOf(pattern, head);
  const weight = (query: number, key: number) => plain(query, key) * (norms.data[key * kvHeads + kv] ?? 0);
  const sums = Float64Array.from({ length: queries }, (_, query) => {
    let sum = 0;
    for (let key = 0; key <= query; key++) sum += weight(query, key);
    return sum;
  });
  return (query, key) => weight(query, key) / (sums[query] || 1);
}

export interface Head {
  layer: number;
  head: number;
}
export const nameOf = ({ layer, head }: Head): string => `${layer}.${head}`;

export type Score = 'induction' | 'previous' | 'duplicate';
export const SCORES: readonly Score[] = ['induction', 'previous', 'duplicate'];
export const SCORE_FORMULA: Record<Score, string> = {
  induction: 'mean attention, on random tokens said twice, to the token after the last time this one came',
  previous: 'mean attention to the token before',
  duplicate: 'mean attention, on random tokens said twice, to the last time this token came',
};

export function scoreOf(scores: HeadScores | undefined, which: Score, { layer, head }: Head): number {
  const tensor = scores?.[which];
  return tensor?.data[layer * (tensor.shape[1] ?? 0) + head] ?? Number.NaN;
}

/** What a head is called by: its largest score, where it is large enough to be its trade. */
export function badge(scores: HeadScores | undefined, head: Head, least = 0.4): { score: Score; value: number } | undefined {
  const [best] = SCORES.map((score) => ({ score, value: scoreOf(scores, score, head) })).sort((a, b) => b.value - a.value);
  return best && best.value >= least ? best : undefined;
}

/** Every head, by layer or by a score, the largest first. */
export function inOrder(layers: number, heads: number, scores: HeadScores | undefined, by: Score | 'layer'): Head[] {
  const all = Array.from({ length: layers * heads }, (_, i) => ({ layer: Math.floor(i / heads), head: i % heads }));
  return by === 'layer' ? all : all.sort((a, b) => scoreOf(scores, by, b) - scoreOf(scores, by, a));
}

/** The keys that a query attends to most, largest first. */
export function strongestKeys(map: (query: number, key: number) => number, query: number, count: number): { key: number; value: number }[] {
  return Array.from({ length: query + 1 }, (_, key) => ({ key, value: map(query, key) }))
    .sort((a, b) => b.value - a.value)
    .slice(0, count);
}
