/**
 * Latents of a dictionary, estimated from one gradient at the place where they write: what setting a latent to the other run's activation does, at every position, the
 * error term kept as a `latent` edit keeps it:
 *
 *   m(base) + Σ_p (a'_p − a_p)·(d · ∂m/∂x_p)·undo_p/gain
 * d the latent's row of W_dec (of a neuron, its axis), undo what undoes the dictionary's normalisation at that row, gain ‖W_dec‖ where activations are rescaled by it
 * (dictionary/ops.ts does the same in a run). Marks et al. 2024, “Sparse feature circuits”, whose zeroth-order form this is.
 */
import type { Grid, Tensor } from '../../api';

import type { EngineEdit } from '../../contract';
import { roomOf, wordOf } from '../../dictionary/load';
import { isNeurons, type AnyDictionary } from '../../dictionary/neurons';
import { checkLatent, isTranscoder } from '../../dictionary/spec';
import { LabError } from '../../errors';
import { listWords, readList } from '../../kernels/dictionary';
import { gradients, type GradientHands } from '../../model/backward/gradient';
import { metricGradient } from '../../model/backward/metric-gradient';
import { gathered, type PairValues } from '../../model/causal/gathered';
import { checkGrid, latentGrid } from '../../model/causal/grid';
import { metricFor, metricPosition } from '../../model/causal/metric';
import { checkPairs } from '../../model/causal/pairs';
import { runBatch } from '../../model/run';
import type { Runtime } from '../../model/runtime';
import { readMatrixRows } from '../../model/weight-words';
import type { Estimate } from './call';

/** Latents that are looked at unless some are named. */
const MOST = 256;

interface Side {
  /** By position: a latent's activation. Of neurons all, of what is listed those above 0. */
  active: Map<number, number>[];
  /** Latents that are active anywhere. */
  listed: ReadonlySet<number>;
  logits: Float32Array;
}
/** A pair as its latents need it: differences by latent and position, and the gradient along each position's row. */
interface Pair {
  clean: number;
  corrupted: number;
  differences: Map<number, number>[];
  listed: ReadonlySet<number>;
  gradient: Tensor;
  undo: number[];
}

export interface LatentCall {
  model: Runtime;
  dictionary: AnyDictionary;
  request: Estimate;
  progress?: ((done: number, of: number) => void) | undefined;
  stop?: (() => void) | undefined;
  hands?: GradientHands;
}

export async function latentAttribution({ model, dictionary, request, progress, stop, hands = {} }: LatentCall): Promise<Grid> {
  const start = performance.now();
  const { pairs, metric, ablate, method } = request;
  checkGrid(model.spec, { dictionary: dictionary.id }, request.grid);
  for (const latent of request.latents ?? []) checkLatent(dictionary.spec, latent);
  if (method === 'integrated' || (ablate !== undefined && ablate !== 'zero'))
    throw new LabError(
      'option-unsupported',
      method === 'integrated' ? 'Latents have no integrated gradients yet.' : `Latents are not estimated with ablate: '${ablate}' yet.`,
      "Ask for method: 'attribution', with the pair’s other side or ablate: 'zero'.",
    );
  checkPairs(
    pairs.map(({ clean, corrupted }) => ({ clean: clean.ids, corrupted: corrupted.ids })),
    true,
  );
  const found: Pair[] = [];
  for (const [i, pair] of pairs.entries()) {
    stop?.();
    found.push(await differencesOf(model, dictionary, request, pair, hands));
    progress?.(i + 1, pairs.length);
  }
  const latents = request.latents ?? largest(found);
  const effects = await effectsOf(model, dictionary, found, latents);
  const values = found.map(({ clean, corrupted }, i): PairValues => {
    const from = request.direction === 'denoise' ? corrupted : clean;
    return { clean, corrupted, raw: latents.map((_, l) => from + (effects[i]?.[l] ?? NaN)) };
  });
  const tokens = pairs.reduce((sum, { clean }) => sum + clean.ids.length, 0);
  return {
    ...gathered(latentGrid(0, latents), values, metric.kind),
    milliseconds: performance.now() - start,
    rowsComputed: 3 * tokens * model.spec.layers,
    rowsNaive: latents.length * tokens * model.spec.layers,
    rowsSkipped: 0,
  };
}

async function differencesOf(
  model: Runtime,
  dictionary: AnyDictionary,
  { metric: shared, direction, ablate }: Estimate,
  pair: Estimate['pairs'][number],
  hands: GradientHands,
): Promise<Pair> {
  const { clean, corrupted } = pair;
  const metric = metricFor(shared, pair);
  const position = metricPosition(metric.position, clean.ids.length);
  const sides = {
    clean: await sideOf(model, dictionary, clean, position, hands),
    corrupted: await sideOf(model, dictionary, corrupted, position, hands),
  };
  const base = direction === 'denoise' ? 'corrupted' : 'clean';
  const other = base === 'clean' ? 'corrupted' : 'clean';
  const { hookIn, hookOut } = dictionary.spec;
  const { ids, edits } = base === 'clean' ? clean : corrupted;
  const reference = sides.clean.logits;
  const [near] = await gradients(
    model,
    [{ ids, promptLength: ids.length, edits, metric: { ...metric, position }, reference }],
    [hookOut],
    [hookIn],
    hands,
  );
  const gradient = near?.gradients[hookOut];
  const x = near?.taps[hookIn];
  if (!gradient || !x) throw new LabError('internal', 'A gradient gave no result.', 'Please report this.');
  const value = (which: 'clean' | 'corrupted'): number => metricGradient(metric, sides[which].logits, { reference }).value;
  const differences = sides[base].active.map((here, p) => {
    const there = ablate === 'zero' ? new Map<number, number>() : (sides[other].active[p] ?? new Map<number, number>());
    const change = new Map<number, number>();
    for (const latent of new Set([...here.keys(), ...there.keys()])) change.set(latent, (there.get(latent) ?? 0) - (here.get(latent) ?? 0));
    return change;
  });
  const width = dictionary.spec.dIn;
  const undo = differences.map((_, p) => undoOf(dictionary, x.data.subarray(p * width, (p + 1) * width)));
  const listed = new Set([...sides.clean.listed, ...sides.corrupted.listed]);
  return { clean: value('clean'), corrupted: value('corrupted'), differences, listed, gradient, undo };
}

async function sideOf(
  model: Runtime,
  dictionary: AnyDictionary,
  { ids, edits }: { ids: readonly number[]; edits: readonly EngineEdit[] },
  position: number,
  hands: GradientHands,
): Promise<Side> {
  const room = roomOf(dictionary);
  const [run] = await runBatch(
    model,
    [{ ids, promptLength: ids.length, edits, taps: isNeurons(dictionary) ? [dictionary.spec.hookOut] : [], logits: [position] }],
    [{ dictionary: dictionary.id, room, width: dictionary.output.words, y: false, bare: true }],
    hands,
  );
  const lists = run?.measured[0]?.lists;
  if (!run || !lists) throw new LabError('internal', 'A dictionary was not read.', 'Please report this.');
  const found = ids.map((_, p) => new Map(readList(lists, p * listWords(room)).pairs));
  const listed = new Set(found.flatMap((row) => [...row.keys()]));
  const neurons = run.taps[dictionary.spec.hookOut];
  const width = dictionary.spec.dOut;
  const active = neurons
    ? ids.map((_, p) => new Map(Array.from(neurons.data.subarray(p * width, (p + 1) * width), (value, latent) => [latent, value])))
    : found;
  return { logits: run.logits, active, listed };
}

/** What one unit of a latent's activation is worth where the dictionary writes, but for its decoder row. */
function undoOf(dictionary: AnyDictionary, x: Float32Array): number {
  if (isNeurons(dictionary)) return 1;
  const { contract } = dictionary.spec;
  if (contract.normalisation !== 'layer_norm' || isTranscoder(dictionary.spec)) return 1 / contract.scale;
  const mean = x.reduce((sum, each) => sum + each, 0) / x.length;
  const square = x.reduce((sum, each) => sum + (each - mean) ** 2, 0);
  return (Math.sqrt(square / (x.length - 1)) + 1e-5) / contract.scale;
}

/** Those whose activations differ most at some position, of any pair. */
function largest(pairs: readonly Pair[]): number[] {
  const size = new Map<number, number>();
  for (const { differences, listed } of pairs)
    for (const each of differences)
      for (const [latent, change] of each) if (listed.has(latent)) size.set(latent, Math.max(size.get(latent) ?? 0, Math.abs(change)));
  const order = [...size].sort((a, b) => b[1] - a[1] || a[0] - b[0]).slice(0, MOST);
  return order.map(([latent]) => latent);
}

/** [pair][latent]: Σ over positions. */
async function effectsOf(
  model: Runtime,
  dictionary: AnyDictionary,
  pairs: readonly Pair[],
  latents: readonly number[],
): Promise<number[][]> {
  const rows = isNeurons(dictionary)
    ? undefined
    : await readMatrixRows(
        model,
        latents.map((row) => ({ matrix: dictionary.decoder, row })),
      );
  const { dOut } = dictionary.spec;
  const along = (l: number, latent: number, gradient: Tensor, p: number): number => {
    if (isNeurons(dictionary)) return gradient.data[p * dOut + latent] ?? 0;
    const row = rows?.[l];
    let sum = 0;
    for (let i = 0; i < dOut; i++) sum += (gradient.data[p * dOut + i] ?? 0) * (row?.[wordOf(dictionary.output, i)] ?? 0);
    const gain = dictionary.spec.contract.rescaleByDecoderNorm ? (dictionary.decoderNorms[latent] ?? 1) || 1 : 1;
    return sum / gain;
  };
  return pairs.map(({ differences, gradient, undo }) =>
    latents.map((latent, l) =>
      differences.reduce((sum, change, p) => {
        const by = change.get(latent) ?? 0;
        return by === 0 ? sum : sum + by * (undo[p] ?? 1) * along(l, latent, gradient, p);
      }, 0),
    ),
  );
}
