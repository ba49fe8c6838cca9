/**
 * A transformer as data: everything the forward pass needs to know, and nothing about where it came from. A family
 * (families/*.ts) turns a config.json into one of these; the forward pass, the hooks and the planner read only this.
 */

export type Activation = 'gelu_new' | 'gelu' | 'silu' | 'relu';

export interface ModelSpec {
  family: string;
  layers: number;
  dModel: number;
  heads: number;
  kvHeads: number;
  dHead: number;
  dMlp: number;
  vocab: number;
  /** Longest sequence the positions allow. */
  context: number;
  positions: { kind: 'learned' } | { kind: 'rotary'; dims: number; base: number };
  norm: { kind: 'layer' | 'rms'; eps: number };
  attention: { scale: number; divideByLayer: boolean };
  mlp: { gated: boolean; act: Activation };
  bias: { qkv: boolean; out: boolean; mlpIn: boolean; mlpOut: boolean; unembed: boolean };
  tied: boolean;
}

/** What multiplies q·k at a layer: 1/√d_head, and GPT-2's optional 1/(layer+1). */
export function attentionScale(spec: ModelSpec, layer: number): number {
  return spec.attention.divideByLayer ? spec.attention.scale / (layer + 1) : spec.attention.scale;
}
