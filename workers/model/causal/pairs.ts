/** Two prompts that are to be compared position by position must have as many tokens each. */
import { LabError } from '../../errors';

export interface IdPair {
  clean: readonly number[];
  corrupted: readonly number[];
}

/** `sweep-lengths` where a pair's prompts differ in length, or, where cells have positions (`aligned`), one pair from another. */
export function checkPairs(pairs: readonly IdPair[], aligned: boolean): void {
  pairs.forEach(({ clean, corrupted }, i) => {
    if (clean.length !== corrupted.length)
      throw new LabError(
        'sweep-lengths',
        `The clean prompt${of(i)} has ${clean.length} tokens and the corrupted one ${corrupted.length}.`,
        'Both must have as many tokens: choose words that are one token each, or as many, in the same places. lab.tokenize() shows them.',
      );
  });
  const [first] = pairs;
  const other = pairs.findIndex(({ clean }) => clean.length !== first?.clean.length);
  if (aligned && first && other >= 0)
    throw new LabError(
      'sweep-lengths',
      `The first pair has ${first.clean.length} tokens and pair ${other + 1} ${pairs[other]?.clean.length}.`,
      'Where a grid has positions, all pairs must have as many tokens. A layer × head grid takes any.',
    );
}
const of = (i: number): string => (i === 0 ? '' : ` of pair ${i + 1}`);

/** The first position at which two prompts differ; their length where they do not. */
export function firstDifference({ clean, corrupted }: IdPair): number {
  const found = clean.findIndex((id, i) => id !== corrupted[i]);
  return found < 0 ? clean.length : found;
}
