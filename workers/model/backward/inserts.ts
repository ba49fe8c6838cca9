/**
 * Dictionaries in a backward pass. Their part is a dictionary's own (dictionary/backward.ts, brought by whoever holds them); what is here is what it needs of the forward
 * run: the values that each of their operations read, kept as they were at that place in the hook's list of edits.
 */
import { LabError } from '../../errors';
import type { Op } from '../../gpu/commands';
import type { CompiledEdits } from '../edits';
import { findHook, geometryOf } from '../hooks';
import type { Insert, Inserts, Planner } from '../plan';

export interface BackInserts {
  /** In the place of a hook's site, in the order in which gradients meet them; `reads` before anybody sees the hook's gradient. */
  inserts: ReadonlyMap<string, Inserts>;
  setup: readonly Op[];
  /** Complete once the plan is made. */
  needs: ReadonlyMap<string, number>;
  /** By hook: of the forward run's operations there, which read values that must be kept. */
  steps: ReadonlyMap<string, ReadonlySet<number>>;
  /** Hooks whose values after their edits are read. */
  reads: ReadonlySet<string>;
}

/** `segments` and `sites` of the gradient's edits; buffers of kept values by their places. */
export type ComposeBack = (call: {
  segments: CompiledEdits['segments'];
  sites: CompiledEdits['sites'];
  kept: { hook(hook: string): string; step(hook: string, index: number): string };
}) => BackInserts;

export const keptBuffer = (hook: string): string => `kept.${hook}`;
/** What the forward run's operation number `index` at a hook read. */
const stepBuffer = (hook: string, index: number): string => `kept.step.${index}.${hook}`;

const NONE: BackInserts = { inserts: new Map(), setup: [], needs: new Map(), steps: new Map(), reads: new Set() };

export function backInserts({ segments, sites }: Pick<CompiledEdits, 'segments' | 'sites'>, compose: ComposeBack | undefined): BackInserts {
  if (segments.size === 0) return NONE;
  if (!compose) throw new LabError('internal', 'No dictionaries are at hand.', 'Please report this.');
  return compose({ segments, sites, kept: { hook: keptBuffer, step: stepBuffer } });
}

/** The forward run's inserts, each copying first what the backward pass will need of what it reads. */
export function keeping(
  planner: Planner,
  inserts: ReadonlyMap<string, Inserts>,
  { steps }: Pick<BackInserts, 'steps'>,
  call: { rows: number; keys: number },
): { inserts: ReadonlyMap<string, Inserts>; words: Record<string, number> } {
  const words: Record<string, number> = {};
  const kept = new Map(inserts);
  for (const [hook, wanted] of steps) {
    const found = inserts.get(hook);
    if (!found) continue;
    const size = call.rows * geometryOf(findHook(planner.hooks, hook), call.keys).rowStride;
    let index = 0;
    const wrapped = found.steps.map((step) => {
      if (typeof step !== 'function') return step;
      const own = index++;
      if (!wanted.has(own)) return step;
      const to = stepBuffer(hook, own);
      words[to] = size;
      return (here: Parameters<Insert>[0]): Op[] => [
        { op: 'copy', from: here.buffer, fromOffset: 0, to, toOffset: 0, bytes: 4 * size, hook },
        ...step(here),
      ];
    });
    kept.set(hook, { ...found, steps: wrapped });
  }
  return { inserts: kept, words };
}
