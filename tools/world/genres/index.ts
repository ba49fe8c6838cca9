/** All genres and how often each is written. */
import type { Genre } from '../writer';
import { facts, questions } from './facts';
import { giving } from './giving';
import { guide } from './guide';
import { code, lists, sums } from './numbers';
import { diary, letters, reviews, weatherReport } from './papers';
import { roll } from './roll';
import { stories } from './stories';
import { spanishTexts, translations } from './two-languages';

export const genres: readonly Genre[] = [
  stories,
  giving,
  facts,
  questions,
  guide,
  roll,
  letters,
  diary,
  weatherReport,
  reviews,
  lists,
  sums,
  code,
  translations,
  spanishTexts,
];

/** Documents of a genre in a hundred or so. */
export const WEIGHTS: Readonly<Record<string, number>> = {
  story: 26,
  giving: 14,
  facts: 12,
  question: 6,
  guide: 14,
  roll: 8,
  letter: 4,
  diary: 4,
  weather: 3,
  review: 4,
  list: 3,
  sum: 6,
  code: 2,
  translation: 4,
  spanish: 3,
};
