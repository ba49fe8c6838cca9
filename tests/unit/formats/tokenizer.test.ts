import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isObject, type JsonObject } from '../../../workers/formats/json';
import { bytesToText, byteLevelPiece, sentencePiece } from '../../../workers/formats/pieces';
import { plainTokens } from '../../../workers/formats/plain-tokens';
import { ModelTokenizer, type TokenizerSource } from '../../../workers/formats/tokenizer';
import { refusal } from '../refusal';
import { TOKENIZER } from '../safetensors-writer';
import { dataJson, haveData } from '../shared-data';

const object = (value: unknown): JsonObject => {
  if (!isObject(value)) throw new Error('the test’s data is no object');
  return value;
};
const source = (change: Partial<TokenizerSource> = {}): TokenizerSource => ({
  tokenizer: TOKENIZER,
  tokenizerConfig: {},
  generationConfig: {},
  config: {},
  vocab: 11,
  prependBos: true,
  ...change,
});

describe('a model without a tokeniser', () => {
  const plain = (): ModelTokenizer => new ModelTokenizer(source({ tokenizer: plainTokens(90), vocab: 90, prependBos: false }));
  it('reads numbers, and says so of anything else', async () => {
    expect(plain().encode('5  17\n89').ids).toEqual([5, 17, 89]);
    for (const text of ['Once upon a time', '90', '-1', '007', '1,2'])
      expect(await refusal(() => plain().encode(text))).toMatchObject({
        code: 'tokenizer-failed',
        hint: expect.stringContaining('from 0 to 89') as string,
      });
  });
});

describe('pieces', () => {
  it('write characters where bytes form them and <0x..> where they do not', () => {
    expect(bytesToText([0xe2, 0x80, 0x94])).toBe('—');
    expect(bytesToText([0x20, 0xe2, 0x80])).toBe(' <0xE2><0x80>');
    expect(bytesToText([0x94, 0x41])).toBe('<0x94>A');
    expect(bytesToText([0xef, 0xbb, 0xbf])).toBe('\ufeff');
    expect(bytesToText([0xc0, 0x80, 0xed, 0xa0, 0x80])).toBe('<0xC0><0x80><0xED><0xA0><0x80>');
  });
  it('are the text itself wherever the bytes are UTF-8', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(bytesToText([...new TextEncoder().encode(text)])).toBe(text);
      }),
    );
  });
  it('lose no byte', () => {
    const back = (text: string): number[] =>
      text.split(/(<0x[0-9A-F]{2}>)/).flatMap((part) => {
        const byte = /^<0x(..)>$/.exec(part)?.[1];
        return byte ? [parseInt(byte, 16)] : [...new TextEncoder().encode(part)];
      });
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 12 }), (bytes) => {
        const text = bytesToText([...bytes]);
        fc.pre(!new TextDecoder('latin1').decode(bytes).includes('<0x'));
        expect(back(text)).toEqual([...bytes]);
      }),
    );
  });
  it('read both alphabets', () => {
    expect(byteLevelPiece('ĠcafÃ©')).toBe(' café');
    expect(byteLevelPiece('Ċ')).toBe('\n');
    expect(byteLevelPiece('<|日本|>')).toBe('<|日本|>');
    expect(sentencePiece('▁▁a')).toBe('  a');
    expect(sentencePiece('<0x0A>')).toBe('\n');
    expect(sentencePiece('<0xE2>')).toBe('<0xE2>');
  });
});

describe('a tokeniser', () => {
  it('gives exactly one BOS where it is due, and none where it is not', () => {
    const tokenizer = new ModelTokenizer(source({ config: { bos_token_id: 0 } }));
    expect(tokenizer.encode('ab a').ids).toEqual([0, 4, 5]);
    expect(tokenizer.encode('ab a', false).ids).toEqual([4, 5]);
    expect(tokenizer.encode('<s>ab').ids).toEqual([0, 4]);
    expect(tokenizer.encode('<s>ab', false).ids).toEqual([0, 4]);
    expect(tokenizer.encode('').ids).toEqual([0]);
    expect(tokenizer.encode('', false).ids).toEqual([]);
    expect(tokenizer.encode('ab a').pieces).toEqual(['<s>', 'ab', ' a']);
  });
  it('does not add BOS a second time where the file’s own post-processor would', () => {
    const post = {
      type: 'TemplateProcessing',
      single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
      pair: [],
      special_tokens: { '<s>': { id: '<s>', ids: [0], tokens: ['<s>'] } },
    };
    const tokenizer = new ModelTokenizer(source({ tokenizer: { ...TOKENIZER, post_processor: post } }));
    expect(tokenizer.encode('ab').ids).toEqual([0, 4]);
    expect(tokenizer.encode('ab', false).ids).toEqual([4]);
  });
  it('follows the family’s rule', () => {
    const tokenizer = new ModelTokenizer(source({ prependBos: false }));
    expect(tokenizer.vocabulary).toMatchObject({ prependBos: false, bos: 0 });
    expect(tokenizer.encode('ab').ids).toEqual([4]);
    expect(tokenizer.encode('ab', true).ids).toEqual([0, 4]);
  });
  it('finds BOS in tokenizer_config first; with a null there, only an id that the model names is one', async () => {
    const bos = (change: Partial<TokenizerSource>): number | undefined => new ModelTokenizer(source(change)).vocabulary.bos;
    expect(bos({ tokenizerConfig: { bos_token: { content: 'b' } }, config: { bos_token_id: 0 } })).toBe(2);
    expect(bos({ tokenizerConfig: { bos_token: 'b' } })).toBe(2);
    expect(bos({ config: { bos_token_id: 1 } })).toBe(1);
    expect(bos({ config: { bos_token_id: 50256 } })).toBe(0);
    expect(bos({})).toBe(0);
    expect(bos({ tokenizerConfig: { bos_token: null }, config: { bos_token_id: 1 } })).toBe(1);
    const none = new ModelTokenizer(source({ tokenizerConfig: { bos_token: null } }));
    expect(none.vocabulary).toMatchObject({ bos: undefined, prependBos: false });
    expect(none.encode('ab').ids).toEqual([4]);
    expect((await refusal(() => none.encode('ab', true))).code).toBe('bos-missing');
  });
  it('finds EOS in generation_config, then config, one or several', () => {
    const eos = (change: Partial<TokenizerSource>): number[] => new ModelTokenizer(source(change)).vocabulary.eos;
    expect(eos({ generationConfig: { eos_token_id: [1, 2] }, config: { eos_token_id: 3 } })).toEqual([1, 2]);
    expect(eos({ config: { eos_token_id: 3 } })).toEqual([3]);
    expect(eos({ tokenizerConfig: { eos_token: 'b' } })).toEqual([2]);
    expect(eos({ config: { eos_token_id: 99 } })).toEqual([]);
  });
  it('has a piece for every id of the model', () => {
    const { pieces, special } = new ModelTokenizer(source()).vocabulary;
    expect(pieces).toEqual(['<s>', 'a', 'b', ' ', 'ab', ' a', '<0xE2>', '<unused 7>', '<unused 8>', '<unused 9>', '<unused 10>']);
    expect(special).toEqual([0]);
  });
  it('decodes whole texts, leaving out a leading BOS only', async () => {
    const tokenizer = new ModelTokenizer(source());
    expect(tokenizer.decode([0, 4, 5, 0])).toBe('ab a<s>');
    expect(tokenizer.decode([])).toBe('');
    expect(tokenizer.decode([0])).toBe('');
    expect(tokenizer.decode([4, 9])).toBe('ab');
    expect((await refusal(() => tokenizer.decode([11]))).code).toBe('token-range');
    expect((await refusal(() => tokenizer.decode([-1]))).code).toBe('token-range');
  });
  it.each<[string, string, Partial<TokenizerSource>]>([
    ['ids that the model mostly has not', 'tokenizer-mismatch', { vocab: 2 }],
    ['no model', 'tokenizer-garbage', { tokenizer: {} }],
    ['an empty vocabulary', 'tokenizer-garbage', { tokenizer: { ...TOKENIZER, model: { type: 'BPE', vocab: {}, merges: [] } } }],
    [
      'a vocabulary of words without ids',
      'tokenizer-garbage',
      { tokenizer: { ...TOKENIZER, model: { type: 'BPE', vocab: { a: 'b' }, merges: [] } } },
    ],
    ['an unknown kind of model', 'tokenizer-garbage', { tokenizer: { ...TOKENIZER, model: { type: 'Oracle', vocab: { a: 1 } } } }],
    ['added tokens that are none', 'tokenizer-garbage', { tokenizer: { ...TOKENIZER, added_tokens: ['x'] } }],
  ])('is refused with %s', async (_, code, change) => {
    const error = await refusal(() => new ModelTokenizer(source(change)));
    expect(error.code).toBe(code);
    expect(error.hint).not.toBe('');
  });
  it('may name a few tokens that the model has not: only a text that uses one is refused', async () => {
    const tokenizer = new ModelTokenizer(
      source({ tokenizer: { ...TOKENIZER, added_tokens: [...TOKENIZER.added_tokens, { id: 5e8, content: 'PAD' }] } }),
    );
    expect(tokenizer.encode('ab').ids).toEqual([0, 4]);
    expect((await refusal(() => tokenizer.encode('ab PAD'))).code).toBe('tokenizer-failed');
  });
  it('may be a list of words, unknown ones included', () => {
    const words = {
      added_tokens: [],
      pre_tokenizer: { type: 'Whitespace' },
      model: { type: 'WordLevel', vocab: { '[UNK]': 0, snow: 1, falls: 2 }, unk_token: '[UNK]' },
    };
    expect(new ModelTokenizer(source({ tokenizer: words })).encode('snow never falls', false).ids).toEqual([1, 0, 2]);
  });
  it('throws nothing but LabErrors over a mangled file', () => {
    fc.assert(
      fc.property(fc.constantFrom(...Object.keys(TOKENIZER), ...Object.keys(TOKENIZER.model)), fc.jsonValue(), (key, value) => {
        const tokenizer = key in TOKENIZER ? { ...TOKENIZER, [key]: value } : { ...TOKENIZER, model: { ...TOKENIZER.model, [key]: value } };
        try {
          new ModelTokenizer(source({ tokenizer })).encode('ab a');
        } catch (thrown) {
          expect(thrown).toMatchObject({ name: 'LabError' });
        }
      }),
    );
  });
});

describe.skipIf(!haveData('gpt2-tokenizer'))('GPT-2’s tokeniser', () => {
  const make = (): ModelTokenizer =>
    new ModelTokenizer(source({ tokenizer: object(dataJson('gpt2-tokenizer/tokenizer.json')), vocab: 50257 }));
  const entries = (): { id: string; input_ids: number[]; decoded_with_special: string }[] =>
    object(dataJson('gpt2-tokenizer/gpt2_multilingual.json'))['entries'] as ReturnType<typeof entries>;
  const texts = (): { id: string; text: string }[] => dataJson('gpt2-tokenizer/multilingual_inputs.json') as ReturnType<typeof texts>;

  it('agrees on 83 of 83 multilingual texts, both ways', () => {
    const tokenizer = make();
    const text = new Map(texts().map((each) => [each.id, each.text]));
    const wrong = entries().filter((each) => {
      const { ids } = tokenizer.encode(text.get(each.id) ?? '', false);
      return ids.join() !== each.input_ids.join() || tokenizer.decode(ids) !== each.decoded_with_special;
    });
    expect(wrong.map((each) => each.id)).toEqual([]);
    expect(`${entries().length - wrong.length} of ${texts().length}`).toBe('83 of 83');
  });
  it('knows <|endoftext|> as its BOS', () => {
    const tokenizer = make();
    expect(tokenizer.vocabulary.bos).toBe(50256);
    expect(tokenizer.encode('Hello').ids).toEqual([50256, 15496]);
    expect(tokenizer.encode('<|endoftext|>Hello').ids).toEqual([50256, 15496]);
  });
  it('has pieces that spell every text, byte for byte', () => {
    const tokenizer = make();
    const ascii = texts().filter((each) => /^[\x20-\x7e]*$/.test(each.text));
    for (const { text } of ascii) expect(tokenizer.encode(text, false).pieces.join('')).toBe(text);
    expect(tokenizer.vocabulary.pieces).toHaveLength(50257);
    expect(tokenizer.vocabulary.pieces[220]).toBe(' ');
    expect(tokenizer.vocabulary.pieces[138]).toBe('<0xCE>');
  });
});

describe.skipIf(!haveData('stories260K'))('a SentencePiece-style tokeniser', () => {
  const read = (name: string): JsonObject => object(dataJson(`stories260K/${name}.json`));
  const make = (): ModelTokenizer =>
    new ModelTokenizer(
      source({
        tokenizer: read('tokenizer'),
        tokenizerConfig: read('tokenizer_config'),
        generationConfig: read('generation_config'),
        config: read('config'),
        vocab: 512,
      }),
    );
  it('reads the golden prompt', () => {
    const golden = read('golden');
    const { ids, pieces } = make().encode(String(golden['prompt']));
    expect(ids).toEqual(golden['input_ids']);
    expect(pieces.join('')).toBe(`<s> ${String(golden['prompt'])}`);
    expect(make().decode(ids)).toBe(golden['prompt']);
  });
  it('falls back to bytes for what it has no token for, and back', () => {
    const tokenizer = make();
    const { ids, pieces } = tokenizer.encode('snow ☃!', false);
    expect(pieces.slice(-4)).toEqual(['<0xE2>', '<0x98>', '<0x83>', '!']);
    expect(tokenizer.decode(ids)).toBe('snow ☃!');
    expect(tokenizer.vocabulary).toMatchObject({ bos: 1, eos: [2], special: [0, 1, 2], prependBos: true });
    expect(tokenizer.vocabulary.pieces[13]).toBe('\n');
  });
});
