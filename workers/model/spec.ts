/**
 * A transformer as data: everything the forward pass needs to know, and nothing about where it came from. A family
 * (families/*.ts) turns a config.json into one of these; the forward pass, the hooks and the planner read only this.
 */

export type Activation = 'gelu_new' | 'gelu' | 'silu' | 'relu';

/** How fast each rotated pair turns: radians a position, and what cos and sin are multiplied by (1 but for LongRoPE). */
export interface Rotary {
  frequencies: readonly number[];
  scale: number;
}

export interface ModelSpec {
  family: string;
  layers: number;
  dModel: number;
  heads: number;
  kvHeads: number;
  dHead: number;
  /** 0 in attention-only models. */
  dMlp: number;
  vocab: number;
  /** Tokens that the head can name: all of them, but for toys whose “=” is never an answer. */
  vocabOut: number;
  /** Longest sequence the positions allow. */
  context: number;
  /** What a token's embedding is multiplied by on its way into the stream (Gemma: √d_model). */
  embedScale: number;
  /** Rotary: the first `dims` of a head are turned, in half-split pairs, by the layer's table. */
  positions: { kind: 'learned' } | { kind: 'rotary'; dims: number; tables: readonly Rotary[]; tableOf: readonly number[] };
  norm: { kind: 'layer' | 'rms' | 'none'; eps: number };
  block: {
    /** resid_post = x + attn(ln1 x) + mlp(ln2 x): no resid_mid. Else the MLP reads what attention wrote. */
    parallel: boolean;
    /** One norm feeds both branches: ln2 is ln1. */
    sharedNorm: boolean;
    /** Each branch's output is normed once more before it is added (ln1_post, ln2_post). */
    postNorms: boolean;
  };
  attention: {
    scale: number;
    /** GPT-2's option: also divided by layer + 1. */
    divideByLayer: boolean;
    /** cap·tanh(score/cap) before the mask; 0: none. */
    cap: number;
    /** RMSNorm of each head's q and k before they are turned. */
    qkNorm: boolean;
    /** Keys that a layer's query sees, itself included: key > query − window. 0: all before it. */
    windows: readonly number[];
  };
  mlp: { gated: boolean; act: Activation };
  bias: { qkv: boolean; out: boolean; mlpIn: boolean; mlpOut: boolean; unembed: boolean };
  /** cap·tanh(logit/cap); 0: none. */
  logitCap: number;
  tied: boolean;
}

/** What multiplies q·k at a layer: 1/√d_head, and GPT-2's optional 1/(layer+1). */
export function attentionScale(spec: ModelSpec, layer: number): number {
  return spec.attention.divideByLayer ? spec.attention.scale / (layer + 1) : spec.attention.scale;
}

/** Keys that a layer's query sees, itself included; 0: all. */
export const windowOf = (spec: ModelSpec, layer: number): number => spec.attention.windows[layer] ?? 0;

/** The first key that the query at a position sees. */
export const firstKey = (window: number, position: number): number => (window > 0 ? Math.max(0, position + 1 - window) : 0);

/** Dimensions of a head that are turned; 0 where positions are learned. */
export const rotaryDims = (spec: ModelSpec): number => (spec.positions.kind === 'rotary' ? spec.positions.dims : 0);

// What is ordinary, so that a family writes down only where it differs.
/** Attention, then the MLP, each behind a norm of its own. */
export const PLAIN_BLOCK: ModelSpec['block'] = { parallel: false, sharedNorm: false, postNorms: false };
/** Scaled by 1/√d_head; no cap, no norms of q and k, no window. */
export const plainAttention = (layers: number, dHead: number): ModelSpec['attention'] => ({
  scale: 1 / Math.sqrt(dHead),
  divideByLayer: false,
  cap: 0,
  qkNorm: false,
  windows: new Array<number>(layers).fill(0),
});
