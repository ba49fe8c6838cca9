/** The engine's gradients, as the page's client asks for them: at hooks, and as estimates of patching grids. Types only. */
import type { Grid, Hook, SweepRequest, Tensor } from './api';
import type { EngineEdit, EngineRun } from './contract';
import type { Over } from './model/causal/grid';
import type { ResolvedMetric } from './model/causal/metric';

export interface EngineGradient extends Pick<EngineRun, 'ids' | 'promptLength' | 'edits'> {
  metric: ResolvedMetric;
}

/** One run of a pair: its tokens, and the edits in force. */
export interface EngineSide {
  ids: readonly number[];
  edits: readonly EngineEdit[];
}
/** A patching grid estimated from gradients; what its cells are is said by model/causal/grid.ts, what fills them by experiments/attribution. */
export interface EngineAttribution {
  pairs: readonly { clean: EngineSide; corrupted: EngineSide }[];
  metric: ResolvedMetric;
  direction: SweepRequest['direction'];
  ablate?: NonNullable<SweepRequest['ablate']>;
  over: Over | { dictionary: string };
  grid: SweepRequest['grid'];
  method: Exclude<NonNullable<SweepRequest['method']>, 'exact'>;
  /** Gradients that `integrated` averages. */
  steps: number;
  latents?: readonly number[];
}

export interface GradientApi {
  /** Of each run: ∂ metric / ∂ activation at each hook, after its edits, in the hook's shape. kl: KL(unedited ‖ this run). All runs are one batch. */
  gradient(requests: readonly EngineGradient[], at: readonly Hook[], job: string): Promise<Record<Hook, Tensor>[]>;
  attribution(request: EngineAttribution, job: string, progress?: (done: number, of: number) => void): Promise<Grid>;
}
