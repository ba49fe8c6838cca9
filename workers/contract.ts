/**
 * What the rooms hand to each other: the record of a kept model, and the two workers' interfaces as the page's client
 * sees them. Types only, so that every room may import it.
 */
import type {
  ChatOptions,
  ContractCheck,
  DeviceInfo,
  DictionaryInfo,
  EmbedderInfo,
  FoundLatents,
  Hook,
  Label,
  ModelInfo,
  Opened,
  Planned,
  ProcessingOptions,
  RunResult,
  SparseRows,
  SurveyInfo,
  Tensor,
  TextInfo,
  VectorInfo,
  Where,
} from './api';
import type { GradientApi } from './contract-gradient';
import type { ReadingApi } from './contract-reading';
import type { SweepApi } from './contract-sweep';
import type { Contract, DictionarySpec } from './dictionary/spec';

export type * from './contract-reading';

export type StoredDtype = 'F32' | 'F16' | 'BF16';

/** One tensor of a kept model: where its bytes lie. `offset` counts from the start of the file. */
export interface StoredTensor {
  name: string;
  file: number;
  dtype: StoredDtype;
  shape: number[];
  offset: number;
  bytes: number;
}

/** A kept file: its OPFS path under the library's root, or, where OPFS is missing, the Blob itself (lives as long as the tab). */
export interface StoredFile {
  path: string;
  bytes: number;
  sha256: string;
  blob?: Blob;
}

/** Everything the shelf keeps of a model, in IndexedDB. Tensor bytes are in `files`. */
export interface ModelRecord {
  id: string;
  name: string;
  /** config.json's model_type; selects the family. */
  type: string;
  config: Record<string, unknown>;
  stored: 'opfs' | 'memory';
  files: StoredFile[];
  tensors: StoredTensor[];
  tokenizer: Record<string, unknown>;
  tokenizerConfig: Record<string, unknown>;
  generationConfig: Record<string, unknown>;
  /** From a file of its own, where tokenizerConfig does not hold it or holds an older one. */
  chatTemplate?: string;
  addedAt: number;
  info: ModelInfo;
}

/** Everything the shelf keeps of a dictionary. Its tensors are canonical (workers/dictionary/spec.ts), converted when it was dropped. */
export interface DictionaryRecord {
  id: string;
  name: string;
  /** What it came as: “SAELens”, “Gemma Scope” … */
  format: string;
  spec: DictionarySpec;
  stored: 'opfs' | 'memory';
  files: StoredFile[];
  tensors: StoredTensor[];
  /** The model it says that it was trained on, as its publisher writes it. */
  model?: string;
  /** Its id on Neuronpedia, “gpt2-small/8-res-jb”, where its files give one. */
  neuronpedia?: string;
  /** The contract as its files were read, once a person has overridden it. */
  read?: Contract;
  /** What its card promises, where it does. */
  promised: { l0?: number; fvu?: number };
  /** What a person should know of how it was read; absent where there is nothing. */
  notes?: string[];
  addedAt: number;
}

/** How a sentence encoder's rows become one vector: their mean, the first of them, or the graph does it itself. */
export type Pooling = 'mean' | 'cls' | 'graph';

/** Everything the shelf keeps of a sentence encoder. Its ONNX graph is its one file. */
export interface EmbedderRecord {
  id: string;
  name: string;
  /** config.json's model_type. */
  type: string;
  stored: 'opfs' | 'memory';
  files: StoredFile[];
  tokenizer: Record<string, unknown>;
  tokenizerConfig: Record<string, unknown>;
  pooling: Pooling;
  /** Tokens of a text at most, special ones included. */
  maxTokens: number;
  inputs: string[];
  /** The output that is read. */
  output: string;
  /** Rows of a batch do not touch each other. Not so where activations are quantised over the whole batch. */
  batches: boolean;
  addedAt: number;
}

export type TextFormat = TextInfo['format'];

/** Everything the shelf keeps of a text: its one file as it was dropped. */
export interface TextRecord {
  id: string;
  name: string;
  format: TextFormat;
  stored: 'opfs' | 'memory';
  files: StoredFile[];
  documents?: number;
  addedAt: number;
}

/** A survey as it was last kept: what it is of, what it found, and in its one file what is needed to go on (experiments/survey/pass.ts). */
export interface SurveyRecord extends Omit<SurveyInfo, 'of' | 'finished'> {
  model: string;
  /** JSON of the dictionary's spec and of how the model's weights are run: under another contract its numbers are others. */
  under: string;
  /** Has the whole text been read? */
  ended: boolean;
  /** Positions that were last asked for. */
  asked: number;
  stored: 'opfs' | 'memory';
  files: StoredFile[];
  addedAt: number;
}
/** What the client knows of a survey before it begins. */
export type SurveyKey = Pick<SurveyRecord, 'model' | 'dictionary' | 'text' | 'context' | 'under'>;

/** Sequences of a text, one after the other, and the place in it that they follow. */
export interface TokenChunk {
  cursor: string;
  ids: Uint32Array;
  lengths: Uint32Array;
  /** The text has no more. */
  ended: boolean;
  /** Documents so far that could not be read. */
  skipped: number;
  /** Shares of the file that lie before the chunk and before its end. */
  from: number;
  to: number;
}

export interface OpenedFile {
  path: string;
  file: File;
}

/** done and of are bytes; secondsLeft is undefined until there is a rate to tell it from. */
export interface Progress {
  stage: string;
  done: number;
  of: number;
  secondsLeft?: number;
}
export type OnProgress = (progress: Progress) => void;

/** What the page must know of a tokeniser to show tokens without a round trip. */
export interface Vocabulary {
  /** id → the text it stands for; bytes that are no character by themselves are written <0xE2>. */
  pieces: string[];
  /** Ids of special tokens (BOS, EOS, chat markers). */
  special: number[];
  bos: number | undefined;
  eos: number[];
  /** Does a string prompt get a BOS when the caller does not say? The family's rule. */
  prependBos: boolean;
  /** Does the model bring a chat template? */
  chat: boolean;
}

export interface FilesStatus {
  opfs: boolean;
  persisted: boolean;
  usage: number;
  quota: number;
}

/** files.worker.ts: everything about dropped bytes, the shelf and text. Job ids are chosen by the caller. */
export interface FilesApi {
  status(): Promise<FilesStatus>;
  open(files: readonly OpenedFile[], job: string, progress?: OnProgress): Promise<Opened>;
  cancel(job: string): Promise<void>;
  models(): Promise<(ModelInfo & { stored: 'opfs' | 'memory' })[]>;
  record(id: string): Promise<ModelRecord>;
  remove(id: string): Promise<void>;
  vocabulary(model: string): Promise<Vocabulary>;
  tokenize(model: string, text: string, bos?: boolean): Promise<{ ids: number[]; pieces: string[] }>;
  /** Messages as they were given: whether they are any is judged here. */
  chat(model: string, messages: unknown, options?: ChatOptions): Promise<{ ids: number[]; pieces: string[] }>;
  decode(model: string, ids: readonly number[]): Promise<string>;
  vectors(): Promise<VectorInfo[]>;
  vector(id: string): Promise<{ info: VectorInfo; data: Float32Array }>;
  keepVector(info: Omit<VectorInfo, 'id'>, data: Float32Array): Promise<VectorInfo>;
  /** Every vector of a safetensors file, checked before any is kept; they belong to `model`. */
  openVectors(file: OpenedFile, model: string): Promise<VectorInfo[]>;
  embedders(): Promise<EmbedderInfo[]>;
  embedder(id: string): Promise<EmbedderRecord>;
  dictionaries(): Promise<DictionaryInfo[]>;
  dictionary(id: string): Promise<DictionaryRecord>;
  /** A person's word against the file's: kept with the dictionary, and checked (`contract-invalid`). */
  overrideContract(id: string, change: Partial<Contract>): Promise<DictionaryRecord>;
  labels(dictionary: string): Promise<Label[]>;
  /** The person's own label of a latent; an empty text takes it away. */
  label(dictionary: string, latent: number, text: string, note?: string): Promise<void>;
  openLabels(files: readonly OpenedFile[], dictionary: string, job: string, progress?: OnProgress): Promise<Opened>;
  /** The person's own labels as the text of a labels.json. */
  exportLabels(dictionary: string): Promise<{ name: string; text: string }>;
  findLabels(dictionary: string, words: string, top: number): Promise<FoundLatents>;
  texts(): Promise<TextInfo[]>;
  /** A text's id and name; of texts that are given, an id made from what they say. */
  textOf(text: string | readonly string[]): Promise<{ id: string; name: string }>;
  /** Begins to read a text as sequences of at most `context` tokens, each with a BOS where `bos`: from its beginning, or from a chunk's cursor. */
  readText(request: { model: string; text: string | readonly string[]; context: number; bos: boolean; cursor?: string }): Promise<string>;
  /** At least `tokens` more of them, unless the text ends. */
  nextTokens(reading: string, tokens: number): Promise<TokenChunk>;
  closeText(reading: string): Promise<void>;
  /** What is kept under the key, and its file; the record alone where the file is not wanted. */
  survey(id: string): Promise<{ record: SurveyRecord; state: Blob } | undefined>;
  surveyId(key: SurveyKey): Promise<string>;
  /** Those whose contract is today's, newest first. */
  surveys(dictionary?: string): Promise<SurveyRecord[]>;
  /** Writes it over what was kept; nothing is kept of a dictionary, a model or a text that is gone. */
  keepSurvey(record: Omit<SurveyRecord, 'stored' | 'files' | 'addedAt'>, state: Blob): Promise<void>;
  forgetSurvey(id: string): Promise<void>;
}

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
