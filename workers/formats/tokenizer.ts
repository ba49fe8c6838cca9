/**
 * A model's tokeniser: tokenizer.json checked against the model, text to ids with exactly one BOS where it belongs, ids
 * back to text, and the page's table of pieces. The byte-pair work itself is @huggingface/tokenizers'.
 */
import { Tokenizer } from '@huggingface/tokenizers';
import type { Vocabulary } from '../contract';
import { LabError } from '../errors';
import { isObject, type JsonObject } from './json';
import { pieceReader } from './pieces';

/** All that is known of a model's text side. `prependBos` is the family's rule. */
export interface TokenizerSource {
  tokenizer: JsonObject;
  tokenizerConfig: JsonObject;
  generationConfig: JsonObject;
  config: JsonObject;
  vocab: number;
  prependBos: boolean;
}

const HINT = 'Drop the tokenizer.json that belongs to this checkpoint.';

interface Added {
  id: number;
  content: string;
  special: boolean;
}

export class ModelTokenizer {
  readonly vocabulary: Omit<Vocabulary, 'chat'>;
  readonly #tokenizer: Tokenizer;
  readonly #vocab: number;
  /** Token n is written n: see plain-tokens.ts. */
  readonly #numbers: boolean;

  /** Throws tokenizer-garbage where the file is no tokeniser, tokenizer-mismatch where it names ids the model has not. */
  constructor(source: TokenizerSource) {
    this.#vocab = source.vocab;
    const added = addedTokens(source.tokenizer);
    checkIds(source);
    this.#tokenizer = build(source);
    const bos = findBos(source, added, this.#tokenizer);
    const special = new Set(added.filter((token) => token.special).map((token) => token.id));
    if (bos !== undefined) special.add(bos);
    this.vocabulary = {
      pieces: pieces(this.#tokenizer, source, added),
      special: [...special].sort((a, b) => a - b),
      bos,
      eos: findEos(source, this.#tokenizer),
      prependBos: source.prependBos && bos !== undefined,
    };
    this.#numbers = this.vocabulary.pieces.every((piece, id) => piece === String(id));
  }

  /**
   * Text to ids. A BOS that the text spells out itself is not doubled: with `bos` there is exactly one at the start.
   * Without `bos`, what the text says is what there is.
   */
  encode(text: string, bos = this.vocabulary.prependBos): { ids: number[]; pieces: string[] } {
    let ids: number[];
    try {
      ids = text === '' ? [] : this.#tokenizer.encode(text, { add_special_tokens: false }).ids;
    } catch (thrown) {
      throw new LabError(
        'tokenizer-failed',
        `The tokeniser failed on this text (${thrown instanceof Error ? thrown.message : String(thrown)}).`,
        HINT,
      );
    }
    const unknown = ids.some((id) => !Number.isInteger(id) || id < 0 || id >= this.#vocab);
    if (unknown && this.#numbers)
      throw new LabError(
        'tokenizer-failed',
        'This model came without a tokeniser: it reads numbers, and the text holds something else.',
        `Write ids from 0 to ${this.#vocab - 1} with spaces between, as in “0 ${Math.min(1, this.#vocab - 1)} ${this.#vocab - 1}”.`,
      );
    if (unknown)
      throw new LabError(
        'tokenizer-failed',
        'The text holds something that this model has no token for.',
        'Leave out unusual characters and added tokens, or give ids instead of text.',
      );
    const start = this.vocabulary.bos;
    if (bos) {
      if (start === undefined)
        throw new LabError('bos-missing', 'A BOS was asked for, but this model has none.', 'Leave `bos` out, or set it to false.');
      if (ids[0] !== start) ids = [start, ...ids];
    }
    return { ids, pieces: ids.map((id) => this.vocabulary.pieces[id] ?? '') };
  }

  /**
   * Ids of a whole text back to it. A leading BOS is no text and is left out; other special tokens stay visible. Bytes that
   * make no character become U+FFFD here; `vocabulary.pieces` shows them as they are.
   */
  decode(ids: readonly number[]): string {
    const bad = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= this.#vocab);
    if (bad !== undefined)
      throw new LabError(
        'token-range',
        `${String(bad)} is no token id of this model (0 to ${this.#vocab - 1}).`,
        'Give ids that the model has.',
      );
    const body = ids[0] !== undefined && ids[0] === this.vocabulary.bos ? ids.slice(1) : [...ids];
    const known = body.filter((id) => this.#tokenizer.id_to_token(id) !== undefined);
    if (known.length === 0) return '';
    return this.#tokenizer.decode(known, { skip_special_tokens: false, clean_up_tokenization_spaces: false });
  }
}

/** The ids that tokenizer.json gives out, held against the model before anything is built from them. */
export function checkIds({ tokenizer, vocab: size }: Pick<TokenizerSource, 'tokenizer' | 'vocab'>): void {
  const vocab = isObject(tokenizer['model']) ? tokenizer['model']['vocab'] : undefined;
  if (!isObject(vocab) && !Array.isArray(vocab))
    throw new LabError('tokenizer-garbage', 'tokenizer.json has no model with a vocabulary.', HINT);
  // Unigram models list [token, score], the place being the id; the others map token to id.
  const ids: [string, unknown][] = Array.isArray(vocab)
    ? vocab.map((each: unknown, id) => [String(Array.isArray(each) ? each[0] : each), id])
    : Object.entries(vocab);
  if (ids.length === 0) throw new LabError('tokenizer-garbage', 'tokenizer.json has an empty vocabulary.', HINT);
  if (!ids.every(([, id]) => Number.isSafeInteger(id) && Number(id) >= 0))
    throw new LabError('tokenizer-garbage', 'tokenizer.json: its vocabulary maps a token to something that is no id.', HINT);
  const mine = ids.filter(([, id]) => Number(id) < size).length;
  // A few tokens more than the model has (added for padding or chat and never trained) are common, and harmless until a text
  // uses one. Another model's tokeniser is not.
  if (mine < ids.length / 2)
    throw new LabError(
      'tokenizer-mismatch',
      `tokenizer.json names ${ids.length} tokens, most of which the model does not have: its vocabulary has ${size}.`,
      HINT,
    );
}

const MODELS = ['BPE', 'Unigram', 'WordPiece', 'WordLevel'];

/** The model's kind; older files leave it to be told by what the model holds. */
function kindOf(model: JsonObject): string {
  if (typeof model['type'] === 'string') return model['type'];
  if (Array.isArray(model['vocab'])) return 'Unigram';
  return 'merges' in model ? 'BPE' : 'continuing_subword_prefix' in model ? 'WordPiece' : 'WordLevel';
}

/** The library's tokeniser of a checked tokenizer.json; throws tokenizer-garbage. */
export function build({ tokenizer, tokenizerConfig }: Pick<TokenizerSource, 'tokenizer' | 'tokenizerConfig'>): Tokenizer {
  const model = isObject(tokenizer['model']) ? tokenizer['model'] : {};
  const type = kindOf(model);
  // The library reads any other kind as a list of words: wrong, and silent.
  if (!MODELS.includes(type))
    throw new LabError('tokenizer-garbage', `tokenizer.json is of a kind that Loupe does not know (“${type}”).`, HINT);
  const whole = {
    normalizer: null,
    pre_tokenizer: null,
    post_processor: null,
    decoder: null,
    ...tokenizer,
    model: { ...model, type },
    added_tokens: addedTokens(tokenizer, true),
  };
  // For lists of words the library looks for unk_token beside the model rather than in it.
  const config = type === 'WordLevel' ? { ...tokenizerConfig, unk_token: model['unk_token'] } : tokenizerConfig;
  try {
    return new Tokenizer(whole, config);
  } catch (thrown) {
    throw new LabError(
      'tokenizer-garbage',
      `tokenizer.json is no tokeniser that can be read (${thrown instanceof Error ? thrown.message : String(thrown)}).`,
      HINT,
    );
  }
}

function addedTokens(tokenizer: JsonObject, verbatim: true): JsonObject[];
function addedTokens(tokenizer: JsonObject): Added[];
function addedTokens(tokenizer: JsonObject, verbatim?: true): JsonObject[] | Added[] {
  const list: unknown = tokenizer['added_tokens'] ?? [];
  if (!Array.isArray(list)) throw new LabError('tokenizer-garbage', 'tokenizer.json: “added_tokens” is no list.', HINT);
  const read = list.map((each: unknown) => {
    if (!isObject(each) || typeof each['content'] !== 'string' || !Number.isSafeInteger(each['id']) || Number(each['id']) < 0)
      throw new LabError('tokenizer-garbage', 'tokenizer.json: an added token has no content or no id.', HINT);
    return { raw: each, token: { id: Number(each['id']), content: each['content'], special: each['special'] === true } };
  });
  return verbatim ? read.map((each) => each.raw) : read.map((each) => each.token);
}

function pieces(tokenizer: Tokenizer, source: TokenizerSource, added: readonly Added[]): string[] {
  const read = pieceReader(source.tokenizer);
  const verbatim = new Map(added.map((token) => [token.id, token.content]));
  return Array.from({ length: source.vocab }, (_, id) => {
    const token = tokenizer.id_to_token(id);
    return verbatim.get(id) ?? (token === undefined ? `<unused ${id}>` : read(token));
  });
}

/** A token as configs write it: its text, or an object around the text. */
function tokenText(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  return isObject(value) && typeof value['content'] === 'string' ? value['content'] : undefined;
}

/** Names that tokeniser classes use for BOS where no file says which it is. */
const USUAL_BOS = ['<s>', '<|begin_of_text|>', '<|endoftext|>'];

/**
 * tokenizer_config's word counts first, then the model's ids, then custom. A null in tokenizer_config (Qwen) means that the
 * tokeniser writes none of its own accord: then only an id that the model names is one.
 */
function findBos(source: TokenizerSource, added: readonly Added[], tokenizer: Tokenizer): number | undefined {
  if ('bos_token' in source.tokenizerConfig) {
    const text = tokenText(source.tokenizerConfig['bos_token']);
    const id = text === undefined ? undefined : tokenizer.token_to_id(text);
    if (id !== undefined) return id;
  }
  for (const config of [source.config, source.generationConfig]) {
    const id = config['bos_token_id'];
    if (typeof id === 'number' && Number.isInteger(id) && id >= 0 && id < source.vocab) return id;
  }
  if (source.tokenizerConfig['bos_token'] === null) return undefined;
  return USUAL_BOS.map((name) => added.find((token) => token.special && token.content === name)?.id).find((id) => id !== undefined);
}

/** What ends a text: generation_config, else config (a number or several), else the tokeniser's own eos_token. */
function findEos(source: TokenizerSource, tokenizer: Tokenizer): number[] {
  for (const config of [source.generationConfig, source.config]) {
    const value = config['eos_token_id'];
    const ids = (Array.isArray(value) ? value : [value]).filter(
      (id): id is number => typeof id === 'number' && Number.isInteger(id) && id >= 0 && id < source.vocab,
    );
    if (ids.length > 0) return [...new Set(ids)];
  }
  const text = tokenText(source.tokenizerConfig['eos_token']);
  const id = text === undefined ? undefined : tokenizer.token_to_id(text);
  return id === undefined ? [] : [id];
}
