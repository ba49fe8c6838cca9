/**
 * The scripting door's part about dictionaries, texts that they are read over, and sentence encoders that find labels. Types alone; api.ts joins them to the rest.
 * What goes beyond the contract's own words is marked as an extension.
 */
import type { Hook, Prompt } from './api';
import type { Contract } from './dictionary/spec';

/** Extension. What a latent is called. `source` says by whom; “you” is the person. One label a latent and source. */
export interface Label {
  latent: number;
  text: string;
  source: string;
  /** How well it fits, by whom the source says: 0 to 1 as a rule. */
  score?: number;
  /** What the score is: “F1”, “eleuther_recall · gpt-4o-mini” … */
  scoreName?: string;
  note?: string;
  /** Milliseconds since 1970: when it was written here, or imported. */
  madeAt: number;
}
/** Extension: one example of “fires here”. Without positions every one but special tokens counts; negative ones count from the end. */
export interface FiringAt {
  prompt: Prompt;
  bos?: boolean;
  positions?: readonly number[];
}
/**
 * Extension. At most `top` (20) latents.
 * label: those with a label that holds all the words, in any order; case and accents do not matter.
 * promotes: by the logit weight of this token, the same number as in `latent()`; sign −1: by how much it is suppressed.
 * meaning: by the cosine of a sentence encoder's vectors of the label and of this text (the encoder that came last unless one is named; `embedder-unknown` where none is there); of a latent's labels the best.
 * here, not: that fire at the positions of `here` and not at those of `not`. each 'min' (where nothing is said): the smallest over `here`; 'mean': the mean.
 */
export type FindLatents = { dictionary: string; top?: number } & (
  | { label: string }
  | { promotes: string | number; sign?: 1 | -1 }
  | { meaning: string; embedder?: string }
  | { here: FiringAt | readonly FiringAt[]; not?: FiringAt | readonly FiringAt[]; each?: 'min' | 'mean' }
);
export interface FoundLatent {
  latent: number;
  /** label: the share of the words that stand whole in it; own labels come first. promotes: the logit weight. meaning: the cosine. here: `here` − `not`. */
  score: number;
  /** The label that was found. */
  label?: Label;
  /** min or mean of the activation over the positions of `here`; the largest over those of `not`. */
  here?: number;
  not?: number;
}
export interface FoundLatents {
  latents: FoundLatent[];
  /** How many there are, of which `latents` are the first. */
  of: number;
  /** here, not: at some position more latents were active than came back (the largest 1,024 or more), and a weak one may be missing. */
  truncated: boolean;
}
/** text: texts, or the id of an opened one, of which the first `tokens` (16,384 unless given) are read. */
export interface EvaluateRequest {
  dictionary: string;
  text: string | readonly string[];
  tokens?: number;
}
/** density, [latents]: the share of positions where each is active. */
export interface Quality {
  scores: Record<string, number>;
  density: Float32Array;
}
export interface TextInfo {
  id: string;
  name: string;
  format: 'txt' | 'jsonl' | 'json' | 'parquet';
  bytes: number;
  documents?: number; // where the file tells it without being read through
}
/** tokens: positions that count, special tokens apart. The last piece is read to its end, so that a few more may be. */
export interface SurveyRequest {
  dictionary: string;
  text: string | readonly string[]; // the id of an opened text, or texts
  tokens?: number; // 1,000,000 unless given; more than an earlier survey's goes on from there
  context?: number; // tokens of a sequence, its BOS included; the model's context or 128, whichever is less, unless given
  again?: boolean; // forget what was read, and start anew
}
export interface SurveyInfo {
  id: string;
  dictionary: string;
  text: string; // the text's id; of a list of texts an id made from what they say
  name: string; // the text's
  tokens: number; // positions that counted
  of: number; // asked for, or all that there are
  finished: boolean; // tokens have reached `of`
  sequences: number;
  context: number;
  skipped: number; // documents that could not be read
  l0: number; // active latents a position
  l1: number; // Σ of activations a position
  dead: number; // share of latents active nowhere
  dense: number; // share of latents active at more than one position in ten
  density: Float32Array; // [latents]: share of positions where each is active
  max: Float32Array; // [latents]
}
export type Survey = SurveyInfo;
export interface DashboardRequest {
  dictionary: string;
  latent: number;
  text?: string; // a survey's `text`; the newest survey's unless given
  examples?: number; // of a bin at most, 10 unless given; the first bin has up to 24
}
/** docs/dictionaries.md has the estimators. */
export interface Dashboard {
  survey: string; // id
  latent: number;
  density: number;
  count: number; // positions where it is active
  mean: number; // of its activations there
  max: number;
  histogram: { from: number; to: number; count: number }[]; // activations above 0, half an octave a bin, exact counts
  bins: DashboardBin[]; // the strongest first, then fifths of (0, max] from the top, empty ones left out
  coactive: { latent: number; together: number; lift: number }[]; // together: P(other | this); lift: together / P(other); by together − P(other)
  sampled: number; // positions that shares and coactive rest on; all of them where this is `count`
  heads?: { mean: number[]; bias: number }; // of a dictionary of hook_z: the mean share of the pre-activation by head over the first bin, and what no head adds
}
export interface DashboardBin {
  from: number;
  to: number;
  share: number; // of the positions where it is active
  examples: Example[];
}
export interface Example {
  sequence: number; // which of the survey's
  position: number; // in it
  value: number;
  tokens: { id: number; piece: string }[]; // the whole sequence
  values: number[]; // the latent at each of its tokens; 0 at special tokens
  heads?: number[]; // of hook_z: each head's share of the pre-activation; with `bias` they sum to it
  sources?: number[]; // of hook_z, in the first bin: heads, split by the position that was attended to, [position + 1]
}
/** encode(): every position, BOS included (BOS is left out of statistics only); at least 1,024 latents a position before `truncated`; tighter caps are for `watch` alone. */
export interface SparseRows {
  rows: [latent: number, value: number][][];
  truncated: boolean;
  errorNorm: number[];
  inputNorm: number[];
}
/** Extension. weight: W_U · (w ⊙ (d − mean d)), d the latent's row of W_dec in the stream; cosine: of W_enc and W_dec, NaN for a transcoder; norm: ‖W_dec‖. Of a neuron: W_in and W_out. */
export interface LatentInfo {
  promoted: { id: number; piece: string; weight: number }[];
  suppressed: { id: number; piece: string; weight: number }[];
  neighbours: { latent: number; cosine: number }[];
  cosine: number;
  norm: number;
}
/** Extension. A dictionary on real activations, special tokens left out; `ok: false` comes with a warning that names the convention that is likely wrong, where one explains it. */
export interface ContractCheck {
  fvu: number; // Σ‖y − ŷ‖² / Σ‖y − ȳ‖²
  l0: number; // active latents a position
  positions: number;
  promised?: { fvu?: number; l0?: number }; // by its files
  ok: boolean;
  likely?: LikelyConvention[]; // best first
  warning?: string;
}
export interface LikelyConvention {
  field: keyof Contract | 'hook';
  value: string | number | boolean;
  fvu: number; // read so
  l0: number;
  change: Partial<Contract>; // for overrideContract; empty for a hook
  say: string;
}
/** Extension: a sentence encoder, for finding labels by meaning. */
export interface EmbedderInfo {
  id: string;
  name: string;
  bytes: number;
  pooling: 'mean' | 'cls' | 'graph'; // of its rows of tokens, as its files say; graph: inside the ONNX graph
  maxTokens: number; // what is longer is cut
  stored: 'opfs' | 'memory';
}
/** Extension. The encoder that came last unless one is named; pooling overrules the files, but not a graph that pools itself. */
export interface EmbedRequest {
  texts: readonly string[];
  embedder?: string;
  pooling?: 'mean' | 'cls';
}
export interface DictionaryInfo {
  id: string;
  name: string;
  kind: string;
  hookIn: Hook[];
  hookOut: Hook;
  dIn: number;
  dOut: number;
  latents: number;
  contract: Record<string, string | number | boolean>;
  fileSays?: Partial<Contract>; // extension: what its files say, of the conventions that a person has overridden
  fits: string[];
}
