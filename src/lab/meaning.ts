/**
 * Labels by meaning: the cosine of a text with each label, by vectors of a sentence encoder. A dictionary has tens of thousands of labels, so a label's vector is made once for
 * a dictionary and an encoder and kept in memory; what a cancelled search has made is kept too, and the next one goes on from there. A label that is changed is another text.
 */
import type { Job, Tensor } from '../../workers/api';
import { throwIfAborted } from '../../workers/errors';

/** One vector a text, of length 1: [texts, width]. */
export type Embed = (texts: readonly string[], job?: Job) => Promise<Tensor>;

export interface Meant<L> {
  label: L;
  /** −1 to 1. */
  cosine: number;
}

export interface MeaningRequest<L> {
  dictionary: string;
  /** The encoder that `embed` asks. */
  embedder: string;
  labels: readonly L[];
  meaning: string;
  /** Labels at most. */
  top: number;
}

/** Texts that are asked for at once: so much is lost by a cancel, at most. */
const PIECE = 256;

export class Meanings {
  /** By dictionary, then by encoder, then by text. */
  readonly #kept = new Map<string, Map<string, Map<string, Float32Array>>>();

  /** Best first; equal ones in the order of `labels`. Of a latent's labels only the best. Progress counts the texts that have to be embedded. */
  async search<L extends { latent: number; text: string }>(request: MeaningRequest<L>, embed: Embed, job?: Job): Promise<Meant<L>[]> {
    const { dictionary, embedder, labels, meaning, top } = request;
    const kept = this.#of(dictionary, embedder);
    const lacking = [...new Set(labels.map(({ text }) => text))].filter((text) => !kept.has(text));
    const of = lacking.length + 1;
    const inner = (done: number): Job => ({
      ...(job?.signal && { signal: job.signal }),
      ...(job?.progress && { progress: (more: number) => job.progress?.(done + more, of) }),
    });
    const [query] = rowsOf(await embed([meaning], inner(0)));
    for (let at = 0; at < lacking.length; at += PIECE) {
      throwIfAborted(job?.signal);
      const texts = lacking.slice(at, at + PIECE);
      for (const [i, row] of rowsOf(await embed(texts, inner(at + 1))).entries()) kept.set(texts[i] ?? '', row);
    }
    const best = new Map<number, Meant<L>>();
    for (const label of labels) {
      const row = kept.get(label.text);
      const cosine = query && row ? dot(query, row) : 0;
      const before = best.get(label.latent);
      if (!before || cosine > before.cosine) best.set(label.latent, { label, cosine });
    }
    return [...best.values()].sort((a, b) => b.cosine - a.cosine).slice(0, top);
  }

  /** A dictionary or an encoder has gone: so have the vectors made with it. */
  forget(id: string): void {
    this.#kept.delete(id);
    for (const encoders of this.#kept.values()) encoders.delete(id);
  }

  #of(dictionary: string, embedder: string): Map<string, Float32Array> {
    const encoders = this.#kept.get(dictionary) ?? new Map<string, Map<string, Float32Array>>();
    this.#kept.set(dictionary, encoders);
    const kept = encoders.get(embedder) ?? new Map<string, Float32Array>();
    encoders.set(embedder, kept);
    return kept;
  }
}

function rowsOf({ shape: [count = 0, width = 0], data }: Tensor): Float32Array[] {
  return Array.from({ length: count }, (_, row) => data.slice(row * width, (row + 1) * width));
}

/** Of vectors of length 1: their cosine. */
function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] ?? 0) * (b[i] ?? 0);
  return sum;
}
