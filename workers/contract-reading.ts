/** What the engine is asked about heads, weights and lenses, in token ids: a part of EngineApi (contract.ts). The experiments say what each is. */
import type { Attribution, Composition, HeadScores } from './api-causal';
import type { EngineEdit } from './contract';

export interface EngineAttribute {
  ids: number[];
  edits: EngineEdit[];
  /** From 0. */
  position: number;
  correct: number;
  wrong?: number;
  by: 'layer' | 'head' | 'latent';
  dictionary?: string;
  top: number;
}

export interface EngineHeadScores {
  length: number;
  repeats: number;
  seed: number;
  /** Before every sequence, where the family wants one. */
  bos?: number;
  /** Never drawn. */
  special: readonly number[];
  edits: EngineEdit[];
}

export interface EngineHeadCircuitCall {
  layer: number;
  head: number;
  circuit: 'ov' | 'qk';
  top: number;
}
/** As HeadCircuit without pieces. */
export interface EngineHeadCircuit {
  singular: number[];
  directions: { value: number; reads: EngineWeight[]; writes: EngineWeight[] }[];
  copying?: number;
}
export interface EngineWeight {
  id: number;
  weight: number;
}

export interface ReadingApi {
  attribute(request: EngineAttribute): Promise<Attribution>;
  headScores(request: EngineHeadScores, job: string, progress?: (done: number, of: number) => void): Promise<HeadScores>;
  headCircuit(request: EngineHeadCircuitCall): Promise<EngineHeadCircuit>;
  composition(job: string, progress?: (done: number, of: number) => void): Promise<Composition>;
}
