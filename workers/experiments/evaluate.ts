/**
 * How good a dictionary is on texts, as SAELens 6 measures it (sae_lens/evals.py), one pass over the text. BOS is left out of everything: one massive
 * row is most of every sum. Sums in float64; formulas in docs/dictionaries.md.
 *
 *   l0, l1                 active latents a position, and Σ|a|
 *   fvu                    Σ‖y − ŷ‖² / Σ‖y − ȳ‖², ȳ the mean row        (sparsify; SAELens's explained_variance is 1 − fvu)
 *   ce_score               (CE_zero − CE_spliced) / (CE_zero − CE_clean)
 *   kl_score               (KL_zero − KL_spliced) / KL_zero, KL(clean ‖ edited)
 *   dead, dense            shares of latents that were active nowhere, and at more than one position in ten
 * CE in nats a token, over positions whose next token exists. Spliced: the reconstruction in the place of what it reconstructs; zero: zeros there.
 */
import type { EngineEdit } from '../contract';
import { roomOf, type LoadedDictionary } from '../dictionary/load';
import { LabError } from '../errors';
import { listWords, readList } from '../kernels/dictionary';
import { readRows } from '../model/read-rows';
import { runBatch } from '../model/run';
import type { Runtime } from '../model/runtime';

export interface EvaluateCall {
  dictionary: string;
  /** One list of ids a text, each at least two tokens long. */
  texts: readonly (readonly number[])[];
  /** What is left out wherever it stands: BOS and its like. */
  special: readonly number[];
}

/** A latent active at more positions than this share is dense. */
export const DENSE = 0.1;

export interface Evaluation {
  scores: Record<string, number>;
  /** Of each latent: the share of positions where it is active. */
  density: Float64Array;
}

class Sums {
  positions = 0;
  active = 0;
  magnitude = 0;
  error = 0;
  /** Σ‖y‖², and Σy: together the spread about the mean. */
  size = 0;
  readonly mean: Float64Array;
  readonly fired: Float64Array;
  predicted = 0;
  readonly ce = { clean: 0, spliced: 0, zero: 0 };
  readonly kl = { spliced: 0, zero: 0 };
  truncated = 0;
  constructor(latents: number, dOut: number) {
    this.fired = new Float64Array(latents);
    this.mean = new Float64Array(dOut);
  }
}

export async function evaluate(
  model: Runtime,
  dictionary: LoadedDictionary,
  { texts, special }: EvaluateCall,
  progress?: (done: number, of: number) => void,
  stop?: () => void,
): Promise<Evaluation> {
  const { spec } = dictionary;
  const sums = new Sums(spec.latents, spec.dOut);
  const left = new Set(special);
  for (const [i, ids] of texts.entries()) {
    stop?.();
    await add(model, dictionary, ids, left, sums);
    progress?.(i + 1, texts.length);
  }
  if (sums.positions === 0 || sums.predicted === 0)
    throw new LabError('prompt-empty', 'There was nothing to evaluate on.', 'Give texts of at least two tokens beside the BOS.');
  return { scores: scored(sums), density: sums.fired.map((each) => each / sums.positions) };
}

async function add(
  model: Runtime,
  dictionary: LoadedDictionary,
  ids: readonly number[],
  left: ReadonlySet<number>,
  sums: Sums,
): Promise<void> {
  const { spec, id } = dictionary;
  const room = roomOf(dictionary);
  const last = `blocks.${model.spec.layers - 1}.hook_resid_post`;
  const edit = { at: spec.hookOut, where: 'all', skipSpecial: false, strength: 1, enabled: true } as const;
  const edits: EngineEdit[][] = [
    [],
    [{ ...edit, kind: 'splice', dictionary: id, keepError: false }],
    [{ ...edit, kind: 'replace', value: 'zero' }],
  ];
  const taps = (i: number): string[] => [...new Set([last, ...(i === 0 ? [spec.hookOut] : [])])];
  // The clean run alone is measured: each of a batch's rows would be.
  const [clean] = await runBatch(
    model,
    [{ ids, promptLength: ids.length, edits: [], taps: taps(0), logits: [] }],
    [{ dictionary: id, room, width: dictionary.output.words, y: false }],
  );
  const others = await runBatch(
    model,
    edits.slice(1).map((each, i) => ({ ids, promptLength: ids.length, edits: each, taps: taps(i + 1), logits: [] })),
  );
  const measured = clean?.measured[0];
  const target = clean?.taps[spec.hookOut]?.data ?? new Float32Array(0);
  if (measured)
    ids.forEach((token, r) => {
      if (left.has(token)) return;
      const { pairs, truncated } = readList(measured.lists, r * listWords(room));
      sums.positions++;
      sums.truncated += truncated ? 1 : 0;
      sums.active += measured.lists[r * listWords(room)] ?? 0;
      for (const [latent, value] of pairs) {
        sums.magnitude += value;
        sums.fired[latent] = (sums.fired[latent] ?? 0) + 1;
      }
      sums.error += (measured.errors[2 * r] ?? 0) ** 2;
      sums.size += (measured.errors[2 * r + 1] ?? 0) ** 2;
      for (let o = 0; o < spec.dOut; o++) sums.mean[o] = (sums.mean[o] ?? 0) + (target[r * spec.dOut + o] ?? 0);
    });
  const sets = [clean, ...others].map((each) => ({
    hook: last,
    rows: (each?.taps[last]?.data ?? new Float32Array(0)).slice(0, -model.spec.dModel),
  }));
  const read = await readRows(model, { sets, reference: 0, top: 0, targets: ids.slice(1) });
  const [cleanRows = [], spliced = [], zero = []] = read;
  ids.slice(0, -1).forEach((token, r) => {
    if (left.has(token)) return;
    sums.predicted++;
    sums.ce.clean -= cleanRows[r]?.targetLogProb ?? NaN;
    sums.ce.spliced -= spliced[r]?.targetLogProb ?? NaN;
    sums.ce.zero -= zero[r]?.targetLogProb ?? NaN;
    sums.kl.spliced += Math.max(0, spliced[r]?.kl ?? NaN);
    sums.kl.zero += Math.max(0, zero[r]?.kl ?? NaN);
  });
}

function scored(sums: Sums): Record<string, number> {
  const { positions, predicted, ce, kl } = sums;
  const spread = sums.size - sums.mean.reduce((sum, each) => sum + (each * each) / positions, 0);
  const share = (holds: (density: number) => boolean): number =>
    sums.fired.reduce((count, each) => count + (holds(each / positions) ? 1 : 0), 0) / sums.fired.length;
  return {
    positions,
    l0: sums.active / positions,
    l1: sums.magnitude / positions,
    fvu: sums.error / spread,
    mse: sums.error / positions,
    ce_clean: ce.clean / predicted,
    ce_spliced: ce.spliced / predicted,
    ce_zero: ce.zero / predicted,
    ce_score: (ce.zero - ce.spliced) / (ce.zero - ce.clean),
    kl_spliced: kl.spliced / predicted,
    kl_zero: kl.zero / predicted,
    kl_score: (kl.zero - kl.spliced) / kl.zero,
    dead: share((density) => density === 0),
    dense: share((density) => density > DENSE),
    truncated: sums.truncated,
  };
}
