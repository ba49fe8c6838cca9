/**
 * The MLP's non-linearities.
 *   gelu_new = ½x(1 + tanh(√(2/π)(x + 0.044715x³)))    Hendrycks & Gimpel 2016, their approximation; GPT-2's
 *   gelu     = ½x(1 + erf(x/√2))                       the same paper, exact
 *   silu     = x/(1 + e^−x)                            Elfwing et al. 2017
 *   relu     = max(x, 0)
 * Gated MLPs (Shazeer 2020) multiply the activation of the gate by the other branch.
 */
import type { Activation } from '../../workers/model/spec';
import { at } from './array';

/**
 * erf to double precision. Below 3, Kummer's series e^(−x²)·2/√π·Σ 2ⁿx^(2n+1)/(2n+1)!!, whose terms are all positive
 * (Abramowitz & Stegun 7.1.6); above, erfc as its continued fraction (7.1.14).
 */
export function erf(x: number): number {
  const size = Math.abs(x);
  if (size >= 6) return Math.sign(x);
  if (size >= 3) {
    let fraction = size;
    for (let n = 60; n >= 1; n--) fraction = size + n / 2 / fraction;
    return Math.sign(x) * (1 - Math.exp(-size * size) / (Math.sqrt(Math.PI) * fraction));
  }
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum); n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

export function activate(kind: Activation, x: number): number {
  if (kind === 'gelu_new') return 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
  if (kind === 'gelu') return 0.5 * x * (1 + erf(x / Math.SQRT2));
  if (kind === 'silu') return x / (1 + Math.exp(-x));
  return Math.max(x, 0);
}

/** act(pre), or act(gate) ⊙ up where there is a gate. */
export function activation(kind: Activation, pre: ArrayLike<number>, up?: ArrayLike<number>): Float64Array {
  return Float64Array.from(pre, (value, i) => activate(kind, value) * (up ? at(up, i) : 1));
}
