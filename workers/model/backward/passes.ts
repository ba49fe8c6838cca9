/**
 * The two passes of a gradient as plans: which operations, in which buffers, how large. What computes a gradient runs them; what tells beforehand what it would take only
 * looks. Pure but for dictionaries, which are at hand or not.
 */
import type { Op } from '../../gpu/commands';
import type { CompiledEdits } from '../edits';
import { unembed } from '../head';
import { findHook, geometryOf } from '../hooks';
import { plan, type CacheShape } from '../plan';
import { Readback } from '../readback';
import { NOBODY, type Row } from '../rows';
import { withDictionaries, type Runtime } from '../runtime';
import { buffersOf, scratchBytes } from '../scratch';
import { backInserts, keeping, type BackInserts, type ComposeBack } from './inserts';
import { planBackward, type BackwardPlan } from './plan';

export interface Laid {
  rows: Row[];
  /** First row of each sequence. */
  starts: number[];
  keys: number;
  cache: CacheShape;
}

/** One of the two: its operations, and what comes back. */
export interface Pass {
  ops: Op[];
  readback: Readback;
}
export interface Passes {
  forward: Pass;
  back: Pass;
  /** Bytes of every buffer of theirs. */
  bytes: ReadonlyMap<string, number>;
}

export interface PassesCall {
  laid: Laid;
  /** Rows whose logits the metric reads. */
  wanted: readonly number[];
  edits: CompiledEdits;
  adjoint: CompiledEdits;
  at: readonly string[];
  taps: readonly string[];
  dictionaries?: ComposeBack | undefined;
}

export function planPasses(model: Runtime, { laid, wanted, edits, adjoint, at, taps, dictionaries }: PassesCall): Passes {
  const { gpu, planner } = model;
  const { rows, keys } = laid;
  const [forth, back] = [new Readback(gpu.limits.maxBufferSize), new Readback(gpu.limits.maxBufferSize)];
  const bytesOf = (hook: string): number => 4 * rows.length * geometryOf(findHook(planner.hooks, hook), keys).rowStride;
  const inserts = backInserts(adjoint, dictionaries);
  const backward = planBackward(planner, {
    rows: rows.length,
    keys,
    wanted,
    edited: new Set([...edits.sites.keys(), ...edits.segments.keys(), ...inserts.reads]),
    sites: adjoint.sites,
    inserts: inserts.inserts,
    reads: inserts.reads,
    at: new Map([...new Set(at)].map((hook) => [hook, back.reserve(hook, bytesOf(hook))])),
  });
  const forward = planForward(model, laid, { edits, backward, inserts, wanted, taps: [...new Set(taps)], readback: forth });
  const ops = [...inserts.setup, ...backward.ops];
  const used = new Set([...buffersOf(ops), ...buffersOf(forward.ops)]);
  const shape = { rows: rows.length, keys, cache: laid.cache, logits: wanted.length, results: 0 };
  const own = Object.entries({ ...backward.words, ...forward.words }).filter(([name]) => used.has(name));
  const bytes = new Map([
    ...scratchBytes(planner, shape, [...forward.ops, ...ops]),
    ...own.map(([name, words]) => [name, 4 * words] as const),
    ...forward.needs,
    ...inserts.needs,
  ]);
  return { forward: { ops: forward.ops, readback: forth }, back: { ops, readback: back }, bytes };
}

export function layOut(sequences: readonly { ids: readonly number[] }[]): Laid {
  const rows: Row[] = [];
  const starts = sequences.map(({ ids }, i) => {
    const start = rows.length;
    ids.forEach((token, position) => rows.push({ token, position, slot: i, prefixSlot: i, prefixLength: 0, sequence: i, follow: NOBODY }));
    return start;
  });
  const keys = Math.max(...sequences.map(({ ids }) => ids.length));
  return { rows, starts, keys, cache: { slots: sequences.length, cap: keys, kept: false } };
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
  return { ops, words: kept.words, needs: dictionaries.needs };
}
