/**
 * Which kernel of each kind runs on this device: a first guess, then a measurement on the model's own weights, taken once
 * while nothing else runs and kept per adapter for the next model that is loaded (never in the middle of a session: the
 * candidates agree only to rounding). Pinned by ?variants=matvec:workgroup,…
 */
import { LabError } from '../errors';
import { Program, type Op } from '../gpu/commands';
import type { Gpu } from '../gpu/device';
import type { Variants } from '../kernels/linear';
import { unembed } from './head';
import { plan } from './plan';
import { NOBODY, rowWords } from './rows';
import { runBatch } from './run';
import type { Runtime } from './runtime';
import { allocate } from './scratch';

export const CANDIDATES: { [K in keyof Variants]: readonly Variants[K][] } = {
  matvec: ['register', 'workgroup', 'subgroup'],
  matmul: ['register', 'tiled'],
  attention: ['serial', 'workgroup'],
};

export const isSoftware = (gpu: Gpu): boolean =>
  gpu.adapter.info.architecture === 'swiftshader' || gpu.adapter.info.isFallbackAdapter === true;

/** Before anything was measured: what suits a GPU, or a software renderer, where barriers are dear. */
export function firstGuess(gpu: Gpu): Variants {
  if (isSoftware(gpu)) return PLAIN;
  return { matvec: gpu.device.features.has('subgroups') ? 'subgroup' : 'workgroup', matmul: 'tiled', attention: 'workgroup' };
}

/** What a choice depends on: the adapter, the features in use, and the set of candidates itself. */
export function tuningKey(gpu: Gpu): string {
  const { vendor, architecture, device, description } = gpu.adapter.info;
  return JSON.stringify([vendor, architecture, device, description, [...gpu.device.features].sort(), CANDIDATES]);
}

/** A kept choice, where it is still one. */
export function asVariants(kept: unknown): Variants | undefined {
  if (typeof kept !== 'object' || kept === null) return undefined;
  const found = kept as Record<string, unknown>;
  const good = Object.entries(CANDIDATES).every(([kind, names]) => (names as readonly unknown[]).includes(found[kind]));
  return good ? (found as unknown as Variants) : undefined;
}

/** “matvec:register,attention:serial” → those kinds pinned. */
export function parsePins(text: string | undefined): Partial<Variants> {
  const pins: Record<string, string> = {};
  for (const part of (text ?? '').split(',').filter(Boolean)) {
    const [kind = '', name = ''] = part.split(':');
    const known: readonly string[] | undefined = kind in CANDIDATES ? CANDIDATES[kind as keyof Variants] : undefined;
    if (!known?.includes(name))
      throw new LabError(
        'option-unsupported',
        `?variants= names “${part}”, which is no kernel variant.`,
        `Known: ${Object.entries(CANDIDATES)
          .map(([key, names]) => `${key}:${names.join('|')}`)
          .join(', ')}.`,
      );
    pins[kind] = name;
  }
  return pins;
}

/** A rival must be faster by this much to displace the first guess: short races on a busy machine are decided by noise. */
const CLEARLY = 0.85;

/** Milliseconds of each candidate on decoded tokens and on a read stretch; the guess stays unless another is clearly faster. */
export async function measure(
  model: Runtime,
  pins: Partial<Variants>,
  rounds = 3,
): Promise<{ chosen: Variants; milliseconds: Record<string, number> }> {
  const { gpu } = model;
  const chosen: Variants = { ...firstGuess(gpu), ...pins };
  const milliseconds: Record<string, number> = {};
  const contest = async <K extends keyof Variants>(kind: K, rows: readonly number[]): Promise<void> => {
    if (pins[kind] !== undefined) return;
    const guess = chosen[kind];
    const race = async (name: Variants[K], best: number): Promise<number> => {
      let time = 0;
      for (const some of rows) time += await timeOf(model, { ...chosen, [kind]: name }, some, rounds, best);
      return (milliseconds[`${kind}:${name}`] = time);
    };
    let bar = CLEARLY * (await race(guess, Infinity));
    for (const name of CANDIDATES[kind]) {
      if (name === guess || (name === 'subgroup' && !gpu.device.features.has('subgroups'))) continue;
      const time = await race(name, bar);
      if (time >= bar) continue;
      bar = time;
      chosen[kind] = name;
    }
  };
  await contest('matvec', [1]);
  // One kernel for both: a decoded token, and a stretch.
  await contest('attention', [1, 64]);
  await contest('matmul', [64]);
  return { chosen, milliseconds };
}

/** The plainest kernels: no barriers, no shared memory, no subgroups. */
export const PLAIN: Variants = { matvec: 'register', matmul: 'register', attention: 'serial' };

/**
 * The worst disagreement, per row of logits and of its scale, between the kernels in use and the plain ones on this device,
 * for one row (decoding) and for several (reading). Drivers have been wrong silently; this is how it is noticed.
 */
export async function selfTest(model: Runtime): Promise<number> {
  const { planner, spec } = model;
  const chosen = planner.variants;
  const ids = Array.from({ length: Math.min(model.context, 9) }, (_, i) => (i * 7919 + 1) % spec.vocab);
  const logits = async (variants: Variants, some: readonly number[]): Promise<Float32Array> => {
    planner.variants = variants;
    const [result] = await runBatch(model, [{ ids: some, promptLength: some.length, edits: [], taps: [], logits: [some.length - 1] }]);
    return result?.logits ?? new Float32Array(0);
  };
  try {
    let worst = 0;
    for (const some of [ids.slice(0, 1), ids]) {
      const right = await logits(PLAIN, some);
      const found = await logits(chosen, some);
      const scale = right.reduce((most, each) => Math.max(most, Math.abs(each)), 1e-30);
      // A NaN is as wrong as can be, and Math.max would swallow none of it.
      right.forEach((each, i) => {
        const error = Math.abs(each - (found[i] ?? NaN)) / scale;
        worst = Number.isFinite(error) ? Math.max(worst, error) : Infinity;
      });
    }
    return worst;
  } finally {
    planner.variants = chosen;
  }
}

/** The best of a few rounds over the first block and the unembedding; gives up early where the first is hopeless. */
async function timeOf(model: Runtime, variants: Variants, rows: number, rounds: number, best: number): Promise<number> {
  const { gpu, spec, scratch: pool } = model;
  const planner = { ...model.planner, variants, spec: { ...spec, layers: 1 } };
  const cap = Math.max(rows, Math.min(model.context, 64));
  const cache = { slots: 1, cap, kept: false };
  const count = Math.min(rows, model.context);
  const first = rows === 1 ? cap - 1 : 0;
  const { ops, stream } = plan(planner, { rows: count, cache, keys: cap, sites: new Map(), taps: [] });
  const all: Op[] = [...ops, ...(rows === 1 ? unembed(planner, { x: stream.buffer, row0: 0, rows: 1, normed: false }) : [])];
  allocate(planner, { rows: count, keys: cap, cache, logits: 1, results: 0 }, all, pool);
  const table = Array.from({ length: count }, (_, i) => ({
    token: 0,
    position: first + i,
    slot: 0,
    prefixSlot: 0,
    prefixLength: 0,
    sequence: 0,
    follow: NOBODY,
  }));
  const words = rowWords(table);
  gpu.write(pool.need('rows', words.byteLength), 0, words);
  const program = await Program.prepare(gpu, all, pool);
  try {
    let time = Infinity;
    for (let round = 0; round <= rounds; round++) {
      await gpu.device.queue.onSubmittedWorkDone();
      const start = performance.now();
      program.run();
      await gpu.device.queue.onSubmittedWorkDone();
      // The first round warms up; but one that is already far behind need not be repeated.
      const took = performance.now() - start;
      if (round > 0 || took > 4 * best) time = Math.min(time, took);
      if (took > 4 * best) break;
    }
    await gpu.check();
    return time;
  } finally {
    program.free();
  }
}
