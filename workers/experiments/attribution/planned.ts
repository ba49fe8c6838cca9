/**
 * What an estimate would take, from its prompts' lengths and the model alone: its batches as plans, before anything runs. Edits in force are not planned, nor is what
 * reads weights back (a dictionary's decoder rows, the embedding's deviation).
 */
import type { EngineAttribution } from '../../contract-gradient';
import type { AnyDictionary } from '../../dictionary/neurons';
import type { Op } from '../../gpu/commands';
import { layOut, planPasses } from '../../model/backward/passes';
import { gridOf, latentGrid, type Over } from '../../model/causal/grid';
import { MOST_LATENTS } from '../../model/causal/largest';
import { metricPosition } from '../../model/causal/metric';
import { compileEdits } from '../../model/edits';
import { planBatch, type Measure } from '../../model/run';
import type { Runtime } from '../../model/runtime';
import { scratchBytes } from '../../model/scratch';
import { isCorrected, seenOf } from './attribution';
import { together } from './integrated';
import { measureOf } from './latents';

/** One batch: its programs, and how often it is run for a pair. */
export interface PlannedBatch {
  programs: (readonly Op[])[];
  bytes: number;
  times: number;
}
export interface PlannedEstimate {
  cells: number;
  rowsComputed: number;
  rowsNaive: number;
  /** Of every pair, in order. */
  batches: PlannedBatch[][];
}

/** `dictionary`: what is swept over, where it is one. */
export async function plannedEstimate(
  model: Runtime,
  request: EngineAttribution,
  dictionary: AnyDictionary | undefined,
): Promise<PlannedEstimate> {
  const { spec } = model;
  const { grid, pairs, noise, over } = request;
  const many = noise?.draws ?? 1;
  const known = new Map<number, PairPlan>();
  const out: PlannedEstimate = { cells: 0, rowsComputed: 0, rowsNaive: 0, batches: [] };
  for (const { clean } of pairs) {
    const found = known.get(clean.length) ?? (await pairPlan(model, request, dictionary, clean));
    known.set(clean.length, found);
    const cells =
      dictionary || typeof over === 'object' || grid === 'latent'
        ? latentGrid(0, request.latents ?? Array.from({ length: Math.min(MOST_LATENTS, dictionary?.spec.latents ?? 0) }, (_, i) => i)).size
        : gridOf(spec, over, grid, clean.length).cells.length;
    for (let draw = 0; draw < many; draw++) {
      out.cells += cells;
      out.rowsNaive += cells * spec.layers * clean.length;
      out.rowsComputed += found.rows * spec.layers * clean.length;
      out.batches.push(found.batches);
    }
  }
  return out;
}

interface PairPlan {
  /** Whole forward runs. */
  rows: number;
  batches: PlannedBatch[];
}

async function pairPlan(
  model: Runtime,
  request: EngineAttribution,
  dictionary: AnyDictionary | undefined,
  ids: readonly number[],
): Promise<PairPlan> {
  const { metric, method, steps, ablate, over } = request;
  const position = metricPosition(metric.position, ids.length);
  const batches: PlannedBatch[] = [];
  const run = async (taps: readonly string[], logits: readonly number[], measures: readonly Measure[] = []): Promise<void> => {
    const { ops, shape, rows, needs, readback } = await planBatch(
      model,
      [{ ids, promptLength: ids.length, edits: [], taps, logits }],
      measures,
    );
    const scratch = scratchBytes(model.planner, { rows: rows.length, ...shape }, ops);
    batches.push({ programs: [ops], bytes: sum([...scratch.values(), ...needs.values(), readback.bytes]), times: 1 });
  };
  const integrate = (hook: string): void => {
    const most = together(steps, ids.length);
    for (const [count, times] of [
      [most, Math.floor(steps / most)],
      [steps % most, 1],
    ] as const)
      if (count > 0 && times > 0) batches.push({ ...gradientPlan(model, ids, position, [hook], [], count), times });
  };
  const integrated = method === 'integrated' ? steps : 0;
  if (dictionary) {
    const { hookIn, hookOut } = dictionary.spec;
    const taps = [...new Set([hookIn, hookOut])];
    await run(taps, [position], [measureOf(dictionary)]);
    batches.push(gradientPlan(model, ids, position, [hookOut], taps, 1));
    await run([], [], [measureOf(dictionary)]);
    if (integrated) integrate(hookOut);
    return { rows: 3 + integrated, batches };
  }
  const asked = { method, over: over as Over };
  const { hooks, at, taps } = seenOf(model, asked);
  await run(taps, [position]);
  batches.push(gradientPlan(model, ids, position, at, taps, 1));
  const again = isCorrected(asked) && ablate !== undefined ? 1 : 0;
  if (again) await run(taps, []);
  if (integrated) hooks.forEach(integrate);
  return { rows: 2 + again + integrated * hooks.length, batches };
}

function gradientPlan(
  model: Runtime,
  ids: readonly number[],
  position: number,
  at: readonly string[],
  taps: readonly string[],
  sequences: number,
): PlannedBatch {
  const laid = layOut(Array.from({ length: sequences }, () => ({ ids })));
  const none = compileEdits(model.planner.hooks, [], laid.keys, model.special, model.spec.vocab);
  const wanted = laid.starts.map((start) => start + position);
  const { forward, back, bytes } = planPasses(model, { laid, wanted, edits: none, adjoint: none, at, taps });
  const all = sum([...bytes.values(), forward.readback.bytes, back.readback.bytes]);
  return { programs: [forward.ops, back.ops], bytes: all, times: 1 };
}

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);
