/**
 * What the shelf keeps, and the files worker's interface as the page's client sees it. Types alone; contract.ts joins them to the engine's.
 */
import type {
  ChatOptions,
  DictionaryInfo,
  EmbedderInfo,
  FoundLatents,
  Label,
  ModelInfo,
  Opened,
  SurveyInfo,
  TextInfo,
  VectorInfo,
} from './api';
import type { LensFilesApi } from './contract-reading';
import type { Contract, DictionarySpec } from './dictionary/spec';

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
export interface FilesApi extends LensFilesApi {
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
