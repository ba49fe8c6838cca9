/**
 * Texts as a sentence encoder reads them: with the special tokens that its tokenizer.json puts around a text, and cut to the length that it was made for. The
 * special tokens at both ends survive the cut, as in transformers. A language model's tokeniser (tokenizer.ts) does neither.
 */
import type { Tokenizer } from '@huggingface/tokenizers';
import { LabError } from '../errors';
import type { JsonObject } from './json';
import { build } from './tokenizer';

export interface Sentence {
  ids: number[];
  types: number[];
}

export class SentenceTokenizer {
  readonly #tokenizer: Tokenizer;

  /** `most`: tokens of a text at most, special ones included. Throws tokenizer-garbage. */
  constructor(
    source: { tokenizer: JsonObject; tokenizerConfig: JsonObject },
    readonly most: number,
  ) {
    this.#tokenizer = build(source);
  }

  encode(text: string): Sentence {
    try {
      return this.#encode(text);
    } catch (thrown) {
      const why = thrown instanceof Error ? thrown.message : String(thrown);
      throw new LabError(
        'tokenizer-failed',
        `The tokeniser failed on a text (${why}).`,
        'Drop the tokenizer.json that belongs to this model.',
      );
    }
  }

  #encode(text: string): Sentence {
    const whole = this.#tokenizer.encode(text, { add_special_tokens: true, return_token_type_ids: true });
    const excess = whole.ids.length - this.most;
    if (excess <= 0) return { ids: whole.ids, types: whole.token_type_ids };
    const bare = text === '' ? [] : this.#tokenizer.encode(text, { add_special_tokens: false }).ids;
    const added = whole.ids.length - bare.length;
    const starts = Array.from({ length: added + 1 }, (_, start) => start);
    const before = starts.find((start) => bare.every((id, i) => whole.ids[start + i] === id)) ?? added;
    const tail = added - before;
    const cut = <T>(list: readonly T[]): T[] => [...list.slice(0, this.most - tail), ...list.slice(list.length - tail)];
    return { ids: cut(whole.ids), types: cut(whole.token_type_ids) };
  }
}
