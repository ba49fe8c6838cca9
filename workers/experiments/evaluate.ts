/**
 * A dictionary on texts, one pass over each: what it makes of every position, and what the model makes of the text with the reconstruction, or zeros, in
 * the place of what is reconstructed (dictionary/scores.ts has the formulas). Special tokens are left out of every score, one massive row being most of
 * every sum; and as in SAELens they keep what stands there while the rest is spliced, and are zeros with the rest.
 */
import type { EngineEdit } from '../contract';
import { roomOf } from '../dictionary/load';
import type { AnyDictionary } from '../dictionary/neurons';
import { Scores } from '../dictionary/scores';
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

export interface Evaluation {
  scores: Record<string, number>;
  /** Of each latent: the share of positions where it is active. */
  density: Float64Array;
}

export async function evaluate(
  model: Runtime,
  dictionary: AnyDictionary,
  { texts, special }: EvaluateCall,
  progress?: (done: number, of: number) => void,
  stop?: () => void,
): Promise<Evaluation> {
  const scores = new Scores(dictionary.spec);
  const left = new Set(special);
  for (const [i, ids] of texts.entries()) {
    stop?.();
    const kept = ids.flatMap((token, r) => (left.has(token) ? [] : [r]));
    if (kept.length > 0) await add(model, dictionary, ids, kept, scores);
    progress?.(i + 1, texts.length);
  }
  if (scores.empty)
    throw new LabError('prompt-empty', 'There was nothing to evaluate on.', 'Give texts of at least two tokens beside the BOS.');
  return { scores: scores.scores(), density: scores.density() };
}

/** `kept`: the positions that count. */
async function add(
  model: Runtime,
  dictionary: AnyDictionary,
  ids: readonly number[],
  kept: readonly number[],
  scores: Scores,
): Promise<void> {
  const { spec, id } = dictionary;
  const room = roomOf(dictionary);
  const last = `blocks.${model.spec.layers - 1}.hook_resid_post`;
  const edit = { at: spec.hookOut, skipSpecial: false, strength: 1, enabled: true } as const;
  const splice: EngineEdit = { ...edit, kind: 'splice', dictionary: id, keepError: false, where: [...kept] };
  const zero: EngineEdit = { ...edit, kind: 'replace', value: 'zero', where: 'all' };
  const text = { ids, promptLength: ids.length, logits: [] };
  // The clean run alone is measured: each of a batch's rows would be.
  const [clean] = await runBatch(
    model,
    [{ ...text, edits: [], taps: [...new Set([last, spec.hookOut])] }],
    [{ dictionary: id, room, width: dictionary.output.words, y: false }],
  );
  const edited = await runBatch(
    model,
    [splice, zero].map((each) => ({ ...text, edits: [each], taps: [last] })),
  );
  const measured = clean?.measured[0];
  const target = clean?.taps[spec.hookOut]?.data ?? new Float32Array(0);
  if (measured)
    for (const r of kept) {
      const start = r * listWords(room);
      scores.see({
        ...readList(measured.lists, start),
        active: measured.lists[start] ?? 0,
        errorNorm: measured.errors[2 * r] ?? NaN,
        norm: measured.errors[2 * r + 1] ?? NaN,
        target: target.subarray(r * spec.dOut, (r + 1) * spec.dOut),
      });
    }
  const sets = [clean, ...edited].map((each) => ({ hook: last, rows: each?.taps[last]?.data ?? new Float32Array(0) }));
  const [cleanRows = [], spliced = [], zeroed = []] = await readRows(model, { sets, reference: 0, top: 0, targets: ids.slice(1) });
  for (const r of kept) {
    scores.diverge({ spliced: spliced[r]?.kl ?? NaN, zero: zeroed[r]?.kl ?? NaN });
    if (r === ids.length - 1) continue;
    const of = (rows: typeof spliced): number => rows[r]?.targetLogProb ?? NaN;
    scores.predict({ clean: of(cleanRows), spliced: of(spliced), zero: of(zeroed) });
  }
}
