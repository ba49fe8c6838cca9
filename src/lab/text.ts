/**
 * Prompts to ids and ids to pieces, for the model in use. A string gets a BOS by the family's rule or by the caller's word;
 * a list of ids is taken verbatim, and checked, because an id outside the vocabulary would read another row of memory.
 */
import type { Remote } from 'comlink';
import type { ChatMessage, ChatOptions, ModelInfo, Prompt } from '../../workers/api';
import type { FilesApi, Vocabulary } from '../../workers/contract';
import { LabError } from '../../workers/errors';
import { checkOptions, yesOrNo } from './options';

export class Text {
  #vocabularies = new Map<string, Promise<Vocabulary>>();

  constructor(
    private readonly files: Remote<FilesApi>,
    private readonly model: () => ModelInfo,
  ) {}

  vocabulary(): Promise<Vocabulary> {
    const { id } = this.model();
    let known = this.#vocabularies.get(id);
    if (!known) {
      known = this.files.vocabulary(id);
      known.catch(() => this.#vocabularies.delete(id));
      this.#vocabularies.set(id, known);
    }
    return known;
  }

  forget(model: string): void {
    this.#vocabularies.delete(model);
  }

  tokenize(text: string, bos?: boolean): Promise<{ ids: number[]; pieces: string[] }> {
    return this.files.tokenize(this.model().id, text, bos);
  }

  /** The worker judges the messages; only what it judges by is sent, because anything may hang on them that cannot be. */
  chat(messages: readonly ChatMessage[], options: ChatOptions = {}): Promise<{ ids: number[]; pieces: string[] }> {
    checkOptions('lab.chat', options, CHAT_OPTIONS);
    for (const name of CHAT_OPTIONS) yesOrNo(name, options[name]);
    return this.files.chat(this.model().id, bare(messages), options);
  }

  decode(ids: readonly number[]): Promise<string> {
    if (ids.length === 0) return Promise.resolve('');
    return this.files.decode(this.model().id, ids);
  }

  /** The ids of a prompt, at least one. */
  async ids(prompt: Prompt, bos?: boolean): Promise<number[]> {
    const ids = typeof prompt === 'string' ? (await this.tokenize(prompt, bos)).ids : checkedIds(prompt, this.model().dVocab);
    if (ids.length === 0) {
      throw new LabError('prompt-empty', 'The prompt holds no token.', 'Type some text, or start from the BOS token with { bos: true }.');
    }
    return ids;
  }

  /**
   * The text that generated ids add to a prompt. Both are decoded together, because a tokeniser may drop the first token's
   * space and a character may span the seam.
   */
  async continuation(prompt: readonly number[], generated: readonly number[]): Promise<string> {
    if (generated.length === 0) return '';
    const [before, whole] = await Promise.all([this.decode(prompt), this.decode([...prompt, ...generated])]);
    return whole.startsWith(before) ? whole.slice(before.length) : this.decode(generated);
  }

  /** The one token that stands for exactly this text: a piece of the vocabulary, or a text that is one token long. */
  async token(token: string | number): Promise<{ id: number; piece: string }> {
    const { pieces } = await this.vocabulary();
    if (typeof token === 'number') {
      const [id = 0] = checkedIds([token], this.model().dVocab);
      return { id, piece: pieces[id] ?? '' };
    }
    const exact = pieces.indexOf(token);
    if (exact >= 0) return { id: exact, piece: token };
    const { ids, pieces: parts } = await this.tokenize(token, false);
    const [only] = ids;
    if (only === undefined || ids.length > 1) {
      const split = parts.map((part) => JSON.stringify(part)).join(', ');
      throw new LabError(
        'not-one-token',
        ids.length ? `${JSON.stringify(token)} is ${ids.length} tokens: ${split}.` : 'No token was given.',
        'Give one token. A leading space counts: " the" and "the" are different tokens.',
      );
    }
    return { id: only, piece: pieces[only] ?? '' };
  }
}

const CHAT_OPTIONS = ['generationPrompt', 'continueFinal'] as const;

/** Roles and contents that are texts; whatever else was given goes as nothing. */
function bare(messages: unknown): unknown {
  if (!Array.isArray(messages)) return undefined;
  const text = (value: unknown): unknown => (typeof value === 'string' ? value : undefined);
  return messages.map((each: unknown) =>
    typeof each === 'object' && each !== null
      ? { role: 'role' in each ? text(each.role) : undefined, content: 'content' in each ? text(each.content) : undefined }
      : undefined,
  );
}

export function checkedIds(ids: readonly number[], dVocab: number): number[] {
  // In a console `prompt` is the browser's own function until a script says otherwise.
  if (!Array.isArray(ids) && !ArrayBuffer.isView(ids))
    throw new LabError(
      'request-invalid',
      'What was given is neither a text nor a list of token ids.',
      'Give a text, or ids as in [5, 17, 113].',
    );
  const wrong = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= dVocab);
  if (wrong !== undefined) {
    throw new LabError('token-range', `${wrong} is not a token id of this model.`, `Ids are whole numbers from 0 to ${dVocab - 1}.`);
  }
  return [...ids];
}
