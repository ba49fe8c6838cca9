/**
 * The numbers that a patched run is judged by, from what is read off one row of logits, and how a grid's values are scaled. Pure; logarithms are taken in float64.
 *
 *   logit-diff   x[correct] − x[wrong]
 *   log-prob     x[token] − log Σ exp x            (nats)
 *   probability  exp(log-prob)
 *   kl           Σ p_clean (log p_clean − log p)   (nats): KL(clean ‖ patched)
 *   value        (m − m_corrupted)/(m_clean − m_corrupted), in both directions; NaN where the two lie too close to divide by
 * Sources: TransformerLens's patching demos (the normalised logit difference of Wang et al. 2022); Heimersheim and Nanda 2024, “How to use and interpret activation patching”.
 */
import type { Metric } from '../../api';
import { LabError } from '../../errors';

/** A metric with its tokens as ids and its position from the start. */
export interface ResolvedMetric {
  kind: Metric['kind'];
  position: number;
  /** logit-diff: correct and wrong. log-prob, probability: one. kl: none. */
  tokens: readonly number[];
}

/** A pair's own answers, where it has some. */
export const metricFor = <M extends { tokens: readonly number[] }>(metric: M, pair: { tokens?: readonly number[] } | undefined): M =>
  pair?.tokens ? { ...metric, tokens: pair.tokens } : metric;

/** Negative positions count from the end; `position-range` where there is none such. */
export function metricPosition(position: number, length: number, who = 'The metric'): number {
  const found = position < 0 ? length + position : position;
  if (!Number.isInteger(position) || found < 0 || found >= length)
    throw new LabError(
      'position-range',
      `${who} names position ${position}; there are ${length}.`,
      'Positions count from 0; negative ones from the end.',
    );
  return found;
}

/** What is read off a row of logits x: its maximum m, Σ exp(x − m), the logits of two tokens, and, against a reference row r, Σ p_r((r − m_r) − (x − m)) and Σ exp(r − m_r). */
export interface RowRead {
  max: number;
  sum: number;
  first: number;
  second: number;
  divergence: number;
  referenceSum: number;
}

export function metricOf(kind: Metric['kind'], { max, sum, first, second, divergence, referenceSum }: RowRead): number {
  const logProb = first - max - Math.log(sum);
  switch (kind) {
    case 'logit-diff':
      return first - second;
    case 'log-prob':
      return logProb;
    case 'probability':
      return Math.exp(logProb);
    case 'kl':
      return divergence + Math.log(sum) - Math.log(referenceSum);
  }
}

/** Below it nothing is divided. */
export const leastGap = (kind: Metric['kind']): number => (kind === 'probability' ? 0.005 : 0.05);

export function normalised(kind: Metric['kind'], m: number, clean: number, corrupted: number): number {
  const gap = clean - corrupted;
  return Math.abs(gap) < leastGap(kind) ? NaN : (m - corrupted) / gap;
}

/** Mean and standard deviation (n − 1) of one cell over pairs. Pairs whose own value is NaN are left out; NaN where all are. */
export function overPairs(values: readonly number[]): { mean: number; spread: number } {
  const known = values.filter((value) => !Number.isNaN(value));
  const mean = known.reduce((sum, value) => sum + value, 0) / known.length;
  const square = known.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean: known.length ? mean : NaN, spread: known.length > 1 ? Math.sqrt(square / (known.length - 1)) : NaN };
}
