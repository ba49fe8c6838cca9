/**
 * How far each head reads what an earlier head writes, from weights alone (Elhage et al. 2021; TransformerLens's all_composition_scores), weights as model/head-weights.ts brings them:
 *
 *   q   ‖OV₁·QK₂‖ / (‖OV₁‖·‖QK₂‖)        k   with QK₂ᵀ        v   with OV₂        Frobenius norms; OV = W_V·W_O, QK = W_Q·W_Kᵀ, row-vector form
 *
 * ‖OV₁·QK₂‖ = ‖(R_v·W_O)(R_k·W_Q)ᵀ‖ with RᵀR = W·Wᵀ of the outer factors (model/low-rank.ts), so a pair of layers is one product of [heads·d_head, d_model] with
 * [3·heads·d_head, d_model] on the GPU, and a score the root of a block's sum of squares. Noise has a score too: about 1/√d_model times a factor of order 1.
 */
import type { Composition } from '../api-causal';
import { kvHeadOf, layerHeads, type LayerHeads } from '../model/head-weights';
import { cholesky, gram, times, traceOf } from '../model/low-rank';
import { product } from '../model/products';
import type { Runtime } from '../model/runtime';

interface Factors {
  /** R_v·W_O of each head, [heads·d_head][d_model]: what it writes. */
  writes: Float64Array;
  /** R_k·W_Q, R_q·W_K, R_o·W_V: what it reads, one after the other. */
  reads: Float64Array;
  ov: number[];
  qk: number[];
}

/** A layer's factors; pure. */
export function factorsOf({ q, k, v, out }: LayerHeads, width: number): Factors {
  const heads = q.length;
  const size = (q[0]?.length ?? 0) / width;
  const [gq, gk, gv, go] = [q, k, v, out].map((part) => part.map((each) => gram(each, width)));
  const [rk, rv] = [(gk ?? []).map(cholesky), (gv ?? []).map(cholesky)];
  const none = new Float64Array(0);
  const factors: Factors = {
    writes: new Float64Array(heads * size * width),
    reads: new Float64Array(3 * heads * size * width),
    ov: [],
    qk: [],
  };
  for (let head = 0; head < heads; head++) {
    const kv = kvHeadOf({ heads, kvHeads: k.length }, head);
    const [grams, grem] = [gq?.[head] ?? none, go?.[head] ?? none];
    const at = head * size * width;
    const step = heads * size * width;
    factors.writes.set(times(rv[kv] ?? none, out[head] ?? none, width), at);
    factors.reads.set(times(rk[kv] ?? none, q[head] ?? none, width), at);
    factors.reads.set(times(cholesky(grams), k[kv] ?? none, width), step + at);
    factors.reads.set(times(cholesky(grem), v[kv] ?? none, width), 2 * step + at);
    factors.ov.push(Math.sqrt(traceOf(gv?.[kv] ?? none, grem)));
    factors.qk.push(Math.sqrt(traceOf(grams, gk?.[kv] ?? none)));
  }
  return factors;
}

export async function composition(model: Runtime, progress?: (done: number, of: number) => void, stop?: () => void): Promise<Composition> {
  const { layers, heads, dHead, dModel } = model.spec;
  const shape = [layers, heads, layers, heads];
  const blank = () => ({ shape, data: new Float32Array((layers * heads) ** 2).fill(NaN) });
  const scores = { q: blank(), k: blank(), v: blank() };
  const earlier: Pick<Factors, 'writes' | 'ov'>[] = [];
  for (let layer = 0; layer < layers; layer++) {
    stop?.();
    const { writes, reads, ov, qk } = factorsOf(await layerHeads(model, layer, stop), dModel);
    for (const [from, before] of earlier.entries()) {
      stop?.();
      const squares = await blockSquares(model, before.writes, reads, heads, dHead);
      for (let second = 0; second < heads; second++)
        for (let first = 0; first < heads; first++) {
          const to = ((layer * heads + second) * layers + from) * heads + first;
          const of = (part: number, norm: number): number =>
            Math.sqrt(squares[first * 3 * heads + part * heads + second] ?? NaN) / ((before.ov[first] ?? NaN) * norm);
          scores.q.data[to] = of(0, qk[second] ?? NaN);
          scores.k.data[to] = of(1, qk[second] ?? NaN);
          scores.v.data[to] = of(2, ov[second] ?? NaN);
        }
    }
    earlier.push({ writes, ov });
    progress?.(layer + 1, layers);
  }
  return scores;
}

/** Σ of squares of each block [d_head, d_head] of X·Yᵀ: [heads][3·heads]. */
async function blockSquares(model: Runtime, x: Float64Array, y: Float64Array, heads: number, dHead: number): Promise<Float64Array> {
  const [rows, n] = [heads * dHead, 3 * heads * dHead];
  const found = await product(model, x, y, model.spec.dModel);
  const squares = new Float64Array(heads * 3 * heads);
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < n; c++) {
      const to = Math.floor(r / dHead) * 3 * heads + Math.floor(c / dHead);
      squares[to] = (squares[to] ?? 0) + (found[r * n + c] ?? 0) ** 2;
    }
  return squares;
}
