/**
 * The scripting door: `window.lab`, as types. Extended here where the page needed more; docs/scripting.md is its guide.
 *
 * Everything the page can do, a script can do: from the browser's console, from the notebook, from a test. The page's own
 * controls call the same functions. Every promise rejects with a LabError, never with a raw GPU or parser error. The object lives in
 * the page; the work is done in workers, so errors, progress, aborts and streams are carried across message ports by a thin client.
 *
 * HOOKS are TransformerLens's names (3.x meanings): "hook_embed", "blocks.3.hook_resid_pre", "blocks.3.attn.hook_pattern",
 * "blocks.3.attn.hook_z", "blocks.3.mlp.hook_post", "blocks.3.hook_mlp_out", "ln_final.hook_normalized" … `hooks()` lists them.
 * Shapes are TransformerLens's without the batch axis: residuals [pos, d_model], q and z [pos, head, d_head], k and v [pos, kv_head, d_head],
 * scores and pattern [head, query, key], logits [pos, d_vocab], always float32. Fixed meanings: hook_normalized is before gain and bias; attn_scores are after
 * scaling, soft-cap and mask (masked = −Infinity); hook_q and hook_k are before q/k norm and RoPE, hook_rot_* after; hook_attn_out and hook_mlp_out are what is added to
 * the stream (after any post-norm); hook_embed is what enters block 0's sum (after any embedding scale). Parallel-residual blocks have no hook_resid_mid.
 *
 * TOKENS. A number[] prompt is verbatim. A string gets exactly one BOS where `bos` says so; its default is the family's rule.
 *
 * TIME. A position is computed once, with the edits and dials in force at that moment, and its keys and values stay in the cache. Moving a dial changes what is
 * computed from the next token on; `reread()` recomputes every position so far, prompt and generated, with today's dials; the
 * schedule starts again there (the next Step has `reread: true`). Every Step reports the dial values it was computed with, so any
 * generation can be replayed without a cache, position by position, to the same numbers.
 *
 * STRENGTH. Every edit is x + strength·(f(x) − x): strength 1 is the edit as written, 0 is the identity for every kind, and a dial is a strength or the
 * edit's own number. Edits at one hook apply in list order; `latent` edits of one dictionary at one hook share one clean encoding and apply together.
 *
 * DEFAULTS. where 'all'; skipSpecial false; strength 1; promptLength = the prompt's length; negative positions count from the end in run(), from promptLength in
 * generate(); at = the vector's own hook when it is an id; logits 'last'; temperature 1; eos true.
 */
import type {
  Attribution,
  AttributeRequest,
  Composition,
  Grid,
  HeadCircuit,
  HeadCircuitRequest,
  HeadScores,
  HeadScoresRequest,
  LensInfo,
  Metric,
  PatchSetRequest,
  PatchSetResult,
  PathRequest,
  SweepPlan,
  SweepRequest,
  TrainLensRequest,
} from './api-causal';
import type {
  ContractCheck,
  Dashboard,
  DashboardRequest,
  DictionaryInfo,
  EmbedRequest,
  EmbedderInfo,
  EvaluateRequest,
  FindLatents,
  FoundLatents,
  Label,
  LatentInfo,
  Quality,
  SparseRows,
  Survey,
  SurveyInfo,
  SurveyRequest,
  TextInfo,
} from './api-dictionaries';
import type { Contract } from './dictionary/spec';

export type * from './api-causal';
export type * from './api-dictionaries';

export type Hook = string;
export type Vec = readonly number[] | Float32Array;
export interface Tensor {
  shape: number[];
  data: Float32Array;
}
/** all · the prompt's (index < promptLength) · the generated ones · a list (negative counts from the end). On scores and pattern: query rows; on k and v: key positions. */
export type Where = 'all' | 'prompt' | 'generated' | readonly number[];
export type Prompt = string | readonly number[];
/** Extension: what long work is doing, for a progress line. secondsLeft is absent until there is a rate to tell it from. */
export interface JobDetail {
  stage: string;
  secondsLeft?: number;
}
export interface Job {
  signal?: AbortSignal;
  progress?(done: number, of: number, detail?: JobDetail): void; // detail: an extension, given by open() and use()
} // last argument of every long call
export interface LabError extends Error {
  code: string;
  hint: string;
} // code: stable, listed in docs/errors.md

export interface Lab {
  readonly ready: Promise<void>; // the bench can be used, with the demo or the session's model on it where there is one; rejects only when nothing can run. The page never reloads itself once `lab` exists
  readonly version: string;
  device(): Promise<DeviceInfo>;

  // ---- what is on the shelf
  open(files: readonly (File | { path: string; file: File })[], job?: Job): Promise<Opened>; // sorts out what was dropped; rejects with every reason at once
  models(): Promise<ModelInfo[]>;
  use(model: string, options?: { weights?: 'stored' | 'f32' | 'f16' | 'q8' | 'q4' } & ProcessingOptions, job?: Job): Promise<ModelInfo>; // stored, unfolded, uncentred by default
  dictionaries(): Promise<DictionaryInfo[]>;
  vectors(): Promise<VectorInfo[]>;
  remove(id: string): Promise<void>;

  // ---- text
  tokenize(text: string, options?: { bos?: boolean }): Promise<{ ids: number[]; pieces: string[] }>;
  chat(messages: readonly ChatMessage[], options?: ChatOptions): Promise<{ ids: number[]; pieces: string[] }>; // the model's own template; options: an extension

  // ---- the engine
  hooks(): Promise<{ name: Hook; shape: string[] }[]>;
  run(request: RunRequest, job?: Job): Promise<RunResult>;
  batch(requests: readonly RunRequest[], job?: Job): Promise<RunResult[]>; // ragged, no pad tokens; same numbers as alone
  explain(request: RunRequest | GenerateRequest | SweepRequest): Promise<Planned[]>; // what would be dispatched (for generate: one decode step), not run
  lens(request: {
    prompt: Prompt;
    bos?: boolean;
    kind: 'logit' | 'tuned' | 'jacobian';
    top: number;
    track?: number;
    edits?: Edit[];
    lens?: string; // extension: which tuned or jacobian lens; the newest that fits the model unless given
  }): Promise<LensResult>;
  loss(request: { prompt: Prompt; bos?: boolean; edits?: Edit[] }): Promise<Float32Array>; // nats a position, of the token that came
  generate(request: GenerateRequest): Generation;
  sweep(request: SweepRequest, job?: Job): Promise<Grid>;
  gradient(request: RunRequest & { metric: Metric; at: readonly Hook[] }, job?: Job): Promise<Record<Hook, Tensor>>; // d metric / d activation

  // ---- the causal bench (extensions)
  planSweep(request: SweepRequest): Promise<SweepPlan>; // what sweep() would take; nothing is run
  patchSet(request: PatchSetRequest, job?: Job): Promise<PatchSetResult>; // any set of components together
  pathPatch(request: PathRequest, job?: Job): Promise<Grid>;
  attribute(request: AttributeRequest): Promise<Attribution>; // direct logit attribution
  headScores(request?: HeadScoresRequest, job?: Job): Promise<HeadScores>;
  headCircuit(request: HeadCircuitRequest): Promise<HeadCircuit>;
  composition(job?: Job): Promise<Composition>;
  lenses(): Promise<LensInfo[]>; // tuned and jacobian lenses on the shelf; remove(id) takes one off
  trainLens(request: TrainLensRequest, job?: Job): Promise<LensInfo>;

  // ---- dictionaries
  encode(request: { dictionary: string; prompt: Prompt; bos?: boolean; edits?: Edit[] }): Promise<SparseRows>;
  vectorFromPairs(
    request: { positive: readonly string[]; negative: readonly string[]; at: Hook; where?: Where; method: 'mean' | 'pca' },
    job?: Job,
  ): Promise<VectorInfo>;
  evaluate(request: EvaluateRequest, job?: Job): Promise<Record<string, number>>; // l0, fvu, ce_score, kl_score, dead, …

  // ---- extensions: what the page needed beyond the contract, for scripts as well
  openDemo(job?: Job): Promise<ModelInfo>; // fetches the demo world from the page's own origin, puts it on the shelf and to work; its vectors and dictionaries follow
  model(): ModelInfo | undefined; // the model in use
  storage(): Promise<{ opfs: boolean; persisted: boolean; usage: number; quota: number }>; // bytes; opfs false: models live in memory, for this tab only
  token(token: string | number): Promise<{ id: number; piece: string }>; // the one token that reads exactly so (" the" is not "the"; else `not-one-token`), or what an id reads
  decode(ids: readonly number[]): Promise<string>;
  special(): Promise<{ bos: number | undefined; ids: number[]; chat: boolean }>; // the tokeniser's special tokens; chat: is there a chat template?
  vector(id: string): Promise<{ info: VectorInfo; data: Float32Array }>;
  vectorFromToken(token: string | number, options: { at: Hook; name?: string }): Promise<VectorInfo>; // the token's column of W_U, as stored
  vectorFromNumbers(name: string, at: Hook, data: Vec): Promise<VectorInfo>;
  neurons(): Promise<DictionaryInfo[]>; // the MLP neurons of the model in use, a dictionary a layer: neither on the shelf nor stored, their ids are taken wherever a dictionary's is
  latent(request: { dictionary: string; latent: number; top?: number }): Promise<LatentInfo>; // one latent, from its weights alone; lists of at most `top` (10)
  overrideContract(id: string, change: Partial<Contract>): Promise<DictionaryInfo>; // a person's word against the file's, kept with the dictionary
  checkContract(request: { dictionary: string; text?: string | readonly string[] }, job?: Job): Promise<ContractCheck>; // is it read as it was trained? On a few hundred positions of text, the lab's own passages unless given
  quality(request: EvaluateRequest, job?: Job): Promise<Quality>; // evaluate(), and every latent's density
  texts(): Promise<TextInfo[]>; // the shelf's texts; remove(id) takes one off
  survey(request: SurveyRequest, job?: Job): Promise<Survey>; // a pass of a dictionary over a text; cancelled, it keeps what it read and goes on there when asked again
  surveys(dictionary?: string): Promise<SurveyInfo[]>; // those kept for the dictionaries' contracts as they are now, newest first
  dashboard(request: DashboardRequest, job?: Job): Promise<Dashboard>; // one latent on a survey's text; rejects with `survey-missing` where there is none
  embedders(): Promise<EmbedderInfo[]>; // sentence encoders on the shelf, the oldest first
  embed(request: EmbedRequest, job?: Job): Promise<Tensor>; // [texts, width], each row of length 1; progress in texts

  // ---- what latents are called, and how they are found (extensions)
  labels(dictionary: string): Promise<Label[]>; // of every source; by latent, a person's own first
  label(request: { dictionary: string; latent: number; text: string; note?: string }): Promise<void>; // the person's own, at most one a latent; an empty text takes it away
  openLabels(files: readonly (File | { path: string; file: File })[], dictionary: string, job?: Job): Promise<Opened>; // as open(), for those whose dictionary the files do not tell
  exportLabels(dictionary: string): Promise<File>; // the person's own, as labels.json, which open() reads
  findLatents(request: FindLatents, job?: Job): Promise<FoundLatents>; // what the request's form asks for, best first
  similar(request: { dictionary: string; latent: number; other: string; top?: number }): Promise<{ latent: number; cosine: number }[]>; // the latents of `other` (it may be the same dictionary) by cos(d, d_j) of decoder rows, largest first, at most `top` (10); both must write to one place
}

/** fold = foldLn + foldValueBiases; center = centerWritingWeights + centerUnembed. What does not apply to a model is left out, and the badge says what was done. */
export interface ProcessingOptions extends Partial<Processing> {
  fold?: boolean;
  center?: boolean;
}
/** Extension: TransformerLens's own switches (fold_ln, fold_value_biases, center_writing_weights, center_unembed), each overruling the two above. */
export interface Processing {
  foldLn: boolean;
  foldValueBiases: boolean;
  centerWritingWeights: boolean;
  centerUnembed: boolean;
}

export interface ChatMessage {
  role: string;
  content: string;
}
/** Extension. Unless said, a conversation that ends with the assistant is gone on with, any other ends with the template's generation prompt. */
export interface ChatOptions {
  generationPrompt?: boolean;
  continueFinal?: boolean;
}

export interface DeviceInfo {
  adapter: string;
  features: string[];
  limits: Record<string, number>;
  bytesInUse: number;
  bytesHigh: number;
  variants: Record<string, string>; // kernel → variant chosen on this device; can be pinned by ?variants=
  counters: {
    dispatches: number;
    copies: number;
    submits: number;
    pipelines: number;
    bytesWritten: number;
    bytesRead: number;
    buffers: number;
  };
}
export interface Planned {
  kernel: string;
  hook?: Hook;
  workgroups: number[];
  bytes: number;
}
export interface RunRequest {
  prompt: Prompt;
  bos?: boolean;
  promptLength?: number;
  edits?: Edit[];
  taps?: readonly Hook[];
  logits?: 'none' | 'last' | 'all' | { top: number };
}
export interface RunResult {
  ids: number[];
  logits?: Tensor;
  top?: { ids: number[][]; probabilities: number[][] };
  taps: Record<Hook, Tensor>;
  milliseconds: number;
}
export interface LensResult {
  layers: string[];
  top: { id: number; piece: string; probability: number }[][][];
  rank?: number[][];
  probability?: number[][];
  entropy: number[][];
  klToFinal: number[][];
}

export type Edit = { at?: Hook; where?: Where; skipSpecial?: boolean; head?: number; strength?: number; enabled?: boolean } & (
  | { kind: 'add'; vector: string | Vec; scale: number } // f(x) = x + scale·v, v as given
  | { kind: 'project'; vector: string | Vec; keep: number } // along v̂: keep·(x·v̂); 0 removes the direction, 1 leaves it
  | { kind: 'cap'; vector: string | Vec; cap: number } // limit x·v̂ to at most cap
  | {
      kind: 'replace';
      value: Vec | Tensor | 'zero' | { prompt: Prompt; from?: readonly number[] } | { mean: readonly string[]; over: 'all' | 'position' };
    } // source: an unedited run; unequal lengths need `from`
  | { kind: 'latent'; dictionary: string; latent: number; op: 'set' | 'add' | 'scale'; value: number } // at = the dictionary's hookOut unless given; error term kept
  | { kind: 'splice'; dictionary: string; keepError: boolean }
);

export interface GenerateRequest {
  prompt: Prompt;
  bos?: boolean;
  promptLength?: number;
  edits?: Edit[];
  baseline?: boolean; // stream the unedited row too (shares the sampling randomness)
  shadow?: boolean; // a third row: the unedited model reading the steered text, for a meaningful KL
  tokens: number;
  temperature?: number;
  topK?: number;
  topP?: number;
  seed?: number;
  stop?: readonly string[];
  eos?: boolean;
  watch?: readonly string[]; // dictionaries to encode live
}
export interface Generation extends AsyncIterable<Step> {
  dial(edit: number, change: { value?: number; strength?: number; enabled?: boolean }): void; // in force for every token computed after the call; at most 2 tokens are ever ahead of the last Step taken
  reread(): Promise<void>;
  stop(): Promise<void>;
  readonly ended: Promise<'length' | 'stop' | 'eos' | 'context' | 'cancelled'>;
  text(): Promise<{ steered: string; baseline?: string }>; // what was generated, without the prompt

  // ---- extensions
  rewind(position: number, tokens: number): Promise<void>; // the next Step is the token at `position`, and up to `tokens` follow; what lies before stays as it was computed. Also continues a stream that has ended
  close(): Promise<void>; // frees the cache; opening another generation closes those that have ended
}
export interface Choice {
  id: number;
  piece: string;
  probability: number;
  top: { id: number; piece: string; probability: number }[];
}
/** dials, one an edit, as this token was computed: value = the edit's own number (scale, keep, cap, value; absent for replace, splice), strength 0 while disabled. latents belong to the token just read (position − 1). kl: KL(shadow ‖ steered). */
export interface Step {
  position: number;
  steered: Choice;
  baseline?: Choice;
  kl?: number;
  dials: { value?: number; strength: number }[];
  reread?: true;
  latents?: Record<string, [latent: number, value: number][]>; // largest first, by magnitude
  truncated?: string[]; // an extension: dictionaries of which more latents were active than came back (the largest 480)
}

export interface Opened {
  models: ModelInfo[];
  dictionaries: DictionaryInfo[];
  vectors: VectorInfo[];
  texts: TextInfo[];
  embedders: EmbedderInfo[]; // extension
  lenses?: LensInfo[]; // extension: tuned and jacobian lenses, where there are any
  ignored: { file: string; why: string }[];
  labels: { dictionary: string; count: number; source: string }[]; // extension
}
export interface ModelInfo {
  id: string;
  name: string;
  family: string;
  parameters: number;
  layers: number;
  dModel: number;
  heads: number;
  kvHeads: number;
  dVocab: number;
  context: number;
  weights: string;
  bytes: number;
  badge: string;
  processing?: Processing; // extension: what was done to the weights of the model in use
  stored?: 'opfs' | 'memory'; // extension: 'memory' where the browser has no OPFS; such a model goes with the tab
}
export interface VectorInfo {
  id: string;
  name: string;
  at: Hook;
  norm: number;
  // extensions, where whoever made the vector said how it is best used
  scale?: number; // a number that works well for `add`
  kind?: 'add' | 'project';
  keep?: number; // for `project`
  about?: string; // one line
  model?: string; // the id of the model it was made for
}
