/**
 * Latents of a dictionary as cells: each set, at every position, to what it is in the other run, the error kept. A decoder is linear, so what the hook then holds is
 *   x[p] + (a_other[p] − a_base[p])/gain · outer[p] · W_dec[latent]
 * (gain and what undoes the normalisation as in shaders/sae-latents.wgsl), a row that can be made before the run. Of neurons it is the one number of hook_post.
 * A latent that is not listed (dictionary/load.ts: roomOf) counts as 0.
 */
import { outerOf } from '../../dictionary/conventions';
import { roomOf, wordOf, type LoadedDictionary } from '../../dictionary/load';
import { isNeurons, type AnyDictionary } from '../../dictionary/neurons';
import { checkLatent, isTranscoder } from '../../dictionary/spec';
import { LabError } from '../../errors';
import { listWords, readList } from '../../kernels/dictionary';
import type { EngineSweep } from '../../contract-sweep';
import { largest } from '../../model/causal/largest';
import { findHook } from '../../model/hooks';
import type { Measure, Patch } from '../../model/run';
import type { Runtime } from '../../model/runtime';
import { readMatrixRows } from '../../model/weight-words';
import type { Ran } from './runs';
import { hookRows, type HookRows } from './values';

/** Decoder rows read back at once. */
const ROWS = 64;

/** Where a dictionary writes: the layer at which its cells enter. */
export function latentLayer(d: AnyDictionary): number {
  const [, layer] = /^blocks\.(\d+)\./.exec(d.spec.hookOut) ?? [];
  if (layer === undefined)
    throw new LabError('sweep-grid', `Latents at ${d.spec.hookOut} are not swept.`, 'Choose a dictionary that writes inside a layer.');
  return Number(layer);
}

export const latentMeasure = (d: AnyDictionary): Measure => ({ dictionary: d.id, room: roomOf(d), width: 0, y: false, bare: true });

/** Of one run: each latent's values, by position. */
export type Values = (latent: number) => Float64Array;

export function valuesOf(model: Runtime, d: AnyDictionary, ran: Ran, tokens: number): { values: Values; active: Set<number> } {
  const room = roomOf(d);
  const active = new Set<number>();
  const listed = new Map<number, Float64Array>();
  const lists = ran.measured[0]?.lists ?? new Uint32Array(0);
  for (let p = 0; p < tokens; p++)
    for (const [latent, value] of readList(lists, p * listWords(room)).pairs) {
      active.add(latent);
      const row = listed.get(latent) ?? new Float64Array(tokens);
      row[p] = value;
      listed.set(latent, row);
    }
  if (!isNeurons(d)) return { active, values: (latent) => listed.get(latent) ?? new Float64Array(tokens) };
  const { data, width } = hookRows(ran.taps[d.spec.hookOut], findHook(model.planner.hooks, d.spec.hookOut));
  return { active, values: (latent) => Float64Array.from({ length: tokens }, (_, p) => data[p * width + latent] ?? 0) };
}

/** What becomes of each latent in one pair: the values there, those that are put there, and which are active in either. */
export interface Change {
  from: Values;
  to: Values;
  active: ReadonlySet<number>;
}

/** The latents asked for, or those active, by the largest |difference| at a position from what is put there. */
export function chosen(d: AnyDictionary, pairs: readonly Change[], asked: readonly number[] | undefined): number[] {
  if (asked) {
    asked.forEach((latent) => checkLatent(d.spec, latent));
    return [...asked];
  }
  return largest(
    pairs.map(({ from, to, active }) => ({
      active,
      difference: (latent) => {
        const there = to(latent);
        return from(latent).reduce((max, value, p) => Math.max(max, Math.abs(value - (there[p] ?? 0))), 0);
      },
    })),
  );
}

/** Of every pair, in the order of the pairs: what is put there is the other run's, or what `ablate` says. */
export function changesOf(
  pairs: readonly { base: ReturnType<typeof valuesOf>; other: ReturnType<typeof valuesOf>; tokens: number }[],
  ablate: EngineSweep['ablate'],
): Change[] {
  const means = new Map<number, number>();
  const mean = (latent: number): number => {
    const known = means.get(latent);
    if (known !== undefined) return known;
    const all = pairs.flatMap(({ base }) => [...base.values(latent)]);
    const found = all.reduce((sum, value) => sum + value, 0) / all.length;
    means.set(latent, found);
    return found;
  };
  return pairs.map(({ base, other, tokens }, i): Change => {
    const from = base.values;
    if (ablate === 'zero') return { from, to: () => new Float64Array(tokens), active: base.active };
    if (ablate === 'mean') return { from, to: (latent) => new Float64Array(tokens).fill(mean(latent)), active: base.active };
    const source = ablate === 'resample' && pairs.length > 1 ? (pairs[(i + 1) % pairs.length]?.base ?? other) : other;
    return { from, to: source.values, active: new Set([...base.active, ...source.active]) };
  });
}

/** Each latent's row of W_dec as the hook's numbers stand, its gain divided out. Empty for neurons. */
export async function decoderRows(model: Runtime, d: AnyDictionary, latents: readonly number[]): Promise<Map<number, Float32Array>> {
  const out = new Map<number, Float32Array>();
  if (isNeurons(d)) return out;
  for (let at = 0; at < latents.length; at += ROWS) {
    const some = latents.slice(at, at + ROWS);
    const rows = await readMatrixRows(
      model,
      some.map((row) => ({ matrix: d.decoder, row })),
    );
    some.forEach((latent, i) => {
      const norm = d.decoderNorms[latent] ?? 1;
      const gain = d.spec.contract.rescaleByDecoderNorm && norm > 0 ? norm : 1;
      out.set(
        latent,
        Float32Array.from({ length: d.spec.dOut }, (_, j) => (rows[i]?.[wordOf(d.output, j)] ?? 0) / gain),
      );
    });
  }
  return out;
}

const outer = (d: LoadedDictionary, base: HookRows, p: number): number => {
  const words = base.units * base.width;
  // A transcoder writes elsewhere, where its input's mean and spread mean nothing.
  return isTranscoder(d.spec) ? 1 / d.spec.contract.scale : outerOf(d.spec.contract, base.data, p * words, words);
};

/** The rows at the hook with one latent as it is in the other run. */
export function latentPatch(
  d: AnyDictionary,
  latent: number,
  call: { base: HookRows; from: Float64Array; to: Float64Array; decoder: Float32Array | undefined },
): Patch {
  const { base, from, to, decoder } = call;
  const words = base.units * base.width;
  const data = base.data.slice();
  to.forEach((value, p) => {
    if (isNeurons(d)) data[p * words + latent] = value;
    else if (decoder) {
      const change = (value - (from[p] ?? 0)) * outer(d, base, p);
      if (change !== 0) for (let i = 0; i < words; i++) data[p * words + i] = (data[p * words + i] ?? 0) + change * (decoder[i] ?? 0);
    }
  });
  const map = new Map(Array.from(to, (_, p) => [p, p]));
  return { at: d.spec.hookOut, where: 'all', source: { data, width: base.width, rowWords: words, map } };
}
