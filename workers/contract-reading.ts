/** What the engine is asked about heads, weights and lenses, in token ids: a part of EngineApi (contract.ts). The experiments say what each is. */
import type { Attribution, Composition, HeadScores, LensInfo } from './api-causal';
import type { EngineEdit, StoredFile, StoredTensor } from './contract';

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

/**
 * Everything the shelf keeps of a lens. Its one file has, for each hook that it reads, f32 tensors `<hook>.weight` [d_model, d_model] and `<hook>.bias` [d_model]:
 * tuned lenses add weight·h + bias to h, jacobian ones put weight·h + bias in its place.
 */
export interface LensRecord extends LensInfo {
  hooks: string[];
  stored: 'opfs' | 'memory';
  files: StoredFile[];
  tensors: StoredTensor[];
  addedAt: number;
}
/** A lens before it is kept. */
export type LensDraft = Pick<LensRecord, 'name' | 'kind' | 'model' | 'layers' | 'dModel' | 'hooks' | 'trained'>;
/** The numbers of one hook's map. */
export interface LensMap {
  weight: Float32Array;
  bias: Float32Array;
}

export interface EngineTrainLens {
  /** At least three; a tenth of them, or one, is kept apart to be measured on. */
  sequences: number[][];
  /** Tokens that are read and left out of everything. */
  special: readonly number[];
  seed: number;
  /** Down KL, a layer, from where regression ends. */
  steps: number;
}
export interface EngineTrainedLens {
  hooks: string[];
  maps: LensMap[];
  trained: NonNullable<LensInfo['trained']>;
}

export interface ReadingApi {
  attribute(request: EngineAttribute): Promise<Attribution>;
  headScores(request: EngineHeadScores, job: string, progress?: (done: number, of: number) => void): Promise<HeadScores>;
  headCircuit(request: EngineHeadCircuitCall): Promise<EngineHeadCircuit>;
  trainLens(request: EngineTrainLens, job: string, progress?: (done: number, of: number) => void): Promise<EngineTrainedLens>;
  composition(job: string, progress?: (done: number, of: number) => void): Promise<Composition>;
}

/** The shelf's part of it, of FilesApi. */
export interface LensFilesApi {
  lenses(): Promise<LensInfo[]>;
  lens(id: string): Promise<LensRecord>;
  /** One map a hook of the draft. */
  keepLens(draft: LensDraft, maps: readonly LensMap[]): Promise<LensInfo>;
}
