/**
 * The affine map from a layer's stream h to the final one y that a tuned lens begins with: weighted ridge regression of y − h on h, pulled towards no change at all,
 *
 *   min over A, b of   Σ_t w_t ‖y_t − h_t − A h_t − b‖² + λ ‖A‖²        w_t = 1 / mean(y_t²), so that every position weighs alike once it is normed
 *   A = C (S + λ)⁻¹,  b = mean(y − h) − A·mean(h)                       S, C: weighted covariances of h, and of y − h with h;  λ as a share of S's mean diagonal
 *
 * Moments are summed over batches in float64; the pure half of training (train.ts).
 */
import { cholesky } from '../../model/low-rank';

export class Moments {
  private weight = 0;
  private readonly x: Float64Array;
  private readonly y: Float64Array;
  private readonly xx: Float64Array;
  private readonly yx: Float64Array;

  constructor(readonly d: number) {
    [this.x, this.y] = [new Float64Array(d), new Float64Array(d)];
    [this.xx, this.yx] = [new Float64Array(d * d), new Float64Array(d * d)];
  }

  /** Sums of a batch: Σw, Σw·h and Σw·y [d], Σw·h·hᵀ and Σw·y·hᵀ [d][d]. */
  add(weight: number, x: ArrayLike<number>, y: ArrayLike<number>, xx: ArrayLike<number>, yx: ArrayLike<number>): void {
    this.weight += weight;
    plus(this.x, x);
    plus(this.y, y);
    plus(this.xx, xx);
    plus(this.yx, yx);
  }

  /** `ridge`: λ over the mean of S's diagonal. */
  solve(ridge: number): { weight: Float32Array; bias: Float32Array } {
    const { d, weight: n } = this;
    const [mx, my] = [this.x.map((each) => each / n), this.y.map((each) => each / n)];
    const s = this.xx.map((each, i) => each / n - (mx[Math.floor(i / d)] ?? 0) * (mx[i % d] ?? 0));
    const c = this.yx.map((each, i) => each / n - (my[Math.floor(i / d)] ?? 0) * (mx[i % d] ?? 0) - (s[i] ?? 0));
    let trace = 0;
    for (let i = 0; i < d; i++) trace += s[i * d + i] ?? 0;
    for (let i = 0; i < d; i++) s[i * d + i] = (s[i * d + i] ?? 0) + (ridge * trace) / d;
    const a = rightSolve(c, cholesky(s), d);
    const bias = Float32Array.from({ length: d }, (_, o) => {
      let sum = (my[o] ?? 0) - (mx[o] ?? 0);
      for (let i = 0; i < d; i++) sum -= (a[o * d + i] ?? 0) * (mx[i] ?? 0);
      return sum;
    });
    return { weight: Float32Array.from(a), bias };
  }
}

/** C·(RᵀR)⁻¹, row by row, of an upper R. A direction without spread is left alone. */
function rightSolve(c: Float64Array, r: Float64Array, d: number): Float64Array {
  const out = c.slice();
  for (let start = 0; start < out.length; start += d) {
    const row = out.subarray(start, start + d);
    // z·R = c, then a·Rᵀ = z.
    for (let j = 0; j < d; j++) {
      const pivot = r[j * d + j] ?? 0;
      const z = pivot > 0 ? (row[j] ?? 0) / pivot : 0;
      row[j] = z;
      if (z !== 0) for (let k = j + 1; k < d; k++) row[k] = (row[k] ?? 0) - z * (r[j * d + k] ?? 0);
    }
    for (let j = d - 1; j >= 0; j--) {
      let sum = row[j] ?? 0;
      for (let k = j + 1; k < d; k++) sum -= (row[k] ?? 0) * (r[j * d + k] ?? 0);
      const pivot = r[j * d + j] ?? 0;
      row[j] = pivot > 0 ? sum / pivot : 0;
    }
  }
  return out;
}

function plus(to: Float64Array, more: ArrayLike<number>): void {
  for (let i = 0; i < to.length; i++) to[i] = (to[i] ?? 0) + (more[i] ?? 0);
}

/** Which sequences are fitted, which choose λ and which measure: a tenth each of the last two, at least one. */
export function split(count: number, next: () => number): { fit: number[]; choose: number[]; apart: number[] } {
  const order = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(next() * (i + 1));
    [order[i], order[j]] = [order[j] ?? 0, order[i] ?? 0];
  }
  const tenth = Math.max(1, Math.floor(count / 10));
  return { apart: order.slice(0, tenth), choose: order.slice(tenth, 2 * tenth), fit: order.slice(2 * tenth) };
}
