/** What the engine is asked about heads, weights and lenses, in token ids: a part of EngineApi (contract.ts). The experiments say what each is. */
import type { Attribution } from './api-causal';
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

export interface ReadingApi {
  attribute(request: EngineAttribute): Promise<Attribution>;
}
