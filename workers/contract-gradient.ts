/** The engine's gradients, as the page's client asks for them. Types only. */
import type { Hook, Tensor } from './api';
import type { EngineRun } from './contract';
import type { ResolvedMetric } from './model/causal/metric';

export interface EngineGradient extends Pick<EngineRun, 'ids' | 'promptLength' | 'edits'> {
  metric: ResolvedMetric;
}

export interface GradientApi {
  /** Of each run: ∂ metric / ∂ activation at each hook, after its edits, in the hook's shape. kl: KL(unedited ‖ this run). All runs are one batch. */
  gradient(requests: readonly EngineGradient[], at: readonly Hook[], job: string): Promise<Record<Hook, Tensor>[]>;
}
