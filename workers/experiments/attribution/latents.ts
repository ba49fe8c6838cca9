/**
 * Latents of a dictionary, estimated from gradients at the place where they write: what putting other values in the place of a latent's, at every position, does, the
 * error term kept as a `latent` edit keeps it:
 *
 *   m(base) + Σ_p (a'_p − a_p)·(d · g_p)·undo_p/gain
 *   attribution   g = ∂m/∂x in the base run (Marks et al. 2024, “Sparse feature circuits”)
 *   integrated    g = the mean of ∂m/∂x over `steps` runs in which all latents of the grid lie at a + α(a' − a) together: the cells sum to what patching them together does
 * d the latent's row of W_dec (of a neuron, its axis), undo what undoes the dictionary's normalisation at that row, gain ‖W_dec‖ where activations are rescaled by it
 * (dictionary/ops.ts does the same in a run). What is put there is as in the exact sweep.
 */
import type { Grid, Tensor } from '../../api';
import { outerOf } from '../../dictionary/conventions';
import { roomOf, wordOf } from '../../dictionary/load';
import { isNeurons, type AnyDictionary } from '../../dictionary/neurons';
import { checkLatent, isTranscoder } from '../../dictionary/spec';
import { LabError } from '../../errors';
import { listWords, readList } from '../../kernels/dictionary';
import { gathered, type PairValues } from '../../model/causal/gathered';
import { checkGrid, latentGrid } from '../../model/causal/grid';
import { largest } from '../../model/causal/largest';
import { checkPairs } from '../../model/causal/pairs';
import { runBatch, type Measure } from '../../model/run';
import { readMatrixRows } from '../../model/weight-words';
import { sidesFor, type Estimate, type Hands } from './call';
import { meanGradient } from './integrated';
import { runPair, type Ran } from './runs';

/** Of one run: each position's activations (of neurons all, of what is listed those above 0), and latents that are active anywhere. */
interface Active {
  rows: Map<number, number>[];
  listed: ReadonlySet<number>;
}
interface Pair {
  ran: Ran;
  base: Active;
  other: Active;
}

export interface LatentCall extends Hands {
  dictionary: AnyDictionary;
  request: Estimate;
}

export const measureOf = (dictionary: AnyDictionary): Measure => ({
  dictionary: dictionary.id,
  room: roomOf(dictionary),
  width: dictionary.output.words,
  y: false,
  bare: true,
});

export async function latentAttribution({ dictionary, request, ...hands }: LatentCall): Promise<Grid> {
  const start = performance.now();
  const { model, progress, stop } = hands;
  const { pairs, metric, ablate, method } = request;
  checkGrid(model.spec, { dictionary: dictionary.id }, request.grid);
  for (const latent of request.latents ?? []) checkLatent(dictionary.spec, latent);
  checkPairs(
    pairs.map(({ clean, corrupted }) => ({ clean: clean.ids, corrupted: corrupted.ids })),
    ablate === 'resample',
  );
  const integrated = method === 'integrated';
  const turns = pairs.length * (integrated ? 2 : 1);
  const found: Pair[] = [];
  for (let i = 0; i < pairs.length; i++) {
    found.push(await pairOf(hands, dictionary, request, i));
    progress?.(found.length, turns);
    stop?.();
  }
  const change = found.map((_, i) => changesOf(found, i, ablate));
  const latents =
    request.latents ??
    largest(
      found.map((pair, i) => ({
        active: [...pair.base.listed, ...(sourceOf(found, i, ablate)?.listed ?? [])],
        difference: (latent) => Math.max(...pair.base.rows.map((_, p) => Math.abs(change[i]?.(latent, p) ?? 0))),
      })),
    );
  const decoder = await decoderRows(hands, dictionary, latents);
  const values: PairValues[] = [];
  for (const [i, { ran }] of found.entries()) {
    const by = change[i] ?? (() => 0);
    const undo = undoOf(dictionary, ran);
    const { hookOut, dOut } = dictionary.spec;
    let gradient = ran.gradients[hookOut];
    if (integrated) {
      gradient = await meanGradient(hands, ran.sequence, hookOut, moved(ran.taps[hookOut], latents, by, undo, decoder), request.steps);
      progress?.(found.length + i + 1, turns);
    }
    const from = request.direction === 'denoise' ? ran.corrupted : ran.clean;
    const raw = latents.map((latent) => {
      const row = decoder.get(latent);
      return undo.reduce((sum, undo, p) => {
        const c = by(latent, p) * undo;
        if (c === 0) return sum;
        return sum + c * (row ? along(row, gradient, p * dOut) : (gradient?.data[p * dOut + latent] ?? 0));
      }, from);
    });
    values.push({ clean: ran.clean, corrupted: ran.corrupted, raw });
  }
  const tokens = pairs.reduce((sum, { clean }) => sum + clean.ids.length, 0);
  return {
    ...gathered(latentGrid(0, latents), values, metric.kind),
    milliseconds: performance.now() - start,
    rowsComputed: (3 + (integrated ? request.steps : 0)) * tokens * model.spec.layers,
    rowsNaive: latents.length * tokens * model.spec.layers,
    rowsSkipped: 0,
  };
}

async function pairOf(hands: Hands, dictionary: AnyDictionary, request: Estimate, index: number): Promise<Pair> {
  const { model } = hands;
  const { hookIn, hookOut } = dictionary.spec;
  const measures = [measureOf(dictionary)];
  const ran = await runPair(hands, request, index, { at: [hookOut], taps: [...new Set([hookIn, hookOut])], measures });
  const { ids, edits } = sidesFor(request, request.pairs[index] ?? { clean: ran.sequence, corrupted: ran.sequence }).base;
  // Lists are not read beside a gradient.
  const [again] = await hands.turn(() =>
    runBatch(model, [{ ids, promptLength: ids.length, edits, taps: [], logits: [] }], measures, hands.hands),
  );
  return {
    ran,
    base: activeOf(dictionary, ids.length, again?.measured[0]?.lists, ran.taps[hookOut]),
    other: activeOf(dictionary, ids.length, ran.measured[0]?.lists, ran.other[hookOut]),
  };
}

function activeOf(dictionary: AnyDictionary, tokens: number, lists: Uint32Array | undefined, hook: Tensor | undefined): Active {
  if (!lists || !hook) throw new LabError('internal', 'A dictionary was not read.', 'Please report this.');
  const words = listWords(roomOf(dictionary));
  const rows = Array.from({ length: tokens }, (_, p) => new Map(readList(lists, p * words).pairs));
  const listed = new Set(rows.flatMap((row) => [...row.keys()]));
  if (!isNeurons(dictionary)) return { rows, listed };
  const { dOut } = dictionary.spec;
  const whole = rows.map((_, p) => new Map(Array.from(hook.data.subarray(p * dOut, (p + 1) * dOut), (value, latent) => [latent, value])));
  return { rows: whole, listed };
}

/** The run whose values are put there; none where they are no run's. */
function sourceOf(pairs: readonly Pair[], index: number, ablate: Estimate['ablate']): Active | undefined {
  if (ablate === 'zero' || ablate === 'mean') return undefined;
  return ablate === 'resample' && pairs.length > 1 ? pairs[(index + 1) % pairs.length]?.base : pairs[index]?.other;
}

/** What is put there less what is there, by latent and position. */
function changesOf(pairs: readonly Pair[], index: number, ablate: Estimate['ablate']): (latent: number, position: number) => number {
  const own = pairs[index]?.base.rows ?? [];
  const source = sourceOf(pairs, index, ablate);
  const means = new Map<number, number>();
  const mean = (latent: number): number => {
    const known = means.get(latent);
    if (known !== undefined) return known;
    const all = pairs.flatMap(({ base }) => base.rows);
    const found = all.reduce((sum, row) => sum + (row.get(latent) ?? 0), 0) / all.length;
    means.set(latent, found);
    return found;
  };
  return (latent, p) => {
    const there = ablate === 'mean' ? mean(latent) : (source?.rows[p]?.get(latent) ?? 0);
    return there - (own[p]?.get(latent) ?? 0);
  };
}

/** By position: what one unit of a latent's activation is worth where the dictionary writes, but for its decoder row. */
function undoOf(dictionary: AnyDictionary, { taps }: Ran): number[] {
  const { hookIn, dIn } = dictionary.spec;
  const x = taps[hookIn]?.data ?? new Float32Array(0);
  return Array.from({ length: x.length / dIn }, (_, p) => {
    if (isNeurons(dictionary)) return 1;
    const { contract } = dictionary.spec;
    return isTranscoder(dictionary.spec) ? 1 / contract.scale : outerOf(contract, x, p * dIn, dIn);
  });
}

/** Each latent's row of W_dec as the hook's numbers stand, its gain divided out; none of neurons. */
async function decoderRows({ model, turn }: Hands, d: AnyDictionary, latents: readonly number[]): Promise<Map<number, Float32Array>> {
  if (isNeurons(d)) return new Map();
  const rows = await turn(() =>
    readMatrixRows(
      model,
      latents.map((row) => ({ matrix: d.decoder, row })),
    ),
  );
  return new Map(
    latents.map((latent, i) => {
      const gain = d.spec.contract.rescaleByDecoderNorm ? (d.decoderNorms[latent] ?? 1) || 1 : 1;
      return [latent, Float32Array.from({ length: d.spec.dOut }, (_, j) => (rows[i]?.[wordOf(d.output, j)] ?? 0) / gain)];
    }),
  );
}

const along = (row: Float32Array, gradient: Tensor | undefined, at: number): number => {
  let sum = 0;
  for (let i = 0; i < row.length; i++) sum += (row[i] ?? 0) * (gradient?.data[at + i] ?? 0);
  return sum;
};

/** The hook's values with all latents where they are to be. */
function moved(
  values: Tensor | undefined,
  latents: readonly number[],
  by: (latent: number, position: number) => number,
  undo: readonly number[],
  decoder: ReadonlyMap<number, Float32Array>,
): Tensor {
  if (!values) throw new LabError('internal', 'A dictionary’s hook was not read.', 'Please report this.');
  const data = Float64Array.from(values.data);
  const width = data.length / undo.length;
  for (const latent of latents) {
    const row = decoder.get(latent);
    undo.forEach((undo, p) => {
      const c = by(latent, p) * undo;
      if (c === 0) return;
      if (row) row.forEach((d, i) => (data[p * width + i] = (data[p * width + i] ?? 0) + c * d));
      else data[p * width + latent] = (data[p * width + latent] ?? 0) + c;
    });
  }
  return { shape: [...values.shape], data: Float32Array.from(data) };
}
