/** The engine's gradients, as the page's client asks for them: at hooks, and as estimates of patching grids. Types only. */
import type { Grid, Hook, Planned, SweepPlan, SweepRequest, Tensor } from './api';
import type { EngineRun } from './contract';
import type { EngineMetric, EngineSweep } from './contract-sweep';

export interface EngineGradient extends Pick<EngineRun, 'ids' | 'promptLength' | 'edits'> {
  metric: EngineMetric;
}

/** A patching grid estimated from gradients; what its cells are is said by model/causal/grid.ts, what fills them by experiments/attribution. */
export interface EngineAttribution extends Omit<EngineSweep, 'skip'> {
  method: Exclude<NonNullable<SweepRequest['method']>, 'exact'>;
  /** Gradients that `integrated` averages. */
  steps: number;
}

export interface GradientApi {
  /** Of each run: ∂ metric / ∂ activation at each hook, after its edits, in the hook's shape. kl: KL(unedited ‖ this run). All runs are one batch. */
  gradient(requests: readonly EngineGradient[], at: readonly Hook[], job: string): Promise<Record<Hook, Tensor>[]>;
  attribution(request: EngineAttribution, job: string, progress?: (done: number, of: number) => void): Promise<Grid>;
  planAttribution(request: EngineAttribution): Promise<SweepPlan>;
  /** The first pair's operations; nothing is run. */
  explainAttribution(request: EngineAttribution): Promise<Planned[]>;
}
