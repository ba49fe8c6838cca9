/**
 * A tuned lens of a person's text: for every layer the affine map of fit.ts, at the λ of a few (none among them: the logit lens as it is) under which KL(final ‖ lens) is least on sequences that were
 * not fitted, from there so many steps down the divergence itself (descend.ts); and what it comes to on others that chose nothing either, beside the logit lens. The stream of every layer is read with one
 * forward a batch; sums of products run on the GPU.
 */
import type { EngineTrainedLens, EngineTrainLens, LensMap } from '../../contract-reading';
import { LabError } from '../../errors';
import { lensLayers } from '../../model/lens';
import { product } from '../../model/products';
import { counter } from '../../model/random';
import { readRows } from '../../model/read-rows';
import { runBatch } from '../../model/run';
import { checkIds, type Runtime } from '../../model/runtime';
import { mapped } from './apply';
import { descend } from './descend';
import { Moments, split } from './fit';

/** λ, as shares of the mean variance; Infinity: no map. */
const RIDGES = [1e-4, 1e-2, 0.3, Infinity] as const;
/** Rows of a batch. */
const ROWS = 1024;
/** Rows that choose, and that measure, at most. */
const CHOOSING = 192;
const MEASURING = 512;
/** Fitted rows that are kept to descend on, at most, by number and by bytes of all layers together; with fewer than the least there is no descent. */
const KEPT = 4096;
const KEPT_BYTES = 256 << 20;
const LEAST = 256;

export async function trainLens(
  model: Runtime,
  { sequences, special, seed, steps }: EngineTrainLens,
  progress?: (done: number, of: number) => void,
  stop?: () => void,
): Promise<EngineTrainedLens> {
  const { layers, dModel } = model.spec;
  for (const ids of sequences) checkIds(model, ids);
  if (sequences.length < 3)
    throw new LabError(
      'request-invalid',
      'The text is too short to train a lens on.',
      'Give at least three passages, better some thousand tokens.',
    );
  const hooks = lensLayers(layers);
  const read = hooks.slice(0, -1);
  const left = new Set(special);
  const next = counter(seed);
  const parts = split(sequences.length, next);
  const of = (list: readonly number[]): number[][] => list.map((i) => sequences[i] ?? []);
  const lengths = sequences.reduce((sum, { length }) => sum + length, 0);
  const total = lengths + layers * (RIDGES.length + 1 + steps);
  let done = 0;
  const step = (more: number): void => {
    stop?.();
    progress?.(Math.min(total, (done += more)), total);
  };
  const moments = read.map(() => new Moments(dModel));
  let tokens = 0;
  // split() has shuffled the sequences, so that descent may keep the rows of the first.
  const room = Math.min(KEPT, Math.floor(KEPT_BYTES / (4 * dModel * hooks.length)));
  const kept: Float32Array[][] = [];
  for (const batch of batches(of(parts.fit))) {
    const streams = await streamsOf(model, batch, hooks, left);
    if (steps > 0 && tokens < room) kept.push(streams);
    for (const [l, each] of moments.entries()) await addTo(model, each, streams[l], streams[layers]);
    tokens += (streams[layers]?.length ?? 0) / dModel;
    step(batch.reduce((sum, { length }) => sum + length, 0));
  }
  const rowsOf = async (list: readonly number[], most: number): Promise<Float32Array[]> => {
    const all: Float32Array[][] = [];
    let rows = 0;
    for (const batch of batches(of(list))) {
      if (rows >= most) break;
      const streams = await streamsOf(model, batch, hooks, left);
      rows += (streams[layers]?.length ?? 0) / dModel;
      all.push(streams);
      step(batch.reduce((sum, { length }) => sum + length, 0));
    }
    return hooks.map((_, l) =>
      joined(
        all.map((streams) => streams[l] ?? new Float32Array(0)),
        most * dModel,
      ),
    );
  };
  const [choosing, apart] = [await rowsOf(parts.choose, CHOOSING), await rowsOf(parts.apart, MEASURING)];
  if (tokens === 0 || !choosing[0]?.length || !apart[0]?.length)
    throw new LabError('request-invalid', 'The text holds nothing but special tokens.', 'Give texts of several words each.');
  const maps: LensMap[] = [];
  for (const [l, each] of moments.entries()) {
    const tried = RIDGES.map((ridge) => (ridge === Infinity ? undefined : each.solve(ridge)));
    const kls = await divergences(
      model,
      tried.map((map) => ({ rows: choosing[l] ?? new Float32Array(0), map })),
      choosing.at(-1),
      stop,
    );
    const best = kls.indexOf(Math.min(...kls));
    const start = tried[best] ?? { weight: new Float32Array(dModel ** 2), bias: new Float32Array(dModel) };
    step(RIDGES.length);
    const rows = (layer: number): Float32Array =>
      joined(
        kept.map((streams) => streams[layer] ?? new Float32Array(0)),
        room * dModel,
      );
    const x = rows(l);
    const judge = async (map: LensMap): Promise<number> =>
      (await divergences(model, [{ rows: choosing[l] ?? new Float32Array(0), map }], choosing.at(-1), stop))[0] ?? NaN;
    const call = { start, x, y: rows(layers), steps, next, judge, best: kls[best] ?? NaN, step: () => step(1) };
    if (x.length >= LEAST * dModel) maps.push(await descend(model, call));
    else {
      maps.push(start);
      step(steps);
    }
  }
  const measured = maps.flatMap((map, l) => [undefined, map].map((each) => ({ rows: apart[l] ?? new Float32Array(0), map: each })));
  const all = await divergences(model, measured, apart.at(-1), stop);
  step(layers);
  const each = (first: number): number[] => all.filter((_, i) => i % 2 === first);
  return { hooks: read, maps, trained: { tokens, kl: each(1), before: each(0) } };
}

/** Mean KL(final ‖ lens) of each of some lenses' rows, nats; the logit lens where there is no map. */
async function divergences(
  model: Runtime,
  lenses: readonly { rows: Float32Array; map: LensMap | undefined }[],
  final: Float32Array | undefined,
  stop?: () => void,
): Promise<number[]> {
  const sets: { hook: string; rows: Float32Array }[] = [];
  for (const { rows, map } of lenses) sets.push({ hook: 'lens', rows: map ? await mapped(model, 'tuned', map, rows) : rows });
  sets.push({ hook: 'final', rows: final ?? new Float32Array(0) });
  const read = await readRows(model, { sets, reference: lenses.length, top: 0 }, undefined, stop);
  return lenses.map((_, i) => {
    const rows = read[i] ?? [];
    return rows.reduce((sum, row) => sum + Math.max(0, row.kl), 0) / rows.length;
  });
}

function* batches(sequences: readonly number[][]): Generator<number[][]> {
  let some: number[][] = [];
  let rows = 0;
  for (const ids of sequences) {
    if (some.length && rows + ids.length > ROWS) {
      yield some;
      [some, rows] = [[], 0];
    }
    some.push(ids);
    rows += ids.length;
  }
  if (some.length) yield some;
}

/** The rows of a batch at every hook, one after the other, special tokens left out. */
async function streamsOf(model: Runtime, batch: readonly number[][], hooks: string[], left: ReadonlySet<number>): Promise<Float32Array[]> {
  const { dModel } = model.spec;
  const results = await runBatch(
    model,
    batch.map((ids) => ({ ids, promptLength: ids.length, edits: [], taps: hooks, logits: [] })),
  );
  const kept = batch.map((ids) => ids.flatMap((token, r) => (left.has(token) ? [] : [r])));
  const count = kept.reduce((sum, { length }) => sum + length, 0);
  return hooks.map((hook) => {
    const out = new Float32Array(count * dModel);
    let to = 0;
    results.forEach(({ taps }, i) => {
      for (const r of kept[i] ?? []) out.set(taps[hook]?.data.subarray(r * dModel, (r + 1) * dModel) ?? [], dModel * to++);
    });
    return out;
  });
}

/** Weighted sums of a batch into a layer's moments. Rows are brought to one number (ROWS, zeros behind), so that all batches share a kernel. */
async function addTo(model: Runtime, moments: Moments, x: Float32Array | undefined, y: Float32Array | undefined): Promise<void> {
  if (!x?.length || !y) return;
  const { d } = moments;
  const rows = x.length / d;
  for (let from = 0; from < rows; from += ROWS) {
    const many = Math.min(ROWS, rows - from);
    const roots = Float64Array.from({ length: many }, (_, r) => 1 / Math.sqrt(meanSquare(y, (from + r) * d, d) || 1));
    const columns = (source: Float32Array): Float32Array => {
      const out = new Float32Array(d * ROWS);
      for (let r = 0; r < many; r++) for (let i = 0; i < d; i++) out[i * ROWS + r] = (source[(from + r) * d + i] ?? 0) * (roots[r] ?? 0);
      return out;
    };
    const sums = (source: Float32Array): Float64Array => {
      const out = new Float64Array(d);
      for (let r = 0; r < many; r++)
        for (let i = 0; i < d; i++) out[i] = (out[i] ?? 0) + (source[(from + r) * d + i] ?? 0) * (roots[r] ?? 0) ** 2;
      return out;
    };
    const [xs, ys] = [columns(x), columns(y)];
    const weight = roots.reduce((sum, each) => sum + each * each, 0);
    moments.add(weight, sums(x), sums(y), await product(model, xs, xs, ROWS), await product(model, ys, xs, ROWS));
  }
}

function meanSquare(x: Float32Array, from: number, d: number): number {
  let sum = 0;
  for (let i = 0; i < d; i++) sum += (x[from + i] ?? 0) ** 2;
  return sum / d;
}

function joined(parts: readonly Float32Array[], most: number): Float32Array {
  const out = new Float32Array(
    Math.min(
      most,
      parts.reduce((sum, { length }) => sum + length, 0),
    ),
  );
  let at = 0;
  for (const part of parts) {
    if (at >= out.length) break;
    out.set(part.subarray(0, out.length - at), at);
    at += part.length;
  }
  return out;
}
