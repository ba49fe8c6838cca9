/**
 * A tuned lens's map descended on what it is for, the mean KL(final ‖ lens) (Belrose et al. 2023, “Eliciting Latent Predictions from Transformers with the Tuned Lens”), from where regression has
 * brought it: Adam (Kingma and Ba 2015) on batches of fitted rows. A is descended over h divided by its spread and all steps are in units of the final stream's, so that one rate suits every model;
 * it falls to nothing over the steps. Of the maps on the way the one is kept that is best on rows that were not fitted, the first among them.
 */
import type { LensMap } from '../../contract-reading';
import type { Op } from '../../gpu/commands';
import { linearBack, normBack } from '../../kernels/backward';
import { klBack } from '../../kernels/kl-back';
import { unembed } from '../../model/head';
import { matrixOf } from '../../model/matrices';
import { product } from '../../model/products';
import type { Runtime } from '../../model/runtime';
import { readWords } from '../../model/weight-words';
import { mapped } from './apply';

/** Rows of a step, and bytes of their logits, the final stream's beside them. */
const BATCH = 128;
const LOGITS = 64 << 20;
/** Of the first step, in spreads of the final stream over √d. */
const RATE = 0.035;
const [FIRST, SECOND] = [0.9, 0.99];
/** The kept map is chosen so often on the way. */
const LOOKS = 4;

export interface Descent {
  start: LensMap;
  /** Fitted rows of the layer's stream and of the final one, [rows][d_model]. */
  x: Float32Array;
  y: Float32Array;
  steps: number;
  next(): number;
  /** KL on rows that are not fitted. */
  judge(map: LensMap): Promise<number>;
  /** What the start has. */
  best: number;
  step?: () => void;
}

export async function descend(model: Runtime, { start, x, y, steps, next, judge, best, step }: Descent): Promise<LensMap> {
  const { dModel: d } = model.spec;
  const rows = x.length / d;
  const many = Math.min(rows, BATCH, Math.max(1, Math.floor(LOGITS / (8 * model.planner.layout.vocab))));
  const spread = Float64Array.from({ length: d }, (_, i) => rootMean(rows, (r) => x[r * d + i] ?? 0) || 1);
  const rate = (RATE * rootMean(y.length, (i) => y[i] ?? 0)) / Math.sqrt(d);
  const now: LensMap = { weight: start.weight.slice(), bias: start.bias.slice() };
  const [weight, bias] = [new Adam(d * d), new Adam(d)];
  let [kept, least] = [start, best];
  const look = Math.max(1, Math.floor(steps / LOOKS));
  for (let t = 0; t < steps; t++) {
    step?.();
    const some = Array.from({ length: many }, () => Math.floor(next() * rows));
    const take = (from: Float32Array): Float32Array => {
      const out = new Float32Array(many * d);
      some.forEach((r, i) => out.set(from.subarray(r * d, (r + 1) * d), i * d));
      return out;
    };
    const h = take(x);
    const slope = await slopes(model, await mapped(model, 'tuned', now, h), take(y));
    const byWeight = await product(model, columns(slope, d), columns(h, d), many);
    const lr = rate * (1 - t / steps);
    weight.step(
      byWeight.map((g, i) => g / (spread[i % d] ?? 1)),
      (i, by) => (now.weight[i] = (now.weight[i] ?? 0) - (lr * by) / (spread[i % d] ?? 1)),
    );
    const byBias = new Float64Array(d);
    slope.forEach((g, i) => (byBias[i % d] = (byBias[i % d] ?? 0) + g));
    bias.step(byBias, (i, by) => (now.bias[i] = (now.bias[i] ?? 0) - lr * by));
    if ((t + 1) % look && t + 1 < steps) continue;
    const found = await judge(now);
    if (found < least) [kept, least] = [{ weight: now.weight.slice(), bias: now.bias.slice() }, found];
  }
  return kept;
}

/** ∂ mean KL(final ‖ lens) / ∂ z of rows z that are to be read as the final stream, y what stands there: [rows][d_model]. */
export async function slopes(model: Runtime, z: Float32Array, y: Float32Array): Promise<Float32Array> {
  const { gpu, planner, spec, scratch: pool } = model;
  const { layout, weights } = planner;
  const rows = z.length / spec.dModel;
  const stride = layout.dModel;
  const both = new Float32Array(2 * rows * stride);
  for (let r = 0; r < 2 * rows; r++) {
    const [from, at] = r < rows ? [z, r] : [y, r - rows];
    both.set(from.subarray(at * spec.dModel, (at + 1) * spec.dModel), r * stride);
  }
  gpu.write(pool.need('lens.rows', both.byteLength), 0, both);
  pool.need('lens.logits', 8 * rows * layout.vocab);
  pool.need('fn', 8 * rows * stride);
  for (const name of ['lens.dn', 'lens.normalized', 'lens.dz']) pool.need(name, 4 * rows * stride);
  pool.need('lens.scale', 4 * rows);
  const hook = 'lens';
  const normed = spec.norm.kind !== 'none';
  const ops: Op[] = [
    ...unembed(planner, { x: 'lens.rows', row0: 0, rows: 2 * rows, normed: false, out: 'lens.logits' }),
    klBack({ rows, n: spec.vocabOut, stride: layout.vocab, weight: 1 / rows, cap: spec.logitCap, logits: 'lens.logits', hook }),
    ...linearBack({
      hook,
      rows,
      weights: matrixOf(weights, spec.tied ? 'embed' : 'unembed'),
      source: { kind: 'plain', dy: 'lens.logits', stride: layout.vocab },
      dx: 'lens.dn',
      add: false,
    }),
  ];
  if (spec.norm.kind !== 'none')
    ops.push(
      ...normBack({
        hook,
        rows,
        kind: spec.norm.kind,
        x: 'lens.rows',
        dy: 'lens.dn',
        dNormalized: 'lens.normalized',
        dScale: 'lens.scale',
        dx: 'lens.dz',
        d: spec.dModel,
        stride,
        gain: weights.vectors.get('ln_final.w') ?? 0,
        eps: spec.norm.eps,
        add: false,
      }),
    );
  const [found = new Float32Array(0)] = await readWords(model, ops, [{ buffer: normed ? 'lens.dz' : 'lens.dn', words: rows * stride }]);
  return stride === spec.dModel
    ? found
    : Float32Array.from({ length: z.length }, (_, i) => found[Math.floor(i / spec.dModel) * stride + (i % spec.dModel)] ?? 0);
}

/** [rows][d] as [d][rows]. */
function columns(x: Float32Array, d: number): Float32Array {
  const rows = x.length / d;
  return Float32Array.from(x, (_, i) => x[(i % rows) * d + Math.floor(i / rows)] ?? 0);
}

function rootMean(count: number, of: (i: number) => number): number {
  let sum = 0;
  for (let i = 0; i < count; i++) sum += of(i) ** 2;
  return Math.sqrt(sum / count);
}

class Adam {
  private t = 0;
  private readonly first: Float64Array;
  private readonly second: Float64Array;

  constructor(size: number) {
    [this.first, this.second] = [new Float64Array(size), new Float64Array(size)];
  }

  step(slope: ArrayLike<number>, move: (i: number, by: number) => void): void {
    this.t++;
    const [one, two] = [1 - FIRST ** this.t, 1 - SECOND ** this.t];
    for (let i = 0; i < this.first.length; i++) {
      const g = slope[i] ?? 0;
      const m = (this.first[i] = FIRST * (this.first[i] ?? 0) + (1 - FIRST) * g);
      const v = (this.second[i] = SECOND * (this.second[i] ?? 0) + (1 - SECOND) * g * g);
      move(i, m / one / (Math.sqrt(v / two) + 1e-12));
    }
  }
}
