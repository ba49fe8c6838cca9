/**
 * A metric of one row of logits, and its gradient by them, in float64. Pure.
 *   logit-diff   l[correct] − l[wrong]
 *   log-prob     l[t] − log Σ e^l             ∂ = [i = t] − p_i
 *   probability  p_t                          ∂ = p_t·([i = t] − p_i)
 *   kl           KL(r ‖ p) = Σ r·log(r/p)     ∂ = p_i − r_i      r: the reference's distribution
 * Where logits are capped (c·tanh(u/c)) the gradient goes on through the cap: times 1 − (l/c)².
 */

export type RowMetric =
  | { kind: 'logit-diff'; correct: number; wrong: number }
  | { kind: 'log-prob' | 'probability'; token: number }
  | { kind: 'kl'; reference: ArrayLike<number> };

/** Natural logarithms of the probabilities. */
export function logProbs(logits: ArrayLike<number>): Float64Array {
  let high = -Infinity;
  for (let i = 0; i < logits.length; i++) high = Math.max(high, logits[i] ?? -Infinity);
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += Math.exp((logits[i] ?? -Infinity) - high);
  const log = high + Math.log(sum);
  return Float64Array.from(logits, (value) => value - log);
}

/** The metric, and its gradient by what W_U gave (before the cap, if there is one). */
export function metricOf(metric: RowMetric, logits: ArrayLike<number>, cap = 0): { value: number; gradient: Float64Array } {
  const { value, gradient } = byLogits(metric, logits);
  return { value, gradient: cap > 0 ? gradient.map((g, i) => g * (1 - ((logits[i] ?? 0) / cap) ** 2)) : gradient };
}

function byLogits(metric: RowMetric, logits: ArrayLike<number>): { value: number; gradient: Float64Array } {
  const { length } = logits;
  const at = (i: number): number => logits[i] ?? NaN;
  if (metric.kind === 'logit-diff') {
    const gradient = new Float64Array(length);
    gradient[metric.correct] = 1;
    gradient[metric.wrong] = (gradient[metric.wrong] ?? 0) - 1;
    return { value: at(metric.correct) - at(metric.wrong), gradient };
  }
  const log = logProbs(logits);
  if (metric.kind === 'kl') {
    const reference = logProbs(metric.reference);
    let value = 0;
    reference.forEach((r, i) => (value += r === -Infinity ? 0 : Math.exp(r) * (r - (log[i] ?? NaN))));
    return { value, gradient: log.map((p, i) => Math.exp(p) - Math.exp(reference[i] ?? -Infinity)) };
  }
  const { token } = metric;
  const own = log[token] ?? NaN;
  const scale = metric.kind === 'probability' ? Math.exp(own) : 1;
  return {
    value: metric.kind === 'probability' ? scale : own,
    gradient: log.map((p, i) => scale * ((i === token ? 1 : 0) - Math.exp(p))),
  };
}
