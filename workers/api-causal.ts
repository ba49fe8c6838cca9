/**
 * The causal bench's part of the scripting door: metrics, sweeps, gradients, what is read off heads, weights and lenses. Types alone; api.ts joins them to the
 * rest. What goes beyond the contract's own words is marked as an extension.
 */
import type { Edit, Hook, Prompt, Tensor } from './api';

export type Metric = { position?: number } & ( // position −1 unless given
  | { kind: 'logit-diff'; correct: string | number; wrong: string | number }
  | { kind: 'log-prob' | 'probability'; token: string | number }
  | { kind: 'kl' }
); // KL(clean ‖ patched); in gradient(), against the unedited run
export interface SweepRequest {
  clean: Prompt;
  corrupted: Prompt;
  pairs?: readonly { clean: Prompt; corrupted: Prompt; metric?: Metric }[]; // metric, an extension: of the same kind and position, its tokens are this pair's own answers
  bos?: boolean;
  metric: Metric;
  edits?: Edit[];
  direction: 'denoise' | 'noise'; // denoise: clean activations into the corrupted run
  ablate?: 'zero' | 'mean' | 'resample'; // instead of the pair's other side
  over: 'resid_pre' | 'resid_mid' | 'attn_out' | 'mlp_out' | 'z' | 'q' | 'k' | 'v' | 'pattern' | { dictionary: string };
  grid: 'layer-position' | 'layer-head' | 'layer-position-head' | 'head-dest-src' | 'latent';
  method?: 'exact' | 'attribution' | 'integrated' | 'atp-star'; // beyond the first two: extensions. integrated: the mean of `steps` gradients between the two runs; atp-star: attribution with AtP*'s correction of queries and keys
  skip?: boolean; // answer cells that cannot differ without computing; true unless given

  // ---- extensions
  steps?: number; // of 'integrated'; 8 unless given
  latents?: readonly number[]; // of a dictionary; those active in the base run or in what is taken from, at most 256 by |difference| at a position from what is put there, unless given
  noise?: { positions: readonly number[]; scale?: number; seed?: number; draws?: number }; // causal tracing: the corrupted run is `clean` with Gaussian noise of scale (3) standard deviations of the embedding table's entries on hook_embed at these positions, the mean over `draws` (8); `corrupted` is not read
}
/**
 * value: (m − m_corrupted)/(m_clean − m_corrupted) in both directions; NaN where |m_clean − m_corrupted| < 0.05 (0.005 for probability). raw: the metric. Axes are named.
 * rowsComputed: (sequence, layer, position) triples whose attention or MLP output was computed, counted from dispatch sizes, baselines and padded rows included, idle lanes of a tile not.
 * rowsNaive: cells × layers × positions. rowsSkipped: cells answered without computing because nothing can differ there.
 */
export interface Grid {
  axes: { name: string; labels: string[] }[];
  value: Tensor;
  raw: Tensor;
  clean: number;
  corrupted: number;
  milliseconds: number;
  rowsComputed: number;
  rowsNaive: number;
  rowsSkipped: number;
  spread?: Tensor; // extension: with `pairs`, the standard deviation of `value` over them (n − 1); `value` and `raw` are means over all pairs, the first included
}

/** Extension. What a sweep would take, or the estimate that `method` names, told before it runs. */
export interface SweepPlan {
  cells: number;
  rowsComputed: number;
  rowsNaive: number;
  chunks: number;
  bytes: number; // of the largest chunk's buffers, above what the model holds
  submissions: number;
}
/** Extension. One hook's values taken from the other run. Without `positions` at all; negative ones count from the end. Of pattern and scores, positions are queries. */
export interface PatchPart {
  at: Hook;
  positions?: readonly number[];
  head?: number;
  dictionary?: string; // with `latent`: only that latent of the dictionary
  latent?: number;
}
/** Extension. Any set of components patched together: one cell, however large. */
export interface PatchSetRequest extends Pick<SweepRequest, 'clean' | 'corrupted' | 'bos' | 'metric' | 'edits' | 'direction' | 'ablate'> {
  parts: readonly PatchPart[];
}
export interface PatchSetResult {
  value: number;
  raw: number;
  clean: number;
  corrupted: number;
}
/** Extension. Where a path ends: a head's input, an MLP's, or the logits themselves (a direct path). */
export type Receiver = { layer: number; head: number; input: 'q' | 'k' | 'v' } | { layer: number; mlp: true } | 'logits';
/**
 * Extension. Path patching (Wang et al. 2022; Goldowsky-Dill et al. 2023): each sender's output is taken from the other run, everything between it and the receivers is
 * kept as it was but for what the direct path changes, and only the receivers see it. Axes: layer × head, with a last column “MLP”.
 */
export interface PathRequest extends Pick<SweepRequest, 'clean' | 'corrupted' | 'pairs' | 'bos' | 'metric' | 'direction' | 'edits'> {
  receivers: readonly Receiver[];
  positions?: readonly number[]; // of the senders; all unless given
  throughMlps?: boolean; // are MLPs between sender and receiver recomputed? false unless given: MLPs are kept, as heads are
}

/** Extension. Direct logit attribution: what each component writes, read through ln_final (its scale that of the full stream, its mean taken out) and the metric's direction of W_U. */
export interface AttributeRequest {
  prompt: Prompt;
  bos?: boolean;
  edits?: Edit[];
  metric: Metric; // 'logit-diff', or 'log-prob' read as the token's logit
  by: 'layer' | 'head' | 'latent'; // layer: embeddings, each attention and MLP; head: each head (its bias apart), each MLP; latent: of `dictionary`, with its error and what it does not read
  dictionary?: string;
  top?: number; // latents, by magnitude; 50 unless given
}
export interface Attribution {
  parts: { name: string; layer?: number; head?: number; latent?: number; value: number }[]; // they sum to `total`
  total: number; // the metric's logits, the unembedding's bias included as a part of its own
  scale: number; // ln_final's at that position; NaN where there is none
  position: number;
}
/** Extension. Scores of every head on `repeats` random sequences of `length` tokens, said twice: TransformerLens's head_detector forms, mean attention on the stripe. */
export interface HeadScoresRequest {
  length?: number; // 50
  repeats?: number; // 4
  seed?: number;
  edits?: Edit[];
}
export interface HeadScores {
  induction: Tensor; // [layer, head]: to the token after the last time this one came
  previous: Tensor; // to the token before
  duplicate: Tensor; // to the last time this token came
  tokens: number; // rows that were averaged, a head
}
/** Extension. One head's two circuits from its weights alone, low-rank: singular values, and the tokens that each singular direction reads and writes. */
export interface HeadCircuitRequest {
  layer: number;
  head: number;
  circuit: 'ov' | 'qk'; // ov: W_V·W_O. qk: W_Q·W_Kᵀ (of rotary models at distance 0)
  top?: number; // directions, and tokens a side; 5 unless given
}
export interface HeadCircuit {
  singular: number[]; // all of them, largest first
  directions: {
    value: number;
    reads: { id: number; piece: string; weight: number }[]; // through W_E (the norm's gain folded in), largest magnitude first
    writes: { id: number; piece: string; weight: number }[]; // ov: through W_U; qk: the keys' side, through W_E
  }[];
  copying?: number; // ov: Σλ / Σ|λ| over the eigenvalues of W_E·OV·W_U's compressed form (Elhage et al. 2021)
}
/** Extension. How far each later head's q, k or v reads what an earlier head writes: ‖A·B‖_F / (‖A‖_F·‖B‖_F) (Elhage et al. 2021). */
export interface Composition {
  q: Tensor; // [layer, head, earlier layer, earlier head]; NaN where it is not earlier
  k: Tensor;
  v: Tensor;
}
/** Extension. A lens kept on the shelf: for each layer an affine map of the stream (tuned: h + A·h + b, then unembed; jacobian: J·h). */
export interface LensInfo {
  id: string;
  name: string;
  kind: 'tuned' | 'jacobian';
  model: string; // the id of the model that it was made for
  layers: number;
  dModel: number;
  trained?: { tokens: number; kl: number[]; before: number[] }; // nats to the final layer on text kept apart: after, and by the logit lens
}
export interface TrainLensRequest {
  kind?: 'tuned' | 'jacobian'; // tuned unless given; a jacobian lens is averaged, not trained
  text: string | readonly string[]; // the id of an opened text, or texts
  tokens?: number; // read in all; 20,000 unless given
  name?: string;
  seed?: number;
  steps?: number; // extension: of descent on KL at each layer, from where regression ends; 60 unless given, 0: none
}
