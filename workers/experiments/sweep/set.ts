/**
 * Any set of components together: one run of the base prompt in which each part's values are the other run's. Latents are set to what they are there by `latent` edits,
 * on whatever the stream holds when their turn comes (an earlier part may have changed it); everything else is put in its place as it is.
 */
import type { PatchSetResult } from '../../api';
import type { EngineEdit } from '../../contract';
import type { EnginePart, EnginePatchSet } from '../../contract-sweep';
import { LabError } from '../../errors';
import { metricOf, metricPosition, normalised } from '../../model/causal/metric';
import { checkPairs } from '../../model/causal/pairs';
import { findHook } from '../../model/hooks';
import { runBatch, type Patch } from '../../model/run';
import type { Runtime } from '../../model/runtime';
import { latentMeasure, valuesOf } from './latents';
import { otherOf, pairOf, referenceOf, runPair, type Ran, type Which } from './runs';
import type { Turn } from './sweep';
import { hookRows, meanRows, type Other } from './values';

export async function patchSet(turn: Turn, request: EnginePatchSet, name: string): Promise<PatchSetResult> {
  const { model } = turn;
  const { parts, metric, edits, direction, ablate } = request;
  const [pair] = request.pairs;
  if (!pair || parts.length === 0) throw new LabError('request-invalid', 'The set has no parts.', 'Name at least one hook.');
  checkPairs([pair], true);
  const tokens = pair.clean.length;
  const base: Which = direction === 'denoise' ? 'corrupted' : 'clean';
  const plain = [...new Set(parts.flatMap(({ at, latent }) => (latent === undefined ? [at] : [])))];
  for (const at of plain) findHook(model.planner.hooks, at);
  const dictionaries = [...new Set(parts.flatMap(({ dictionary }) => dictionary ?? []))].map((id) => turn.dictionary(id));
  const seen = [...new Set([...plain, ...dictionaries.map(({ spec }) => spec.hookOut)])];
  const runs = await runPair(
    model,
    {
      sides: { clean: { ids: pair.clean, edits }, corrupted: { ids: pair.corrupted, edits } },
      base,
      metric,
      taps: { base: seen, other: seen },
      measures: dictionaries.map(latentMeasure),
      as: name,
    },
    { by: turn.by, counted: () => undefined },
  );
  const from = ablate === undefined || ablate === 'resample' ? runs[otherOf(base)] : runs[base];
  const others = new Map(plain.map((at) => [at, otherAt(model, at, from, ablate)]));
  const patches: Patch[] = [];
  const latents: EngineEdit[] = [];
  for (const part of parts) {
    const positions = part.positions?.map((position) => metricPosition(position, tokens, 'A part'));
    if (part.latent === undefined) patches.push(patchFor(part, others.get(part.at), positions ?? range(tokens)));
    else {
      const index = dictionaries.findIndex(({ id }) => id === part.dictionary);
      const d = dictionaries[index];
      if (!d) throw new LabError('request-invalid', `Latent ${part.latent} comes without its dictionary.`, 'Give the part a dictionary.');
      const ran: Ran = { ...from, measured: from.measured.slice(index) };
      const values = valuesOf(model, d, ran, tokens).values(part.latent);
      const mean = values.reduce((sum, value) => sum + value, 0) / tokens;
      for (const position of positions ?? range(tokens)) {
        const value = ablate === 'zero' ? 0 : ablate === 'mean' ? mean : (values[position] ?? 0);
        latents.push({ ...rest(d.spec.hookOut, [position]), kind: 'latent', dictionary: d.id, latent: part.latent, op: 'set', value });
      }
    }
  }
  const side = pair[base];
  const reference = metric.kind === 'kl' ? { reference: { buffer: referenceOf(name) } } : {};
  const position = metricPosition(metric.position, tokens);
  const [result] = await runBatch(
    model,
    [{ ids: side, promptLength: tokens, edits: [...edits, ...latents], patches, taps: [], logits: [], scores: [position] }],
    [],
    { score: { tokens: pairOf(metric.tokens), ...reference }, by: turn.by },
  );
  const [clean, corrupted] = [runs.clean.metric, runs.corrupted.metric];
  const raw = result?.scores[0] ? metricOf(metric.kind, result.scores[0]) : NaN;
  return { value: normalised(metric.kind, raw, clean, corrupted), raw, clean, corrupted };
}

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
const rest = (at: string, where: number[]) => ({ at, where, skipSpecial: false, strength: 1, enabled: true });

function otherAt({ planner }: Runtime, at: string, from: Ran, ablate: EnginePatchSet['ablate']): Other {
  if (ablate === 'zero') return undefined;
  const info = findHook(planner.hooks, at);
  const rows = hookRows(from.taps[at], info);
  if (ablate !== 'mean') return rows;
  if (info.geometry.keys)
    throw new LabError('sweep-grid', 'Patterns of different queries have no common keys to average over.', "Ablate by 'zero'.");
  return meanRows([rows]);
}

function patchFor({ at, head }: EnginePart, other: Other, where: number[]): Patch {
  const common = { at, where, ...(head === undefined ? {} : { head }) };
  if (!other) return common;
  const { data, units, width, count } = other;
  const map = new Map(where.map((position) => [position, count === 1 ? 0 : position]));
  return { ...common, source: { data, width, rowWords: units * width, map, ...(head === undefined ? {} : { from: head * width }) } };
}
