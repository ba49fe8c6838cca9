/** An example as a line of a concordance: the peak in one column, what stands before it to the left, what follows to the right. */
import type { Example } from '../../workers/api';
import { number } from './format';
import { shown } from './pieces';

export interface Word {
  text: string;
  /** How full its ground is, 0 to 1. */
  share: number;
  quiet: boolean;
  breaks: boolean;
  title: string;
}
export interface Line {
  before: Word[];
  peak: Word;
  after: Word[];
  /** There is more on that side. */
  cutBefore: boolean;
  cutAfter: boolean;
}

const activation = (value: number): string => (value > 0 ? `activation ${number(value)}` : 'rests');

/** The tokens of an example as words, shaded by value ÷ most; special ones left out, for they are no part of the text. */
export function wordsOf(example: Example, most: number, special: ReadonlySet<number>, said = activation): (Word | undefined)[] {
  return example.tokens.map(({ id, piece }, i) => {
    if (special.has(id)) return undefined;
    const value = example.values[i] ?? 0;
    const form = shown(piece, false);
    return {
      text: form.text,
      share: most > 0 ? Math.min(1, Math.max(0, value / most)) : 0,
      quiet: form.form !== 'text',
      breaks: form.breaks,
      title: said(value),
    };
  });
}

/** At most `reach` tokens on either side of the peak. */
export function lineOf(example: Example, words: readonly (Word | undefined)[], reach: number): Line {
  const at = example.position;
  const side = (from: number, to: number): Word[] => words.slice(Math.max(0, from), to).filter((word) => word !== undefined);
  return {
    before: side(at - reach, at),
    peak: words[at] ?? { text: '', share: 0, quiet: true, breaks: false, title: '' },
    after: side(at + 1, at + 1 + reach),
    cutBefore: side(0, at - reach).length > 0,
    cutAfter: side(at + 1 + reach, words.length).length > 0,
  };
}

/** The position of this token that lies nearest; undefined where there is none. */
export function nearestSame(ids: readonly number[], id: number | undefined, near: number): number | undefined {
  let best: number | undefined;
  ids.forEach((each, i) => {
    if (each === id && (best === undefined || Math.abs(i - near) < Math.abs(best - near))) best = i;
  });
  return best;
}
