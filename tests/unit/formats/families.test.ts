/**
 * The kinds of tokeniser that the families ship, small and trained for the purpose, against the Python tokenizers library:
 * ids and text back. chat/make.py makes them.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../../../workers/formats/json';
import { ModelTokenizer, type TokenizerSource } from '../../../workers/formats/tokenizer';
import { refusal } from '../refusal';

interface Kind {
  tokenizer: JsonObject;
  vectors: { text: string; ids: number[]; decoded: string }[];
}
const kinds = JSON.parse(readFileSync(fileURLToPath(new URL('chat/tokenizers.json', import.meta.url)), 'utf8')) as Record<string, Kind>;

function make(kind: string, change: Partial<TokenizerSource> = {}): ModelTokenizer {
  const tokenizer = kinds[kind]?.tokenizer ?? {};
  return new ModelTokenizer({ tokenizer, tokenizerConfig: {}, generationConfig: {}, config: {}, vocab: 600, prependBos: true, ...change });
}

describe.each(Object.entries(kinds))('the %s kind', (name, { vectors }) => {
  it('reads every text as the Python library does, and writes it back', () => {
    const tokenizer = make(name);
    const { bos } = tokenizer.vocabulary;
    for (const { text, ids, decoded } of vectors) {
      expect(tokenizer.encode(text, false).ids, JSON.stringify(text)).toEqual(ids);
      // A leading BOS is no text here.
      if (ids.length > 0 && ids[0] !== bos) expect(tokenizer.decode(ids), JSON.stringify(text)).toBe(decoded);
    }
    expect(vectors.length).toBeGreaterThan(21);
  });
});

describe('what the families’ files say of special tokens', () => {
  const id = (kind: string, piece: string): number => make(kind).vocabulary.pieces.indexOf(piece);

  it('Qwen: no BOS of its own; the model’s id is one, and is added where it is asked for', async () => {
    const end = id('qwen', '<|endoftext|>');
    const tokenizerConfig = { bos_token: null, add_bos_token: false, eos_token: '<|im_end|>' };
    const without = make('qwen', { tokenizerConfig, prependBos: false });
    expect(without.vocabulary).toMatchObject({ bos: undefined, prependBos: false, eos: [id('qwen', '<|im_end|>')] });
    expect((await refusal(() => without.encode('Who?', true))).code).toBe('bos-missing');
    const named = make('qwen', { tokenizerConfig, prependBos: false, config: { bos_token_id: end } });
    expect(named.vocabulary).toMatchObject({ bos: end, prependBos: false });
    expect(named.encode('Who?').ids[0]).not.toBe(end);
    expect(named.encode('Who?', true).ids).toEqual([end, ...named.encode('Who?').ids]);
  });
  it('add_bos_token has no say: the family’s rule has, or the caller', () => {
    const end = id('neox', '<|endoftext|>');
    const tokenizer = make('neox', { tokenizerConfig: { bos_token: '<|endoftext|>', add_bos_token: false } });
    expect(tokenizer.vocabulary).toMatchObject({ bos: end, prependBos: true });
    expect(tokenizer.encode('lamp').ids[0]).toBe(end);
    expect(tokenizer.encode('lamp', false).ids[0]).not.toBe(end);
  });
  it.each([
    ['gemma', '<bos>'],
    ['phi3', '<s>'],
    ['mistral', '<s>'],
    ['llama3', '<|begin_of_text|>'],
  ])('%s begins with one %s, also where the text spells it', (kind, bos) => {
    const tokenizer = make(kind, { tokenizerConfig: { bos_token: bos } });
    for (const text of ['lamp', `${bos}lamp`]) {
      const { pieces } = tokenizer.encode(text);
      expect(pieces[0]).toBe(bos);
      expect(pieces.filter((piece) => piece === bos)).toHaveLength(1);
    }
  });
  it.each([
    ['llama3', ['<|end_of_text|>', '<|eot_id|>']],
    ['gemma', ['<eos>', '<end_of_turn>']],
    ['qwen', ['<|im_end|>', '<|endoftext|>']],
  ])('%s ends a text at any of %j', (kind, ends) => {
    const ids = ends.map((piece) => id(kind, piece));
    const tokenizer = make(kind, { generationConfig: { eos_token_id: ids }, config: { eos_token_id: 0 } });
    expect(tokenizer.vocabulary.eos).toEqual(ids);
    for (const each of ids) expect(tokenizer.vocabulary.special).toContain(each);
  });
  it.each(['<|im_start|>', '<|im_end|>', '<|endoftext|>'])('%s typed into a prompt is that token, and special', (piece) => {
    const tokenizer = make('qwen');
    const { ids, pieces } = tokenizer.encode(`lamp${piece} lamp`, false);
    const at = pieces.indexOf(piece);
    expect(at).toBeGreaterThan(0);
    expect(tokenizer.vocabulary.special).toContain(ids[at]);
  });
  it('a run of ▁ in Gemma’s vocabulary is shown as typed, not as spaces', () => {
    expect(make('gemma').encode('▁▁', false).pieces).toEqual(['▁▁']);
    expect(make('gemma').encode('a  b', false).pieces.join('')).toBe('a  b');
  });
});
