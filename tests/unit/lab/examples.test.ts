import { describe, expect, it } from 'vitest';
import { CONTRAST, EXAMPLES, GIFT, isExample, STORY, TEACH } from '../../../src/lab/examples';
import { accepts, sentences } from '../../../tools/world';

describe('the examples', () => {
  it.each([STORY, GIFT, CONTRAST, ...EXAMPLES])('$label can be gone on with by the town’s own grammar', ({ prompt, ends }) => {
    const written = sentences(prompt + ends);
    expect(written.length).toBeGreaterThan(0);
    expect(written.filter(({ text }) => !accepts(text)).map(({ text }) => text)).toEqual([]);
  });

  it('name the answer that the sentence lacks', () => {
    for (const { prompt, answer, ends } of [GIFT, CONTRAST]) expect(`${prompt}${answer}.`).toBe(prompt + ends);
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
