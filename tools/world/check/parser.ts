/** The parser itself, without any model: what the world writes it accepts, and what was spoiled in one place it does not. */
import { accepts, corrupt, documents, Random, sentences } from '../index';
import { shareOf, type Claim, type Outcome } from './claim';
import { some } from './texts';

export function parserRejects(least: number): Outcome {
  const random = new Random(7);
  const vocabulary = new Set<string>();
  const all: string[] = [];
  let unread = 0;
  for (const { text } of documents(7, 'held-out')) {
    for (const [word] of text.matchAll(/[\p{L}\p{N}]+(?:['’]\p{L}+)*/gu)) vocabulary.add(word);
    for (const sentence of sentences(text)) {
      if (!sentence.accepted) unread++;
      all.push(sentence.text);
    }
    if (all.length >= 2 * least) break;
  }
  const words = [...vocabulary];
  const tried = random.some(all, Math.ceil(1.25 * least)).flatMap((sentence) => {
    const spoiled = corrupt(sentence, words, random);
    return spoiled === undefined ? [] : [{ sentence, spoiled, passes: accepts(spoiled) }];
  });
  const passed = tried.filter(({ passes }) => passes).map(({ sentence, spoiled }) => `${sentence} → ${spoiled}`);
  return {
    measures: [
      {
        what: 'spoiled sentences rejected',
        value: shareOf(tried, ({ passes }) => !passes),
        bar: 0.99,
        at: 'least',
        n: tried.length,
        leastN: 2000,
      },
      { what: 'unspoiled ones accepted', value: 1 - unread / all.length, bar: 1, at: 'least', n: all.length, leastN: 2000 },
    ],
    notes: passed.length ? [`accepted all the same: ${some(passed, 10)}`] : [],
  };
}

export const parser: Claim = { name: 'parser', run: () => Promise.resolve(parserRejects(2000)) };
