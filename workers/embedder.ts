/**
 * Texts to vectors by a sentence encoder that the person brought: tokenised, run by onnxruntime-web on the CPU, pooled and brought to length 1 (Reimers & Gurevych 2019).
 * What a browser provides is handed in, so that the worker is only its port. Vectors do not depend on what else was asked for in the same call: texts are put
 * side by side only where the graph keeps rows apart.
 */
import type { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-web';
import type { Tensor } from './api';
import type { EmbedderRecord, StoredFile } from './contract';
import { cancelled, LabError, throwIfAborted } from './errors';
import { SentenceTokenizer, type Sentence } from './formats/sentences';

export interface OnnxRuntime {
  InferenceSession: { create(model: Uint8Array, options: InferenceSession.SessionOptions): Promise<InferenceSession> };
  Tensor: typeof OrtTensor;
}
export interface EmbedderParts {
  runtime(): Promise<OnnxRuntime>;
  /** The whole of a kept file. */
  read(record: { name: string; files: StoredFile[] }): Promise<Uint8Array>;
}
export interface EmbedRequest {
  texts: readonly string[];
  pooling?: 'mean' | 'cls';
}

/** Texts, and tokens with their padding, that go through the graph at once. */
const ROWS = 32;
const TOKENS = 2048;

interface Loaded {
  record: EmbedderRecord;
  tokenizer: SentenceTokenizer;
  session: InferenceSession;
  runtime: OnnxRuntime;
}

export class Embedder {
  #loaded: Loaded | undefined;
  #last: Promise<unknown> = Promise.resolve();
  constructor(readonly parts: EmbedderParts) {}

  /** [texts, width], each row of length 1. One call after another. `signal` is looked at between batches. */
  embed(
    record: EmbedderRecord,
    request: EmbedRequest,
    signal: AbortSignal,
    progress?: (done: number, of: number) => void,
  ): Promise<Tensor> {
    return this.#inTurn(() => this.#embed(record, request, signal, progress));
  }

  /** Frees the encoder, if it is this one. */
  release(id: string): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#loaded?.record.id !== id) return;
      const { session } = this.#loaded;
      this.#loaded = undefined;
      await session.release();
    });
  }

  async #embed(
    record: EmbedderRecord,
    { texts, pooling }: EmbedRequest,
    signal: AbortSignal,
    progress?: (done: number, of: number) => void,
  ): Promise<Tensor> {
    throwIfAborted(signal);
    const loaded = await this.#load(record);
    const sentences = texts.map((text) => loaded.tokenizer.encode(text));
    const how = record.pooling === 'graph' ? 'graph' : (pooling ?? record.pooling);
    let data = new Float32Array(0);
    let width = 0;
    let done = 0;
    for (const batch of batchesOf(sentences, record.batches)) {
      await breathe();
      if (signal.aborted) throw cancelled();
      const rows = await vectors(
        loaded,
        batch.map((index) => sentences[index] ?? { ids: [], types: [] }),
        how,
      );
      if (width === 0) {
        width = rows[0]?.length ?? 0;
        data = new Float32Array(texts.length * width);
      }
      for (const [i, index] of batch.entries()) data.set(rows[i] ?? [], index * width);
      done += batch.length;
      progress?.(done, texts.length);
    }
    return { shape: [texts.length, width], data };
  }

  async #load(record: EmbedderRecord): Promise<Loaded> {
    if (this.#loaded?.record.id === record.id) return this.#loaded;
    await this.#loaded?.session.release();
    this.#loaded = undefined;
    const tokenizer = new SentenceTokenizer(record, record.maxTokens);
    const [runtime, bytes] = await Promise.all([this.parts.runtime(), this.parts.read(record)]);
    const options = { executionProviders: ['wasm'], graphOptimizationLevel: 'all', logSeverityLevel: 4 } as const;
    const session = await runtime.InferenceSession.create(bytes, options).catch((thrown: unknown) => {
      throw failed(`${record.name} cannot be loaded`, thrown);
    });
    return (this.#loaded = { record, tokenizer, session, runtime });
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => undefined);
    return turn;
  }
}

/** Texts of like length together, so that little is padding. Indices into `sentences`. */
export function batchesOf(sentences: readonly Sentence[], together: boolean): number[][] {
  const order = sentences.map((_, index) => index);
  if (!together) return order.map((index) => [index]);
  const lengthOf = (index: number): number => sentences[index]?.ids.length ?? 0;
  order.sort((a, b) => lengthOf(a) - lengthOf(b) || a - b);
  const batches: number[][] = [];
  for (const index of order) {
    const open = batches.at(-1);
    // Sorted: the one that comes is the longest.
    if (open && open.length < ROWS && (open.length + 1) * lengthOf(index) <= TOKENS) open.push(index);
    else batches.push([index]);
  }
  return batches;
}

async function vectors(
  { record, session, runtime }: Loaded,
  sentences: readonly Sentence[],
  how: EmbedderRecord['pooling'],
): Promise<Float32Array[]> {
  const width = Math.max(...sentences.map(({ ids }) => ids.length));
  const input = (value: (sentence: Sentence, at: number) => number): OrtTensor => {
    const data = new BigInt64Array(sentences.length * width);
    for (const [row, sentence] of sentences.entries())
      for (let at = 0; at < width; at++) data[row * width + at] = BigInt(value(sentence, at));
    return new runtime.Tensor('int64', data, [sentences.length, width]);
  };
  const made: Record<string, (sentence: Sentence, at: number) => number> = {
    input_ids: ({ ids }, at) => ids[at] ?? 0,
    attention_mask: ({ ids }, at) => Number(at < ids.length),
    token_type_ids: ({ types }, at) => types[at] ?? 0,
    position_ids: (_, at) => at,
  };
  const feeds = Object.fromEntries(record.inputs.map((name) => [name, input(made[name] ?? (() => 0))]));
  const out = await session.run(feeds, [record.output]).catch((thrown: unknown) => {
    throw failed(`${record.name} failed on a text`, thrown);
  });
  const tensor = out[record.output];
  const data = tensor?.data;
  const dims = tensor?.dims ?? [];
  const pooled = how === 'graph';
  const right =
    data instanceof Float32Array && dims.length === (pooled ? 2 : 3) && dims[0] === sentences.length && (pooled || dims[1] === width);
  if (!right)
    throw new LabError(
      'embedder-unsupported',
      `${record.name} gives “${record.output}” as ${tensor?.type ?? 'nothing'} [${dims.join(', ')}], not as float32 [texts${pooled ? '' : ', tokens'}, width].`,
      'Drop another form of the model: model.onnx or model_quantized.onnx.',
    );
  const size = dims.at(-1) ?? 0;
  return sentences.map(({ ids }, row) => {
    const read = pooled || how === 'cls' ? 1 : ids.length;
    const vector = unit(data.subarray(row * (pooled ? 1 : width) * size), read, size);
    if (!vector.every(Number.isFinite)) throw failed(`${record.name} gives numbers that are none (NaN or infinite)`, undefined);
    return vector;
  });
}

/** The sum of `rows` rows, brought to length 1: of a mean, a first row or a vector alike. In float64. */
function unit(data: Float32Array, rows: number, width: number): Float32Array {
  const sum = new Float64Array(width);
  for (let row = 0; row < rows; row++) for (let i = 0; i < width; i++) sum[i] = (sum[i] ?? 0) + (data[row * width + i] ?? 0);
  let square = 0;
  for (const x of sum) square += x * x;
  return Float32Array.from(sum, (x) => x / Math.max(Math.sqrt(square), 1e-12));
}

/** Lets messages in, a cancel among them: the runtime keeps the thread while it computes. */
function breathe(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(undefined);
  });
}

const failed = (what: string, thrown: unknown): LabError =>
  new LabError(
    'embedder-failed',
    thrown === undefined ? `${what}.` : `${what} (${thrown instanceof Error ? thrown.message : String(thrown)}).`,
    'Drop another form of the model: model.onnx or model_quantized.onnx. If none works, free memory by closing other tabs.',
  );
