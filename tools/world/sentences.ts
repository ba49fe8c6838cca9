/**
 * Cuts a text into sentences, those of the town and those a model wrote alike. A sentence is what one rule writes (a program and a question
 * with its answer are one each); where no rule fits, it is what stands before the next full stop or line end, and it is rejected.
 */
import type { Parser } from './grammar/parse';

export interface Sentence {
  text: string;
  accepted: boolean;
}

const END = /[.!?]["”]?(?= |\n|$)|(?=\n)|$/g;

export function sentences(text: string, parser: Parser): Sentence[] {
  const found: Sentence[] = [];
  let at = 0;
  while (at < text.length) {
    if (text[at] === ' ' || text[at] === '\n') {
      at++;
      continue;
    }
    const end = parser.longest(text, at);
    if (end > at) {
      found.push({ text: text.slice(at, end), accepted: true });
      at = end;
      continue;
    }
    END.lastIndex = at + 1;
    const stop = END.exec(text);
    const cut = stop ? Math.max(at + 1, stop.index + stop[0].length) : text.length;
    found.push({ text: text.slice(at, cut), accepted: false });
    at = cut;
  }
  return found;
}
