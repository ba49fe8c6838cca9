/** The grammar writes what it reads and reads what it writes; nothing held out is ever seen in training. */
import { describe, expect, test } from 'vitest';
import { accepts, corrupt, documents, Random, sentences, type Document, type Split } from '../../../tools/world';
import { compile } from '../../../tools/world/grammar/template';
import { isHeldOut } from '../../../tools/world/genres/giving';
import { heldOutStrangers, strangers } from '../../../tools/world/lexicon/strangers';
import { people } from '../../../tools/world/lexicon/people';

function take(seed: number, split: Split, count: number): Document[] {
  const all: Document[] = [];
  for (const document of documents(seed, split)) if (all.push(document) === count) break;
  return all;
}

const some = take(11, 'train', 3000);
const words = (text: string): string[] => text.match(/\p{L}+/gu) ?? [];
const heldOut = new Set(heldOutStrangers.map(({ id }) => id.replace('stranger:', '')));
const invented = new Set(strangers.map(({ id }) => id.replace('stranger:', '')));

describe('the grammar', () => {
  test('writes the same documents from the same seed, others from another', () => {
    expect(take(11, 'train', 50)).toEqual(some.slice(0, 50));
    expect(take(12, 'train', 50)).not.toEqual(some.slice(0, 50));
    expect(take(11, 'held-out', 50)).not.toEqual(some.slice(0, 50));
  });

  test('accepts every sentence it wrote, in both splits', () => {
    const rejected = [...some, ...take(3, 'held-out', 1000)].flatMap(({ text }) => sentences(text)).filter(({ accepted }) => !accepted);
    expect(rejected).toEqual([]);
  });

  test('rejects at least 99 % of sentences with two words swapped or one replaced', () => {
    const all = some.flatMap(({ text }) => sentences(text).map((sentence) => sentence.text));
    const vocabulary = [...new Set(all.flatMap(words).map((word) => word.toLowerCase()))];
    const random = new Random(5);
    const spoiled = random.some(all, 2500).flatMap((sentence) => corrupt(sentence, vocabulary, random) ?? []);
    expect(spoiled.length).toBeGreaterThanOrEqual(2000);
    expect(spoiled.filter((sentence) => !accepts(sentence)).length / spoiled.length).toBeGreaterThanOrEqual(0.99);
  });

  test('knows the facts: one wrong is no sentence of this world', () => {
    expect(accepts('Mara lives near the lighthouse.')).toBe(true);
    expect(accepts('Mara lives near the mill.')).toBe(false);
    expect(accepts('Mara keeps a parrot.')).toBe(true);
    expect(accepts('Mara and his parrot walked past the mill.')).toBe(false);
    expect(accepts('Seven and two make nine.')).toBe(true);
    expect(accepts('Seven and two make ten.')).toBe(false);
    expect(accepts('One foggy morning, Odo walked to the harbour.')).toBe(true);
    expect(accepts('One foggy morning, Odo walked to the harbour')).toBe(false);
    expect(accepts('On an icy evening, Odo the baker sat beside the mill.')).toBe(false);
  });

  test('cuts a text that holds something else, and says which part is', () => {
    expect(sentences('Mara lives near the lighthouse. Mara lives near the cheese. Mara keeps a parrot.')).toEqual([
      { text: 'Mara lives near the lighthouse.', accepted: true },
      { text: 'Mara lives near the cheese.', accepted: false },
      { text: 'Mara keeps a parrot.', accepted: true },
    ]);
    expect(sentences('Guide: Gladly. You will find Mara near the lighthouse.\nand then').map(({ accepted }) => accepted)).toEqual([
      true,
      false,
    ]);
  });

  test('speaks in some 1,200 to 2,000 words, invented names and Spanish counted out', () => {
    const english = new Set(
      take(1, 'train', 12000)
        .filter(({ genre }) => genre !== 'spanish' && genre !== 'translation')
        .flatMap(({ text }) => words(text))
        .filter((word) => !invented.has(word))
        .map((word) => word.toLowerCase()),
    );
    expect(english.size).toBeGreaterThanOrEqual(1200);
    expect(english.size).toBeLessThanOrEqual(2000);
  });

  test('keeps held-out names and pairs out of training, and uses no others where they are asked about', () => {
    const trained = new Set(some.flatMap(({ text }) => words(text)));
    expect([...trained].filter((word) => heldOut.has(word))).toEqual([]);
    const asked = new Set(take(4, 'held-out', 1000).flatMap(({ text }) => words(text)));
    expect([...asked].filter((word) => invented.has(word) && !heldOut.has(word))).toEqual([]);

    const gift = /([A-Z]\w+) and ([A-Z]\w+) .*?(?:gave|handed|passed|offered|brought|lent|sold) /g;
    const pairs = (all: readonly Document[]): boolean[] =>
      all
        .filter(({ genre }) => genre === 'giving')
        .flatMap(({ text }) => [...text.matchAll(gift)])
        .map(([, one, other]) => {
          const [a, b] = [one, other].map((name) => people.find((person) => person.name === name));
          if (!a || !b) throw new Error(`nobody is called ${one} or ${other}`);
          return isHeldOut(a, b);
        });
    const [inTraining, inTesting] = [pairs(some), pairs(take(9, 'held-out', 500))];
    expect(inTraining.length).toBeGreaterThan(300);
    expect(inTraining).not.toContain(true);
    expect(inTesting.length).toBeGreaterThan(40);
    expect(inTesting).not.toContain(false);
  });

  test('refuses a rule that cannot be read', () => {
    expect(() => compile('{Person1} walks')).toThrow('cannot be read');
    expect(() => compile('[one|two')).toThrow('does not close');
  });
});
