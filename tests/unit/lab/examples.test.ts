import { readFileSync } from 'node:fs';
import { Tokenizer } from '@huggingface/tokenizers';
import { describe, expect, it } from 'vitest';
import { EXAMPLE_PAIRS } from '../../../src/lab/example-pairs';
import { CONTRAST, EXAMPLES, FACT, GIFT, OTHER_FACT, isExample, STORY, TEACH } from '../../../src/lab/examples';
import { accepts, sentences } from '../../../tools/world';

describe('the examples', () => {
  it.each([STORY, GIFT, CONTRAST, OTHER_FACT, ...EXAMPLES])('$label can be gone on with by the town’s own grammar', ({ prompt, ends }) => {
    const written = sentences(prompt + ends);
    expect(written.length).toBeGreaterThan(0);
    expect(written.filter(({ text }) => !accepts(text)).map(({ text }) => text)).toEqual([]);
  });

  it('name the answer that the sentence lacks', () => {
    for (const { prompt, answer, ends } of [GIFT, CONTRAST, FACT, OTHER_FACT]) expect(`${prompt}${answer}.`).toBe(prompt + ends);
  });

  it('come as a set of pairs, one name apart, as long, each answer one token', () => {
    const folder = new URL('../../../public/demo/lanternwick/', import.meta.url);
    const read = (name: string): object => JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as object;
    const tokenizer = new Tokenizer(read('tokenizer.json'), read('tokenizer_config.json'));
    const ids = (text: string): number[] => tokenizer.encode(text, { add_special_tokens: false }).ids;
    expect(EXAMPLE_PAIRS.length).toBeGreaterThanOrEqual(8);
    for (const { clean, contrast, correct = '', wrong = '' } of EXAMPLE_PAIRS) {
      const [a, b] = [ids(clean), ids(contrast)];
      expect([a.length, b.length, a.filter((id, i) => id !== b[i]).length, ids(correct).length, ids(wrong).length]).toEqual([
        14, 14, 1, 1, 1,
      ]);
      for (const whole of [`${clean}${correct}.`, `${contrast}${wrong}.`])
        expect(
          sentences(whole).every(({ text }) => accepts(text)),
          whole,
        ).toBe(true);
    }
  });

  it('are told from what a person wrote', () => {
    expect(isExample(GIFT.prompt)).toBe(true);
    expect(isExample('  ')).toBe(true);
    expect(isExample(`${GIFT.prompt} me`)).toBe(false);
  });

  it('are explained in two sentences', () => {
    for (const teach of Object.values(TEACH)) expect(teach.length).toBe(2);
  });
});
