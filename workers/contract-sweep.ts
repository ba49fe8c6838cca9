/** Exact patching as the engine takes it: prompts and tokens are ids, edits are numbers, every default is filled in. Part of contract.ts's EngineApi. */
import type { Grid, Hook, PatchSetResult, Planned, Receiver, SweepPlan, SweepRequest } from './api';
import type { EngineEdit } from './contract';
import type { Over } from './model/causal/grid';

/** Its position may be negative still: lengths are the engine's to know. */
export interface EngineMetric {
  kind: SweepRequest['metric']['kind'];
  position: number;
  tokens: readonly number[];
}
export interface EnginePair {
  clean: number[];
  corrupted: number[];
  /** The metric's tokens for this pair, where they are its own. */
  tokens?: readonly number[];
}
export interface EngineNoise {
  positions: readonly number[];
  scale: number;
  seed: number;
  draws: number;
}

/** What every kind of patch has. */
export interface EngineCausal {
  /** The request's own pair first. With noise, `corrupted` is not read. */
  pairs: readonly EnginePair[];
  metric: EngineMetric;
  edits: EngineEdit[];
  direction: SweepRequest['direction'];
  ablate?: NonNullable<SweepRequest['ablate']>;
}
export interface EngineSweep extends EngineCausal {
  over: Over | { dictionary: string };
  grid: SweepRequest['grid'];
  skip: boolean;
  latents?: readonly number[];
  noise?: EngineNoise;
}
export interface EnginePart {
  at: Hook;
  positions?: readonly number[];
  head?: number;
  dictionary?: string;
  latent?: number;
}
export interface EnginePatchSet extends EngineCausal {
  parts: readonly EnginePart[];
}
export interface EnginePath extends EngineCausal {
  receivers: readonly Receiver[];
  positions?: readonly number[];
  throughMlps: boolean;
}

type OnDone = (done: number, of: number) => void;

export interface SweepApi {
  /** Done in short turns; cancelled, what was computed is kept until the model changes, and the same request goes on from there. */
  sweep(request: EngineSweep, job: string, progress?: OnDone): Promise<Grid>;
  planSweep(request: EngineSweep): Promise<SweepPlan>;
  /** The first chunk's operations. */
  explainSweep(request: EngineSweep): Promise<Planned[]>;
  patchSet(request: EnginePatchSet, job: string): Promise<PatchSetResult>;
  pathPatch(request: EnginePath, job: string, progress?: OnDone): Promise<Grid>;
}
