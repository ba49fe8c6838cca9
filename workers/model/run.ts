/**
 * Runs: ragged batches of sequences through one plan, with taps, edits and what is asked of the logits. A sequence may
 * share the keys of another's first positions and may start at a stored residual: what sweeps are made of.
 */
import { LabError } from '../errors';
import type { EngineEdit } from '../contract';
import type { Tensor } from '../api';
import { Program, type Op, type Runner } from '../gpu/commands';
import { listWords } from '../kernels/dictionary';
import { allMeasured, collect, measured, type Measured, type SequenceResult } from './collect';
import { compileEdits, EVERY, type PlacedEdit, type Source } from './edits';
import { findHook, geometryOf } from './hooks';
import { logitReads } from './logit-reads';
import { keptKv, plan, type CacheShape, type PlanInput, type Tap } from './plan';
import { Readback } from './readback';
import { NOBODY, rowWords, type Row } from './rows';
import { checkIds, withDictionaries, type Runtime } from './runtime';
import { allocate } from './scratch';
import { sourceOf } from './sources';

export interface Sequence {
  ids: readonly number[];
  promptLength: number;
  edits: readonly EngineEdit[];
  taps: readonly string[];
  /** Positions whose logits are wanted whole. */
  logits: readonly number[];
  /** Positions whose distribution is wanted: its first `top` tokens, and the target's place in it. */
  distribution?: { positions: readonly number[]; top: number; targets?: readonly number[] };
  /** The keys of positions before `length` are those of sequence `of` (same batch, or kept of an earlier one; same tokens there); rows begin at `length`. */
  prefix?: { of: number | 'kept'; length: number };
  /** Rows enter at `layer` with these residuals, [rows][d_model]; nothing is computed before. */
  start?: { layer: number; residual: Float32Array };
  /** After its edits: values put in their place as they are. */
  patches?: readonly Patch[];
  /** Positions whose metric is wanted. */
  scores?: readonly number[];
}

/** Values of another run at a hook, ready; without a source, zeros. */
export interface Patch {
  at: string;
  where: readonly number[] | 'all';
  head?: number;
  source?: Source;
}

/** What a batch of a sweep has beside its sequences, which are all of one length. */
export interface Together {
  /** Edits of every sequence, before its own. */
  edits?: readonly EngineEdit[];
  /** Patches of every sequence, after those edits and before its own. */
  patches?: readonly Patch[];
  /** Keys and values of a sequence that outlive the batch, and those of an earlier one that prefixes name. Buffers begin with `as`. */
  save?: { sequence: number; as: string };
  load?: { as: string };
  /** Two tokens whose logits are wanted; a buffer with the row of logits that others are set against, which the batch writes itself where `of` names a sequence. */
  score?: { tokens: readonly [number, number]; reference?: { buffer: string; of?: number } };
  /** Runs the program; all of it at once unless given. */
  by?: Runner;
}

/**
 * A dictionary read beside a run: lists of at most `room` latents a row, errors, and reconstructions of `width` words a row where wanted. `bare`:
 * lists alone, so that nothing is decoded; where there are more active latents than room, any of them.
 */
export interface Measure {
  dictionary: string;
  room: number;
  width: number;
  y: boolean;
  bare?: true;
}
export interface Laid {
  sequence: Sequence;
  /** Row of its first computed position. */
  row0: number;
  first: number;
  count: number;
}

export interface Planned {
  ops: Op[];
  rows: Row[];
  laid: Laid[];
  readback: Readback;
  edits: ReturnType<typeof compileEdits>;
  shape: { keys: number; cache: CacheShape; logits: number; results: number };
  /** Buffers of dictionaries, and their bytes. */
  needs: ReadonlyMap<string, number>;
  targets: number[];
  top: number;
  stored: Float32Array<ArrayBuffer>;
}

export async function runBatch(
  model: Runtime,
  sequences: readonly Sequence[],
  measures: readonly Measure[] = [],
  together: Together = {},
): Promise<(SequenceResult & { measured: Measured[] })[]> {
  const planned = await planBatch(model, sequences, measures, together);
  const { gpu, scratch: pool } = model;
  const { readback } = planned;
  const ops = together.by?.cut(planned.ops) ?? planned.ops;
  let program: Program | undefined;
  try {
    prepare(model, planned);
    program = await Program.prepare(gpu, ops, pool);
    // Long batches go in short submissions, so that cancelling is prompt and no driver's watchdog bites.
    if (together.by) await together.by.run(program, ops);
    else program.run(Math.max(4, Math.min(64, Math.floor(16384 / planned.rows.length))));
    await gpu.check();
    const bytes = await readback.read(gpu);
    const whole = measures.map((each, m) => allMeasured(each, m, bytes));
    return planned.laid.map((laid, i) => ({
      ...collect(model, planned, laid, i, bytes),
      measured: measures.map((each, m) => measured(each, whole[m], laid)),
    }));
  } finally {
    program?.free();
    readback.free(gpu);
  }
}

/** Buffers of the plan's sizes, rows, edits and targets uploaded. */
function prepare(model: Runtime, planned: Planned): void {
  const { gpu, planner, scratch: pool } = model;
  const rows = rowWords(planned.rows);
  allocate(planner, { rows: planned.rows.length, ...planned.shape }, planned.ops, pool);
  for (const [name, bytes] of planned.needs) pool.need(name, bytes);
  gpu.write(pool.need('rows', rows.byteLength), 0, rows);
  gpu.write(pool.need('edits', planned.edits.words.byteLength), 0, planned.edits.words);
  const targets = Uint32Array.from(planned.targets.length ? planned.targets : [NOBODY]);
  gpu.write(pool.need('targets', targets.byteLength), 0, targets);
  if (planned.stored.length) gpu.write(pool.need('stored', planned.stored.byteLength), 0, planned.stored);
  planned.readback.allocate(gpu, pool);
}

/** The plan of a batch, with everything it needs uploaded; replace sources are computed on the way. */
export async function planBatch(
  model: Runtime,
  sequences: readonly Sequence[],
  measures: readonly Measure[] = [],
  together: Together = {},
): Promise<Planned> {
  const { planner, spec } = model;
  const { layout, hooks } = planner;
  for (const sequence of sequences) {
    checkIds(model, sequence.ids);
    for (const hook of sequence.taps) {
      const { layer } = findHook(hooks, hook);
      if (sequence.start && (layer ?? -1) < sequence.start.layer && !hook.startsWith('ln_final'))
        throw new LabError('internal', `${hook} lies before the layer at which this sequence starts.`, 'Please report this.');
    }
  }
  // Rows that start later come last: those active at a layer are then the first so many. A start at layer 0 is later than the embedding.
  const enters = (i: number): number => sequences[i]?.start?.layer ?? -1;
  const order = sequences.map((_, i) => i).sort((a, b) => enters(a) - enters(b) || a - b);
  const laid: Laid[] = [];
  const rows: Row[] = [];
  const starts: { layer: number; row0: number; rows: number; storedRow: number }[] = [];
  const storedRows: Float32Array[] = [];
  let storedCount = 0;
  for (const i of order) {
    const sequence = sequences[i];
    if (!sequence) continue;
    const first = sequence.prefix?.length ?? 0;
    const count = sequence.ids.length - first;
    const row0 = rows.length;
    laid[i] = { sequence, row0, first, count };
    for (let position = first; position < sequence.ids.length; position++)
      rows.push({
        token: sequence.ids[position] ?? 0,
        position,
        slot: i,
        prefixSlot: sequence.prefix?.of === 'kept' ? sequences.length : (sequence.prefix?.of ?? i),
        prefixLength: first,
        sequence: i,
        follow: NOBODY,
      });
    if (sequence.start) {
      if (sequence.start.residual.length !== count * spec.dModel)
        throw new LabError('internal', 'A stored residual has the wrong size.', 'Please report this.');
      starts.push({ layer: sequence.start.layer, row0, rows: count, storedRow: storedCount });
      storedRows.push(sequence.start.residual);
      storedCount += count;
    }
  }
  const longest = Math.max(...sequences.map((each) => each.ids.length));
  const { load, save, score } = together;
  const cache: CacheShape = { slots: sequences.length + (load ? 1 : 0), cap: longest, kept: false };
  const placed: PlacedEdit[] = [];
  const place = async (sequence: Sequence, edits: readonly EngineEdit[], i: number): Promise<void> => {
    const { length } = sequence.ids;
    const target = { promptLength: sequence.promptLength, length, end: length, tokens: length };
    for (const edit of edits) {
      const source = await sourceOf(hooks, edit, target, (ids, hook) => readHook(model, ids, hook));
      placed.push({ edit, sequence: i, ...target, ...(source ? { source } : {}) });
    }
  };
  const [first] = sequences;
  if (first) {
    await place(first, together.edits ?? [], EVERY);
    placed.push(...(together.patches ?? []).map((patch) => patched(patch, first, EVERY)));
  }
  for (const [i, sequence] of sequences.entries()) {
    await place(sequence, sequence.edits, i);
    placed.push(...(sequence.patches ?? []).map((patch) => patched(patch, sequence, i)));
  }
  const edits = compileEdits(hooks, placed, longest, model.special, spec.vocab);
  const readback = new Readback(model.gpu.limits.maxBufferSize);
  const taps: Tap[] = [];
  laid.forEach(({ sequence, row0, count }, i) => {
    for (const hook of new Set(sequence.taps)) {
      const { rowStride } = geometryOf(findHook(hooks, hook), longest);
      taps.push({ hook, row0, rows: count, ...readback.reserve(`${i}/${hook}`, 4 * count * rowStride) });
    }
  });
  const dictionaries = withDictionaries(
    model,
    rows.length,
    edits,
    measures.map(({ dictionary, room, width, y, bare }, i) => ({
      dictionary,
      room,
      rows: rows.length,
      lists: readback.reserve(`lists/${i}`, 4 * rows.length * listWords(room)),
      ...(bare
        ? { any: true }
        : {
            measured: {
              errors: readback.reserve(`errors/${i}`, 8 * rows.length),
              ...(y ? { y: readback.reserve(`y/${i}`, 4 * rows.length * width) } : {}),
            },
          }),
    })),
  );
  const final = sequences.some(
    ({ logits, distribution, scores }) => logits.length + (distribution?.positions.length ?? 0) + (scores?.length ?? 0) > 0,
  );
  const { sites } = edits;
  const input: PlanInput = { rows: rows.length, cache, keys: longest, sites, taps, inserts: dictionaries.inserts, starts, final };
  if (save || load)
    input.kept = {
      ...(save && { save: { slot: save.sequence, as: save.as } }),
      ...(load && { load: { slot: sequences.length, as: load.as } }),
    };
  const built = plan(planner, input);
  const ops = [...dictionaries.setup, ...built.ops];
  const reads = logitReads(model, laid, built.stream, readback, score);
  ops.push(...reads.ops);
  const needs = new Map(dictionaries.needs);
  if (reads.scoreBytes) needs.set('metric', reads.scoreBytes);
  if (score?.reference) needs.set(score.reference.buffer, 4 * layout.vocab);
  if (save) for (let layer = 0; layer < spec.layers; layer++) needs.set(keptKv(save.as, layer), 8 * spec.kvHeads * longest * layout.dHead);
  const stored = new Float32Array(storedCount * layout.dModel);
  let to = 0;
  for (const residual of storedRows)
    for (let at = 0; at < residual.length; at += spec.dModel, to += layout.dModel) stored.set(residual.subarray(at, at + spec.dModel), to);
  return {
    ops,
    rows,
    laid,
    readback,
    edits,
    shape: { keys: longest, cache, logits: reads.logits, results: reads.results },
    needs,
    targets: reads.targets,
    top: reads.top,
    stored,
  };
}

/** A patch as the edit that it is; its values come with it. */
function patched({ at, where, head, source }: Patch, { ids, promptLength }: Sequence, sequence: number): PlacedEdit {
  const common = { at, where, skipSpecial: false, strength: 1, enabled: true, ...(head === undefined ? {} : { head }) };
  const edit: EngineEdit = { ...common, kind: 'replace', value: source ? { ids: [] } : 'zero' };
  return { edit, sequence, promptLength, length: ids.length, end: ids.length, ...(source ? { source } : {}) };
}

export async function readHook(model: Runtime, ids: readonly number[], hook: string): Promise<Tensor> {
  const [result] = await runBatch(model, [{ ids, promptLength: ids.length, edits: [], taps: [hook], logits: [] }]);
  const found = result?.taps[hook];
  if (!found) throw new LabError('internal', `No values came back from ${hook}.`, 'Please report this.');
  return found;
}
