/**
 * A metric of one row of logits (causal/metric.ts says which there are), and its gradient by them, in float64. Pure.
 *   logit-diff   ∂/∂x_i = [i = correct] − [i = wrong]
 *   log-prob     ∂/∂x_i = [i = token] − p_i
 *   probability  ∂/∂x_i = p_token·([i = token] − p_i)
 *   kl           ∂/∂x_i = p_i − r_i      of KL(r ‖ p), r the reference's distribution
 * Where logits are capped (c·tanh(u/c)) the gradient goes on through the cap: times 1 − (x/c)².
 */
import type { ResolvedMetric } from '../causal/metric';

/** Natural logarithms of the probabilities. */
export function logProbs(logits: ArrayLike<number>): Float64Array {
  let high = -Infinity;
  for (let i = 0; i < logits.length; i++) high = Math.max(high, logits[i] ?? -Infinity);
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += Math.exp((logits[i] ?? -Infinity) - high);
  const log = high + Math.log(sum);
  return Float64Array.from(logits, (value) => value - log);
}

export interface Slope {
  value: number;
  /** By what W_U gave, before the cap where there is one. */
  gradient: Float64Array;
}

/** `reference`: logits, of kl alone. */
export function metricGradient(
  metric: Pick<ResolvedMetric, 'kind' | 'tokens'>,
  logits: ArrayLike<number>,
  { cap = 0, reference }: { cap?: number; reference?: ArrayLike<number> | undefined } = {},
): Slope {
  const { value, gradient } = byLogits(metric, logits, reference);
  return { value, gradient: cap > 0 ? gradient.map((g, i) => g * (1 - ((logits[i] ?? 0) / cap) ** 2)) : gradient };
}

function byLogits(
  { kind, tokens }: Pick<ResolvedMetric, 'kind' | 'tokens'>,
  logits: ArrayLike<number>,
  reference: ArrayLike<number> | undefined,
): Slope {
  const [first = -1, second = -1] = tokens;
  const log = logProbs(logits);
  const own = log[first] ?? NaN;
  const indicator = (i: number, token: number): number => (i === token ? 1 : 0);
  switch (kind) {
    case 'logit-diff':
      return {
        value: (logits[first] ?? NaN) - (logits[second] ?? NaN),
        gradient: log.map((_, i) => indicator(i, first) - indicator(i, second)),
      };
    case 'log-prob':
      return { value: own, gradient: log.map((p, i) => indicator(i, first) - Math.exp(p)) };
    case 'probability':
      return { value: Math.exp(own), gradient: log.map((p, i) => Math.exp(own) * (indicator(i, first) - Math.exp(p))) };
    case 'kl': {
      const of = logProbs(reference ?? logits);
      const value = of.reduce((sum, r, i) => (r === -Infinity ? sum : sum + Math.exp(r) * (r - (log[i] ?? NaN))), 0);
      return { value, gradient: log.map((p, i) => Math.exp(p) - Math.exp(of[i] ?? -Infinity)) };
    }
  }
}
