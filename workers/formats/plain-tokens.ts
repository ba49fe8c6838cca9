/**
 * The tokeniser of a model that comes without one: token n is written n, and a text is numbers with spaces between. Models of modular
 * arithmetic and other toys are trained on ids alone; this is how a person types them.
 */
import type { JsonObject } from './json';

export function plainTokens(vocab: number): JsonObject {
  return {
    version: '1.0',
    added_tokens: [],
    pre_tokenizer: { type: 'WhitespaceSplit' },
    model: { type: 'WordLevel', vocab: Object.fromEntries(Array.from({ length: vocab }, (_, id) => [String(id), id])), unk_token: null },
  };
}
