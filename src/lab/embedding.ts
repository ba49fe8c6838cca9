/**
 * The part of `window.lab` that turns texts into vectors by meaning. A chunk of its own, fetched with its worker and its runtime when a vector is first asked for;
 * what was fetched is then kept, so that it is there without a network from then on.
 */
import * as Comlink from 'comlink';
import type { Remote } from 'comlink';
import type { EmbedRequest, FoundLatents, Job, Label, Tensor } from '../../workers/api';
import type { EmbedderApi, FilesApi } from '../../workers/contract';
import { spawnEmbedder } from '../../workers/entries';
import { LabError, throwIfAborted } from '../../workers/errors';
import { asJob } from './jobs';
import { keepLoaded } from './keep-loaded';
import { Meanings } from './meaning';

export class Embedding {
  #worker: Remote<EmbedderApi> | undefined;
  #broken: { promise: Promise<never>; reject(error: LabError): void } | undefined;
  #kept = false;
  readonly #meanings = new Meanings();

  constructor(readonly files: Remote<FilesApi>) {}

  /** [texts, width], each row of length 1. */
  embed(request: EmbedRequest, job?: Job): Promise<Tensor> {
    return asJob(
      job,
      (id) => this.#worker?.cancel(id),
      async (id) => {
        const { texts, pooling } = checked(request);
        const record = await this.files.embedder(await this.chosen(request.embedder));
        throwIfAborted(job?.signal);
        const worker = this.#start();
        const progress = job?.progress && Comlink.proxy((done: number, of: number) => job.progress?.(done, of));
        const made = worker.embed(record, { texts: [...texts], ...(pooling && { pooling }) }, id, progress);
        const tensor = await (this.#broken ? Promise.race([made, this.#broken.promise]) : made);
        throwIfAborted(job?.signal);
        this.#keep(worker);
        return tensor;
      },
    );
  }

  /** A dictionary's labels by what they mean, the nearest first; progress counts the texts that have to be embedded. */
  async find(
    { dictionary, meaning, embedder: named, top }: { dictionary: string; meaning: string; embedder?: string | undefined; top: number },
    labels: readonly Label[],
    job?: Job,
  ): Promise<FoundLatents> {
    const embedder = await this.chosen(named);
    const found = await this.#meanings.search(
      { dictionary, embedder, labels, meaning, top },
      (texts, part) => this.embed({ texts, embedder }, part),
      job,
    );
    const of = new Set(labels.map(({ latent }) => latent)).size;
    return { latents: found.map(({ label, cosine }) => ({ latent: label.latent, score: cosine, label })), of, truncated: false };
  }

  /** The id of the encoder that is meant: the one that came last unless one is named. */
  async chosen(named: string | undefined): Promise<string> {
    if (named !== undefined) return named;
    const last = (await this.files.embedders()).at(-1);
    if (!last)
      throw new LabError(
        'embedder-unknown',
        'No embedding model is on the shelf.',
        'Drop the folder of one in ONNX form, such as all-MiniLM-L6-v2: config.json, tokenizer.json and onnx/model_quantized.onnx.',
      );
    return last.id;
  }

  /** An encoder has left the shelf, or a dictionary. */
  async release(id: string): Promise<void> {
    this.#meanings.forget(id);
    await this.#worker?.release(id);
  }

  #start(): Remote<EmbedderApi> {
    if (this.#worker) return this.#worker;
    let reject: (error: LabError) => void = () => undefined;
    const promise = new Promise<never>((_, no) => (reject = no));
    promise.catch(() => undefined);
    this.#broken = { promise, reject };
    // A worker that stopped never answers: what waits for it is told, and the next call starts another.
    this.#worker = spawnEmbedder((error) => {
      this.#worker = undefined;
      reject(error);
    });
    return this.#worker;
  }

  #keep(worker: Remote<EmbedderApi>): void {
    if (this.#kept) return;
    this.#kept = true;
    void worker.loaded().then(keepLoaded, () => undefined);
  }
}

function checked(request: EmbedRequest): EmbedRequest {
  const { texts, pooling, embedder }: { texts: unknown; pooling?: unknown; embedder?: unknown } = request;
  if (!Array.isArray(texts) || texts.length === 0 || !texts.every((each) => typeof each === 'string'))
    throw new LabError('request-invalid', 'texts is no list of texts.', "Give texts as a list, for example ['words about the sea'].");
  if (pooling !== undefined && pooling !== 'mean' && pooling !== 'cls')
    throw new LabError('request-invalid', 'pooling is neither “mean” nor “cls”.', 'Leave it out to pool as the model’s files say.');
  if (embedder !== undefined && typeof embedder !== 'string')
    throw new LabError('request-invalid', 'embedder is no id.', 'Give the id of one of lab.embedders(), or leave it out.');
  return request;
}
