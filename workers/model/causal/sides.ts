/** A pair as two runs: tokens and the edits in force in each. Of causal tracing, the clean run and each draw of noise. */
import type { EngineEdit } from '../../contract';
import type { EngineSweep } from '../../contract-sweep';

/** One run of a pair. */
export interface Side {
  ids: readonly number[];
  edits: readonly EngineEdit[];
}
export type Which = 'clean' | 'corrupted';
export interface Sides extends Record<Which, Side> {
  /** The metric's tokens for this pair, where they are its own. */
  tokens?: readonly number[];
}

/** Every pair's two runs; of noise (a list of edits a draw), the clean one and each draw. */
export function sidesOf({ pairs, edits }: Pick<EngineSweep, 'pairs' | 'edits'>, noise: readonly (readonly EngineEdit[])[]): Sides[] {
  return pairs.flatMap(({ clean, corrupted, tokens }): Sides[] => {
    const own = tokens ? { tokens } : {};
    if (noise.length === 0) return [{ clean: { ids: clean, edits }, corrupted: { ids: corrupted, edits }, ...own }];
    return noise.map((draw) => ({ clean: { ids: clean, edits }, corrupted: { ids: clean, edits: [...edits, ...draw] }, ...own }));
  });
}
