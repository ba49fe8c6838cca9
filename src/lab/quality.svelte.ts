/** How good dictionaries are on texts: scores, kept for the session by dictionary, contract, text and how much of it. */
import type { DictionaryInfo, Lab, Quality } from '../../workers/api';
import { troubleOf, type Trouble } from './trouble';

export const LENGTHS = [1024, 4096, 16_384, 65_536, 262_144] as const;

export interface Measuring {
  key: string;
  done: number;
  of: number;
  secondsLeft?: number;
}

export class QualityStore {
  tokens = $state<number>(16_384);
  measuring = $state.raw<Measuring | undefined>();
  #found = $state.raw<ReadonlyMap<string, Quality>>(new Map());
  #problem = $state.raw<(Trouble & { key: string }) | undefined>();
  #abort: AbortController | undefined;

  constructor(private readonly lab: Lab) {}

  key(dictionary: DictionaryInfo, text: string): string {
    return JSON.stringify([dictionary.id, dictionary.contract, text, this.tokens]);
  }
  of(dictionary: DictionaryInfo, text: string): Quality | undefined {
    return this.#found.get(this.key(dictionary, text));
  }
  problemOf(dictionary: DictionaryInfo, text: string): Trouble | undefined {
    return this.#problem?.key === this.key(dictionary, text) ? this.#problem : undefined;
  }

  async measure(dictionary: DictionaryInfo, text: string): Promise<void> {
    if (this.measuring) return;
    const key = this.key(dictionary, text);
    const abort = new AbortController();
    this.#abort = abort;
    this.#problem = undefined;
    this.measuring = { key, done: 0, of: 0 };
    const began = performance.now();
    try {
      const found = await this.lab.quality(
        { dictionary: dictionary.id, text, tokens: this.tokens },
        {
          signal: abort.signal,
          progress: (done, of) => {
            const secondsLeft = done > 0 ? (((performance.now() - began) / done) * (of - done)) / 1000 : undefined;
            this.measuring = { key, done, of, ...(secondsLeft === undefined ? {} : { secondsLeft }) };
          },
        },
      );
      this.#found = new Map([...this.#found, [key, found]]);
    } catch (thrown) {
      const trouble = troubleOf(thrown);
      if (trouble) this.#problem = { ...trouble, key };
    } finally {
      this.measuring = undefined;
    }
  }

  cancel(): void {
    this.#abort?.abort();
  }
}
