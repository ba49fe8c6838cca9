/**
 * Gradients of metrics at hooks: one open forward run that keeps what the backward pass needs, the metric's gradient by the logits on the host
 * in float64, one backward run. Sequences side by side as in any batch, each with its own edits and metric; what is asked is the same of all.
 */
import { LabError } from '../../errors';
import type { EngineEdit } from '../../contract';
import type { Tensor } from '../../api';
import { Program, type Op } from '../../gpu/commands';
import { compileEdits, positionsOf, strengthOf, unitLength, type CompiledEdits, type PlacedEdit } from '../edits';
import { unembed } from '../head';
import { findHook, geometryOf } from '../hooks';
import { plan, type CacheShape } from '../plan';
import { Readback } from '../readback';
import { NOBODY, rowWords, type Row } from '../rows';
import { readHook, runBatch } from '../run';
import { checkIds, withDictionaries, type Runtime } from '../runtime';
import { allocate } from '../scratch';
import { sourceOf } from '../sources';
import { firstKey, windowOf } from '../spec';
import { adjointEdits, inOrder, type Above } from './adjoint';
import { backInserts, keeping, type BackInserts, type ComposeBack } from './inserts';
import { metricPosition, type ResolvedMetric } from '../causal/metric';
import { metricGradient } from './metric-gradient';
import { planBackward, type BackwardPlan } from './plan';

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
  /** ∂ metric / ∂ value at the hook, after the hook's edits; in the hook's shape. */
  gradients: Record<string, Tensor>;
  /** Values of the hooks that were to be read beside. */
  taps: Record<string, Tensor>;
}

/** What a gradient is computed with, beside the model. */
export interface GradientHands {
  /** Runs a program; all of it at once unless given. */
  run?: (program: Program, ops: readonly Op[]) => Promise<void>;
  /** Dictionaries whose edits are in force. */
  dictionaries?: ComposeBack;
}

interface Laid {
  rows: Row[];
  /** First row of each sequence. */
  starts: number[];
  keys: number;
  cache: CacheShape;
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
  const above = await aboveCaps(model, sequences, placed);
  const compile = (edits: readonly PlacedEdit[]): CompiledEdits => compileEdits(planner.hooks, edits, laid.keys, model.special, spec.vocab);
  const edits = compile(placed);
  const adjoint = compile(adjointEdits(placed, above));
  const wanted = sequences.map(({ metric, ids }, i) => (laid.starts[i] ?? 0) + metricPosition(metric.position, ids.length));
  const gathered = new Readback(gpu.limits.maxBufferSize);
  const bytesOf = (hook: string): number => 4 * laid.rows.length * geometryOf(findHook(planner.hooks, hook), laid.keys).rowStride;
  const inserts = backInserts(adjoint, hands.dictionaries);
  const backward = planBackward(planner, {
    rows: laid.rows.length,
    keys: laid.keys,
    wanted,
    edited: new Set([...edits.sites.keys(), ...edits.segments.keys(), ...inserts.reads]),
    sites: adjoint.sites,
    inserts: inserts.inserts,
    reads: inserts.reads,
    at: new Map([...new Set(at)].map((hook) => [hook, gathered.reserve(hook, bytesOf(hook))])),
  });
  const forth = new Readback(gpu.limits.maxBufferSize);
  const forward = planForward(model, laid, { edits, backward, inserts, wanted, taps: [...new Set(taps)], readback: forth });
  const back = [...inserts.setup, ...backward.ops];
  for (const [name, words] of Object.entries({ ...backward.words, ...forward.words }))
    if (uses(back, name) || uses(forward.ops, name)) pool.need(name, 4 * words);
  for (const [name, bytes] of [...forward.needs, ...inserts.needs]) pool.need(name, bytes);
  try {
    gpu.write(pool.need('edits', edits.words.byteLength), 0, edits.words);
    const rows = rowWords(laid.rows);
    gpu.write(pool.need('rows', rows.byteLength), 0, rows);
    const read = await execute(model, forward.ops, forth, laid.rows.length, hands);
    const { vocab } = planner.layout;
    const slopes = new Float32Array(wanted.length * vocab);
    const values = sequences.map(({ metric, reference }, i) => {
      const logits = new Float32Array(read(`logits/${i}`)).subarray(0, spec.vocabOut);
      const found = metricGradient(metric, logits, { cap: spec.logitCap, reference });
      slopes.set(found.gradient, i * vocab);
      return found.value;
    });
    const clear = spec.norm.kind === 'none' ? 'g.resid' : 'g.xn';
    gpu.write(pool.need('g.logits', slopes.byteLength), 0, slopes);
    gpu.write(pool.get(clear), 0, new Float32Array(laid.rows.length * planner.layout.dModel));
    gpu.write(pool.need('edits', adjoint.words.byteLength), 0, adjoint.words);
    const found = await execute(model, back, gathered, laid.rows.length, hands);
    return sequences.map(({ ids }, i) => {
      const each = (list: readonly string[], from: (key: string) => ArrayBuffer, seen: boolean): Record<string, Tensor> =>
        Object.fromEntries(
          list.map((hook) => [hook, tensorAt(model, laid, new Float32Array(from(hook)), { hook, sequence: i, length: ids.length, seen })]),
        );
      return { value: values[i] ?? NaN, gradients: each(at, found, false), taps: each(taps, (hook) => read(`tap/${hook}`), true) };
    });
  } finally {
    pool.drop('kept.');
    pool.drop('g.');
    pool.drop('again.');
  }
}

const uses = (ops: readonly Op[], name: string): boolean =>
  ops.some((op) => (op.op === 'copy' ? op.from === name || op.to === name : op.bind.some((bind) => bind?.buffer === name)));

function layOut(sequences: readonly GradientSequence[]): Laid {
  const rows: Row[] = [];
  const starts = sequences.map(({ ids }, i) => {
    const start = rows.length;
    ids.forEach((token, position) => rows.push({ token, position, slot: i, prefixSlot: i, prefixLength: 0, sequence: i, follow: NOBODY }));
    return start;
  });
  const keys = Math.max(...sequences.map(({ ids }) => ids.length));
  return { rows, starts, keys, cache: { slots: sequences.length, cap: keys, kept: false } };
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

/** Where each cap was exceeded: the hook's values before it, from a run with the edits that come before it alone. */
async function aboveCaps(model: Runtime, sequences: readonly GradientSequence[], placed: readonly PlacedEdit[]): Promise<Above> {
  const found = new Map<number, { position: number; head?: number }[]>();
  for (const [i, each] of placed.entries()) {
    const { edit } = each;
    if (edit.kind !== 'cap' || strengthOf(edit) === 0) continue;
    const sequence = sequences[each.sequence];
    if (!sequence) continue;
    const before = placed.filter((other, j) => other.sequence === each.sequence && (other.edit.at !== edit.at || j < i));
    const [run] = await runBatch(model, [
      { ids: sequence.ids, promptLength: sequence.promptLength, edits: before.map((other) => other.edit), taps: [edit.at], logits: [] },
    ]);
    const values = run?.taps[edit.at];
    if (!values) throw new LabError('internal', `No values came back from ${edit.at}.`, 'Please report this.');
    found.set(i, exceeded(model, each, edit, values));
  }
  return (i) => found.get(i) ?? [];
}

function exceeded(
  model: Runtime,
  placed: PlacedEdit,
  edit: EngineEdit & { kind: 'cap' },
  values: Tensor,
): { position: number; head?: number }[] {
  const { geometry } = findHook(model.planner.hooks, edit.at);
  const v = unitLength(edit.vector);
  const heads = edit.head === undefined ? Array.from({ length: geometry.units }, (_, u) => u) : [edit.head];
  // A vector over all heads at once is one direction of the whole row.
  const joined = !geometry.keys && heads.length > 1 && v.length === heads.length * geometry.width;
  const positions = positionsOf(edit.where, placed.promptLength, placed.length, placed.end);
  const [, queries = 0, keys = 0] = values.shape;
  const along = (from: number, width: number): number => {
    let sum = 0;
    for (let k = 0; k < Math.min(width, v.length); k++) {
      const x = values.data[from + k] ?? 0;
      if (Number.isFinite(x)) sum += x * (v[k] ?? 0);
    }
    return sum;
  };
  const all = geometry.units * geometry.width;
  return positions.flatMap((position): { position: number; head?: number }[] => {
    if (joined) return along(position * all, all) > edit.cap ? [{ position }] : [];
    return heads.flatMap((head) => {
      const over = geometry.keys
        ? along((head * queries + position) * keys, keys)
        : along(position * all + head * geometry.width, geometry.width);
      return over > edit.cap ? [{ position, ...(geometry.headed ? { head } : {}) }] : [];
    });
  });
}

interface ForwardCall {
  edits: CompiledEdits;
  backward: BackwardPlan;
  inserts: BackInserts;
  wanted: readonly number[];
  taps: readonly string[];
  readback: Readback;
}

/** The run itself, with what the backward pass needs kept, and the logits of the rows that the metrics read. */
function planForward(
  model: Runtime,
  { rows, keys, cache }: Laid,
  { edits, backward, inserts, wanted, taps, readback }: ForwardCall,
): { ops: Op[]; words: Record<string, number>; needs: ReadonlyMap<string, number> } {
  const { planner } = model;
  const { layout } = planner;
  const all = { row0: 0, rows: rows.length };
  const dictionaries = withDictionaries(model, rows.length, edits);
  const kept = keeping(planner, dictionaries.inserts, inserts, { rows: rows.length, keys });
  const { ops: built, stream } = plan(planner, {
    rows: rows.length,
    cache,
    keys,
    sites: edits.sites,
    inserts: kept.inserts,
    taps: [
      ...[...backward.kept].map(([hook, to]) => ({ ...all, hook, to, offset: 0 })),
      ...taps.map((hook) => {
        const { rowStride } = geometryOf(findHook(planner.hooks, hook), keys);
        return { ...all, hook, ...readback.reserve(`tap/${hook}`, 4 * rows.length * rowStride) };
      }),
    ],
  });
  const ops = [...dictionaries.setup, ...built];
  const bytes = 4 * layout.dModel;
  wanted.forEach((row, i) =>
    ops.push({ op: 'copy', from: stream.buffer, fromOffset: row * bytes, to: 'final', toOffset: i * bytes, bytes, hook: 'logits' }),
  );
  ops.push(...unembed(planner, { x: 'final', row0: 0, rows: wanted.length, normed: stream.normed }));
  const step = 4 * layout.vocab;
  wanted.forEach((_, i) => {
    const { to, offset } = readback.reserve(`logits/${i}`, step);
    ops.push({ op: 'copy', from: 'logits', fromOffset: i * step, to, toOffset: offset, bytes: step, hook: 'logits' });
  });
  allocate(planner, { rows: rows.length, keys, cache, logits: wanted.length, results: 0 }, ops, model.scratch);
  return { ops, words: kept.words, needs: dictionaries.needs };
}

async function execute(
  model: Runtime,
  ops: readonly Op[],
  readback: Readback,
  rows: number,
  { run }: GradientHands,
): Promise<(key: string) => ArrayBuffer> {
  const { gpu, scratch: pool } = model;
  let program: Program | undefined;
  try {
    readback.allocate(gpu, pool);
    program = await Program.prepare(gpu, ops, pool);
    // Short submissions, so that cancelling is prompt and no driver's watchdog bites.
    if (run) await run(program, ops);
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
