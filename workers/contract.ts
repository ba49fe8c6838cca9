/**
 * What the rooms hand to each other: the record of a kept model, and the two workers' interfaces as the page's client
 * sees them. Types only, so that every room may import it.
 */
import type {
  ContractCheck,
  DeviceInfo,
  DictionaryInfo,
  FoundLatents,
  Hook,
  ModelInfo,
  Planned,
  ProcessingOptions,
  RunResult,
  SparseRows,
  Tensor,
  Where,
} from './api';
import type { DictionaryRecord, EmbedderRecord, ModelRecord, OnProgress, TokenChunk } from './contract-files';
import type { GradientApi } from './contract-gradient';
import type { LensRecord, ReadingApi } from './contract-reading';
import type { SweepApi } from './contract-sweep';
import type {} from './dictionary/spec';

export type * from './contract-files';
export type * from './contract-reading';

/** embedder.worker.ts: sentence encoders, one at a time. Started when a vector is first asked for. */
export interface EmbedderApi {
  /** One vector a text, of length 1: [texts, width]. */
  embed(
    record: EmbedderRecord,
    request: { texts: readonly string[]; pooling?: 'mean' | 'cls' },
    job: string,
    progress?: (done: number, of: number) => void,
  ): Promise<Tensor>;
  cancel(job: string): Promise<void>;
  /** Frees the encoder, if it is this one. */
  release(embedder: string): Promise<void>;
  /** What the worker has loaded of the site, so that it can be kept for use without a network. */
  loaded(): Promise<string[]>;
}

/** An edit as the engine takes it: vectors are numbers, prompts are ids, `at` is never absent. */
export type EngineEdit = { at: Hook; where: Where; skipSpecial: boolean; head?: number; strength: number; enabled: boolean } & (
  | { kind: 'add'; vector: Float32Array; scale: number }
  | { kind: 'project'; vector: Float32Array; keep: number }
  | { kind: 'cap'; vector: Float32Array; cap: number }
  | {
      kind: 'replace';
      value: 'zero' | Tensor | { ids: number[]; from?: readonly number[] } | { mean: number[][]; over: 'all' | 'position' };
    }
  | { kind: 'latent'; dictionary: string; latent: number; op: LatentOp; value: number }
  | { kind: 'splice'; dictionary: string; keepError: boolean }
);
export type LatentOp = 'set' | 'add' | 'scale';

export interface EngineRun {
  ids: number[];
  promptLength: number;
  edits: EngineEdit[];
  taps: readonly Hook[];
  logits: 'none' | 'last' | 'all' | { top: number };
}
export type EngineRunResult = Pick<RunResult, 'ids' | 'logits' | 'top' | 'taps' | 'milliseconds'>;

export interface EngineLens {
  ids: number[];
  top: number;
  track?: number;
  edits: EngineEdit[];
  /** The logit lens where absent. */
  lens?: LensRecord;
}
/** [layer][position](×top), as LensResult without pieces. */
export interface EngineLensResult {
  layers: Hook[];
  ids: number[][][];
  probabilities: number[][][];
  entropy: number[][];
  klToFinal: number[][];
  rank?: number[][];
  probability?: number[][];
}

export interface EngineEncode {
  dictionary: string;
  ids: number[];
  edits: EngineEdit[];
}

/** workers/experiments/latent.ts says what each is. */
export interface EngineLatent {
  promoted: { id: number; weight: number }[];
  suppressed: { id: number; weight: number }[];
  neighbours: { latent: number; cosine: number }[];
  cosine: number;
  norm: number;
}

/** experiments/promotes.ts, contrast.ts and similar.ts say what each is. */
export interface EnginePromotes {
  dictionary: string;
  token: number;
  sign: 1 | -1;
  top: number;
}
export interface EngineFiring {
  ids: number[];
  /** From 0, at least one. */
  positions: number[];
}
export interface EngineContrast {
  dictionary: string;
  here: EngineFiring[];
  not: EngineFiring[];
  each: 'min' | 'mean';
  top: number;
}
export interface EngineSimilar {
  dictionary: string;
  latent: number;
  other: string;
  top: number;
}

export interface EngineSurveyCall {
  id: string;
  dictionary: string;
  special: readonly number[];
  /** Is it going to be read on? It then stays open whatever else is opened. */
  running: boolean;
  state?: Blob;
}
/** What a survey knows so far. */
export interface EngineSurvey {
  tokens: number;
  sequences: number;
  l0: number;
  l1: number;
  dead: number;
  dense: number;
  density: Float32Array;
  max: Float32Array;
  /** Where the text is to be read on: a chunk's cursor, and how many of what follows it are in already. */
  cursor: string;
}
export interface EngineExample {
  sequence: number;
  position: number;
  value: number;
  ids: number[];
  values: number[];
  heads?: number[];
  sources?: number[];
}
export interface EngineDashboard {
  density: number;
  count: number;
  mean: number;
  max: number;
  histogram: { from: number; to: number; count: number }[];
  bins: { from: number; to: number; share: number; examples: EngineExample[] }[];
  coactive: { latent: number; together: number; lift: number }[];
  sampled: number;
  heads?: { mean: number[]; bias: number };
}

export interface EngineGenerate {
  ids: number[];
  promptLength: number;
  edits: EngineEdit[];
  baseline: boolean;
  shadow: boolean;
  tokens: number;
  temperature: number;
  topK: number;
  topP: number;
  seed: number;
  /** Ids that end the text; empty where the caller asked for eos: false. */
  eos: number[];
  /** Dictionaries to encode live. */
  watch: readonly string[];
}
export interface EngineChoice {
  id: number;
  probability: number;
  top: { id: number; probability: number }[];
}
export interface EngineStep {
  position: number;
  steered: EngineChoice;
  baseline?: EngineChoice;
  kl?: number;
  dials: { value?: number; strength: number }[];
  reread?: true;
  /** Of the token just read: by dictionary, largest first. */
  latents?: Record<string, LatentList>;
}
export interface LatentList {
  pairs: [latent: number, value: number][];
  /** There were more than came back; these are the largest. */
  truncated: boolean;
}
export type Ending = 'length' | 'stop' | 'eos' | 'context' | 'cancelled';

/** With any processing in force the matrices are f32; f16 beside it is refused. */
export interface UseOptions extends ProcessingOptions {
  weights: 'stored' | 'f32' | 'f16';
}

/** What the engine tells unasked: a lost device and its return. */
export type EngineEvent =
  { kind: 'lost'; reason: string } | { kind: 'restored' } | { kind: 'failed'; code: string; message: string; hint: string };

/**
 * engine.worker.ts: owns the GPU. Everything is in token ids; the client turns text into ids and ids into pieces.
 * Generation is pulled: each `next` hands over one step and lets the engine work at most two tokens ahead of it.
 * `dial` and `next` arrive in the order in which they were called, so a dial is in force for every token computed after it.
 */
export interface EngineApi extends GradientApi, ReadingApi, SweepApi {
  /** Rejects with code `webgpu-missing`, `adapter-missing` … where nothing can run. `limits: 'default'` asks for the smallest limits. */
  start(options: { limits?: 'default'; variants?: string }, events?: (event: EngineEvent) => void): Promise<DeviceInfo>;
  device(): Promise<DeviceInfo>;
  use(record: ModelRecord, options: UseOptions, special: readonly number[], job: string, progress?: OnProgress): Promise<ModelInfo>;
  /** Frees the model in use, if it is this one. */
  unload(model: string): Promise<void>;
  /** Brings a dictionary onto the GPU beside the model in use; there already, nothing happens. Whatever names it needs it there. */
  attach(record: DictionaryRecord, job: string): Promise<void>;
  detach(dictionary: string): Promise<void>;
  /** The MLP neurons of the model in use, a dictionary a layer: nothing is to be attached. */
  neurons(): Promise<DictionaryInfo[]>;
  encode(request: EngineEncode, job: string): Promise<SparseRows>;
  /** What one latent's weights tell; tokens and latents at most `top` a list. */
  latent(request: { dictionary: string; latent: number; top: number }): Promise<EngineLatent>;
  promotes(request: EnginePromotes): Promise<FoundLatents>;
  contrast(request: EngineContrast, job: string, progress?: (done: number, of: number) => void): Promise<FoundLatents>;
  /** Of two dictionaries that are both on the GPU. */
  similar(request: EngineSimilar): Promise<{ latent: number; cosine: number }[]>;
  /** Scores over texts (token ids), and each latent's density; `special` tokens are left out. */
  evaluate(
    request: { dictionary: string; texts: number[][]; special: readonly number[] },
    job: string,
    progress?: (done: number, of: number) => void,
  ): Promise<{ scores: Record<string, number>; density: Float64Array }>;
  /** Takes up a survey of an attached dictionary, from what was kept of it where there is something; `special` tokens are left out. */
  openSurvey(request: EngineSurveyCall): Promise<EngineSurvey>;
  /** Is it open, in whatever state? */
  holdsSurvey(id: string): Promise<boolean>;
  /** Reads a chunk, in short turns, up to `until` positions that count. Cancelled, what was read is in, and the same chunk may be given again. */
  survey(
    id: string,
    chunk: Pick<TokenChunk, 'cursor' | 'ids' | 'lengths'>,
    until: number,
    job: string,
    progress?: (tokens: number) => void,
  ): Promise<{ tokens: number }>;
  surveyed(id: string): Promise<EngineSurvey>;
  /** All that is needed to take it up again. */
  packSurvey(id: string): Promise<Blob>;
  /** The reading is over; `keep`: it stays open for dashboards until another is opened. */
  closeSurvey(id: string, keep: boolean): Promise<void>;
  /** One latent, on an open survey. */
  dashboard(
    request: { survey: string; latent: number; examples: number },
    job: string,
    progress?: (done: number, of: number) => void,
  ): Promise<EngineDashboard>;
  /** Is it read as it was trained? `texts` as its contract says of the BOS, `others` the other way, empty where there is none. */
  checkContract(
    request: {
      dictionary: string;
      texts: number[][];
      others: number[][];
      special: readonly number[];
      promised: { fvu?: number; l0?: number };
    },
    job: string,
    progress?: (done: number, of: number) => void,
  ): Promise<ContractCheck>;
  hooks(): Promise<{ name: Hook; shape: string[] }[]>;
  batch(requests: readonly EngineRun[], job: string, progress?: (done: number, of: number) => void): Promise<EngineRunResult[]>;
  explainRun(request: EngineRun): Promise<Planned[]>;
  explainGenerate(request: EngineGenerate): Promise<Planned[]>;
  lens(request: EngineLens, job: string, progress?: (done: number, of: number) => void): Promise<EngineLensResult>;
  loss(request: { ids: number[]; edits: EngineEdit[] }): Promise<Float32Array>;
  /** The column of W_U (as stored, before any folding or rounding) that reads a token out: [d_model]. */
  unembedding(token: number): Promise<Float32Array>;
  open(request: EngineGenerate): Promise<string>;
  next(generation: string): Promise<EngineStep | { ended: Ending }>;
  dial(generation: string, edit: number, change: { value?: number; strength?: number; enabled?: boolean }): void;
  reread(generation: string): Promise<void>;
  /** Goes back so that the next token computed is the one at `position`; what lies before stays as it was computed. */
  rewind(generation: string, position: number, tokens: number): Promise<void>;
  stop(generation: string): Promise<void>;
  /** Frees the generation's cache. */
  close(generation: string): Promise<void>;
  cancel(job: string): Promise<void>;
}
