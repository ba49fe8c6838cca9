/**
 * Gradients of metrics at hooks: one open forward run that keeps what the backward pass needs, the metric's gradient by the logits on the host
 * in float64, one backward run. Sequences side by side as in any batch, each with its own edits and metric; what is asked is the same of all.
 */
import type { EngineEdit } from '../../contract';
import type { Tensor } from '../../api';
import { Program, type Runner } from '../../gpu/commands';
import { compileEdits, type CompiledEdits, type PlacedEdit } from '../edits';
import { findHook, geometryOf } from '../hooks';
import { rowWords } from '../rows';
import { readHook } from '../run';
import { checkIds, type Runtime } from '../runtime';
import { sourceOf } from '../sources';
import { firstKey, windowOf } from '../spec';
import { aboveCaps } from './above';
import { adjointEdits, inOrder } from './adjoint';
import type { ComposeBack } from './inserts';
import { metricPosition, type ResolvedMetric } from '../causal/metric';
import { metricGradient } from './metric-gradient';
import { layOut, planPasses, type Laid, type Pass } from './passes';

export interface GradientSequence {
  ids: readonly number[];
  promptLength: number;
  edits: readonly EngineEdit[];
  metric: ResolvedMetric;
  /** Of kl: the logits that it is measured from. */
  reference?: Float32Array;
}
export interface GradientResult {
  /** The metric of this run. */
  value: number;
  /** Of the row that the metric reads. */
  logits: Float32Array;
  /** ∂ metric / ∂ value at the hook, after the hook's edits; in the hook's shape. */
  gradients: Record<string, Tensor>;
  /** Values of the hooks that were to be read beside. */
  taps: Record<string, Tensor>;
}

/** What a gradient is computed with, beside the model. */
export interface GradientHands {
  /** Runs a program; all of it at once unless given. */
  by?: Runner;
  /** Dictionaries whose edits are in force. */
  dictionaries?: ComposeBack;
}

export async function gradients(
  model: Runtime,
  sequences: readonly GradientSequence[],
  at: readonly string[],
  taps: readonly string[] = [],
  hands: GradientHands = {},
): Promise<GradientResult[]> {
  const { gpu, planner, spec, scratch: pool } = model;
  for (const { ids } of sequences) checkIds(model, ids);
  const laid = layOut(sequences);
  const placed = inOrder(await placeEdits(model, sequences));
  const above = await aboveCaps(model, sequences, placed, hands);
  const compile = (edits: readonly PlacedEdit[]): CompiledEdits => compileEdits(planner.hooks, edits, laid.keys, model.special, spec.vocab);
  const edits = compile(placed);
  const adjoint = compile(adjointEdits(placed, above));
  const wanted = sequences.map(({ metric, ids }, i) => (laid.starts[i] ?? 0) + metricPosition(metric.position, ids.length));
  const { dictionaries } = hands;
  const { forward, back, bytes } = planPasses(model, { laid, wanted, edits, adjoint, at, taps, dictionaries });
  for (const [name, size] of bytes) pool.need(name, size);
  try {
    gpu.write(pool.need('edits', edits.words.byteLength), 0, edits.words);
    const rows = rowWords(laid.rows);
    gpu.write(pool.need('rows', rows.byteLength), 0, rows);
    const read = await execute(model, forward, laid.rows.length, hands);
    const { vocab } = planner.layout;
    const slopes = new Float32Array(wanted.length * vocab);
    const ends = sequences.map(({ metric, reference }, i) => {
      const logits = new Float32Array(read(`logits/${i}`)).subarray(0, spec.vocabOut);
      const { value, gradient } = metricGradient(metric, logits, { cap: spec.logitCap, reference });
      slopes.set(gradient, i * vocab);
      return { value, logits };
    });
    const clear = spec.norm.kind === 'none' ? 'g.resid' : 'g.xn';
    gpu.write(pool.need('g.logits', slopes.byteLength), 0, slopes);
    gpu.write(pool.get(clear), 0, new Float32Array(laid.rows.length * planner.layout.dModel));
    gpu.write(pool.need('edits', adjoint.words.byteLength), 0, adjoint.words);
    const found = await execute(model, back, laid.rows.length, hands);
    return sequences.map(({ ids }, i) => {
      const each = (list: readonly string[], from: (key: string) => ArrayBuffer, seen: boolean): Record<string, Tensor> =>
        Object.fromEntries(
          list.map((hook) => [hook, tensorAt(model, laid, new Float32Array(from(hook)), { hook, sequence: i, length: ids.length, seen })]),
        );
      const { value = NaN, logits = new Float32Array(0) } = ends[i] ?? {};
      return { value, logits, gradients: each(at, found, false), taps: each(taps, (hook) => read(`tap/${hook}`), true) };
    });
  } finally {
    pool.drop('kept.');
    pool.drop('g.');
    pool.drop('again.');
  }
}

async function placeEdits(model: Runtime, sequences: readonly GradientSequence[]): Promise<PlacedEdit[]> {
  const placed: PlacedEdit[] = [];
  for (const [sequence, { ids, promptLength, edits }] of sequences.entries())
    for (const edit of edits) {
      const target = { promptLength, length: ids.length, end: ids.length, tokens: ids.length };
      const source = await sourceOf(model.planner.hooks, edit, target, (others, hook) => readHook(model, others, hook));
      placed.push({ edit, sequence, ...target, ...(source ? { source } : {}) });
    }
  return placed;
}

async function execute(model: Runtime, pass: Pass, rows: number, { by }: GradientHands): Promise<(key: string) => ArrayBuffer> {
  const { gpu, scratch: pool } = model;
  const { readback } = pass;
  let program: Program | undefined;
  try {
    const ops = by?.cut(pass.ops) ?? pass.ops;
    readback.allocate(gpu, pool);
    program = await Program.prepare(gpu, ops, pool);
    // Short submissions, so that cancelling is prompt and no driver's watchdog bites.
    if (by) await by.run(program, ops);
    else program.run(Math.max(4, Math.min(64, Math.floor(16384 / rows))));
    await gpu.check();
    return await readback.read(gpu);
  } finally {
    program?.free();
    readback.free(gpu);
  }
}

/** Rows as they lay on the GPU into TransformerLens's shape. Over keys: all of them, or those that are `seen` and 0 (scores: −∞) elsewhere. */
function tensorAt(
  model: Runtime,
  { starts, keys }: Laid,
  rows: Float32Array,
  { hook, sequence, length, seen }: { hook: string; sequence: number; length: number; seen: boolean },
): Tensor {
  const info = findHook(model.planner.hooks, hook);
  const { units, width, stride, rowStride } = geometryOf(info, keys);
  const at = (row: number, unit: number): number => ((starts[sequence] ?? 0) + row) * rowStride + unit * stride;
  if (info.geometry.keys) {
    const data = new Float32Array(units * length * length);
    if (seen && hook.endsWith('scores')) data.fill(-Infinity);
    for (let row = 0; row < length; row++) {
      const [low, past] = seen ? [firstKey(windowOf(model.spec, info.layer ?? 0), row), row + 1] : [0, length];
      for (let u = 0; u < units; u++) data.set(rows.subarray(at(row, u) + low, at(row, u) + past), (u * length + row) * length + low);
    }
    return { shape: [units, length, length], data };
  }
  const data = new Float32Array(length * units * width);
  for (let row = 0; row < length; row++)
    for (let u = 0; u < units; u++) data.set(rows.subarray(at(row, u), at(row, u) + width), (row * units + u) * width);
  return { shape: [length, ...(info.shape.length === 3 ? [units, width] : [width])], data };
}
