/**
 * Two dictionaries of one place side by side: which latents of the second are most like one of the first, and what the second finds in the same prompt. A wider one often
 * splits a latent into several (Bricken et al. 2023, “Towards Monosemanticity”: feature splitting).
 */
import type { Edit, Lab, SparseRows } from '../../workers/api';
import { labError } from './jobs';

/** Rows of the map under the latent. */
export const ALIKE = 6;

interface Alike {
  key: string;
  list: readonly { latent: number; cosine: number }[];
}
interface Read {
  dictionary: string;
  ids: readonly number[];
  rows: SparseRows;
}

export class BesideStore {
  #alike = $state.raw<Alike | undefined>();
  #read = $state.raw<Read | undefined>();
  problem = $state.raw<{ message: string; hint: string; code: string } | undefined>();
  #comparing = 0;
  #reading = 0;

  constructor(private readonly lab: Pick<Lab, 'similar' | 'encode'>) {}

  /** The latents of `other` most like this one, the likest first; undefined until they are known. */
  alike(dictionary: string, latent: number, other: string): Alike['list'] | undefined {
    return this.#alike?.key === keyOf(dictionary, latent, other) ? this.#alike.list : undefined;
  }
  /** What it finds in the prompt; undefined until it has been read. */
  rows(dictionary: string): SparseRows | undefined {
    return this.#read?.dictionary === dictionary ? this.#read.rows : undefined;
  }

  async compare(dictionary: string, latent: number, other: string): Promise<void> {
    const ticket = ++this.#comparing;
    await this.#try(
      () => ticket === this.#comparing,
      async () => {
        const list = await this.lab.similar({ dictionary, latent, other, top: ALIKE });
        if (ticket === this.#comparing) this.#alike = { key: keyOf(dictionary, latent, other), list };
      },
    );
  }

  async read(dictionary: string, ids: readonly number[], edits: Edit[]): Promise<void> {
    const ticket = ++this.#reading;
    await this.#try(
      () => ticket === this.#reading,
      async () => {
        const rows = await this.lab.encode({ dictionary, prompt: ids, edits });
        if (ticket === this.#reading) this.#read = { dictionary, ids, rows };
      },
    );
  }

  async #try(current: () => boolean, work: () => Promise<void>): Promise<void> {
    try {
      await work();
      if (current()) this.problem = undefined;
    } catch (thrown) {
      const { message, hint, code } = labError(thrown);
      if (current() && code !== 'cancelled') this.problem = { message, hint, code };
    }
  }
}

const keyOf = (dictionary: string, latent: number, other: string): string => JSON.stringify([dictionary, latent, other]);

/** "4 times as wide", "as wide", "a quarter as wide" … of one number of latents against another. */
export function widthInWords(latents: number, other: number): string {
  if (latents === other) return 'as wide';
  const times = Math.max(latents, other) / Math.min(latents, other);
  const said = times >= 9.5 ? String(Math.round(times)) : times.toFixed(1).replace(/\.0$/, '');
  return latents > other ? `${said} times as wide` : `${said} times narrower`;
}
