/**
 * A tuned lens of a person's text: for every layer the affine map of fit.ts, at the λ of a few (none among them: the logit lens as it is) under which KL(final ‖ lens) is least on sequences that were
 * not fitted; and what it comes to on others that chose nothing either, beside the logit lens. The stream of every layer is read with one forward a batch; sums of products run on the GPU.
 * This is regression onto the final stream, not descent on the divergence itself as in Belrose et al. 2023: in closed form, without a gradient.
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
import { Moments, split } from './fit';

/** λ, as shares of the mean variance; Infinity: no map. */
const RIDGES = [1e-4, 1e-2, 0.3, Infinity] as const;
/** Rows of a batch. */
const ROWS = 1024;
/** Rows that choose, and that measure, at most. */
const CHOOSING = 512;
const MEASURING = 1024;

export async function trainLens(
  model: Runtime,
  { sequences, special, seed }: EngineTrainLens,
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
  const parts = split(sequences.length, counter(seed));
  const of = (list: readonly number[]): number[][] => list.map((i) => sequences[i] ?? []);
  const lengths = sequences.reduce((sum, { length }) => sum + length, 0);
  const total = lengths + layers * (RIDGES.length + 1);
  let done = 0;
  const step = (more: number): void => {
    stop?.();
    progress?.(Math.min(total, (done += more)), total);
  };
  const moments = read.map(() => new Moments(dModel));
  let tokens = 0;
  for (const batch of batches(of(parts.fit))) {
    const streams = await streamsOf(model, batch, hooks, left);
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
    let best = { kl: Infinity, map: none(dModel) };
    for (const ridge of RIDGES) {
      const map = ridge === Infinity ? none(dModel) : each.solve(ridge);
      const kl = await divergence(model, choosing, l, map, stop);
      if (kl < best.kl) best = { kl, map };
      step(1);
    }
    maps.push(best.map);
  }
  const [before, kl]: [number[], number[]] = [[], []];
  for (const [l, map] of maps.entries()) {
    before.push(await divergence(model, apart, l, undefined, stop));
    kl.push(await divergence(model, apart, l, map, stop));
    step(1);
  }
  return { hooks: read, maps, trained: { tokens, kl, before } };
}

const none = (d: number): LensMap => ({ weight: new Float32Array(d * d), bias: new Float32Array(d) });

/** Mean KL(final ‖ lens) of a layer's rows, nats. */
async function divergence(
  model: Runtime,
  streams: readonly Float32Array[],
  layer: number,
  map: LensMap | undefined,
  stop?: () => void,
): Promise<number> {
  const rows = streams[layer] ?? new Float32Array(0);
  const sets = [
    { hook: 'lens', rows: map ? await mapped(model, 'tuned', map, rows) : rows },
    { hook: 'final', rows: streams.at(-1) ?? new Float32Array(0) },
  ];
  const [read = []] = await readRows(model, { sets, reference: 1, top: 0 }, undefined, stop);
  return read.reduce((sum, row) => sum + Math.max(0, row.kl), 0) / read.length;
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
