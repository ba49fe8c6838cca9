/** What is asked of an estimate: a sweep's request, each pair's two runs with the edits in force in each; of causal tracing, a pair for each draw. */
import type { EngineEdit } from '../../contract';
import type { EngineAttribution } from '../../contract-gradient';
import type { GradientHands } from '../../model/backward/gradient';
import { sidesOf, type Sides } from '../../model/causal/sides';
import type { Runtime } from '../../model/runtime';

export interface Estimate extends Omit<EngineAttribution, 'pairs' | 'edits' | 'noise'> {
  pairs: readonly Sides[];
}

export const estimateOf = (
  { pairs, edits, noise: _, ...rest }: EngineAttribution,
  draws: readonly (readonly EngineEdit[])[],
): Estimate => ({
  ...rest,
  pairs: sidesOf({ pairs, edits }, draws),
});

/** What every estimate is computed with. */
export interface Hands {
  model: Runtime;
  hands?: GradientHands;
  /** Whatever runs on the GPU waits for its turn. */
  turn<T>(work: () => Promise<T>): Promise<T>;
  progress?: ((done: number, of: number) => void) | undefined;
  stop?: (() => void) | undefined;
}

/** The run that is patched, and the one that is taken from. */
export const sidesFor = ({ direction }: Pick<Estimate, 'direction'>, pair: Sides): { base: Sides['clean']; other: Sides['clean'] } =>
  direction === 'denoise' ? { base: pair.corrupted, other: pair.clean } : { base: pair.clean, other: pair.corrupted };
