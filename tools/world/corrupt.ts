/** Spoils a sentence: two of its words change places, or one gives way to another word of the world. */
import type { Random } from './random';

const WORD = /[\p{L}\p{N}]+(?:['’][\p{L}]+)*/gu;

/** Undefined where nothing can be spoiled. A sentence that comes out as it was is not spoiled. */
export function corrupt(sentence: string, vocabulary: readonly string[], random: Random): string | undefined {
  const words = [...sentence.matchAll(WORD)].map((match) => ({ text: match[0], start: match.index, end: match.index + match[0].length }));
  const put = (changes: readonly { start: number; end: number; text: string }[]): string =>
    [...changes]
      .sort((a, b) => b.start - a.start)
      .reduce((text, { start, end, text: word }) => text.slice(0, start) + word + text.slice(end), sentence);
  for (let attempt = 0; attempt < 20; attempt++) {
    let spoiled = sentence;
    if (random.chance(0.5)) {
      const [one, other] = random.some(words, 2);
      if (one && other)
        spoiled = put([
          { ...one, text: other.text },
          { ...other, text: one.text },
        ]);
    } else {
      const [one] = random.some(words, 1);
      if (one) spoiled = put([{ ...one, text: random.pick(vocabulary) }]);
    }
    if (spoiled !== sentence) return spoiled;
  }
  return undefined;
}
