/**
 * Held-out text in which every label is told often. Jobs and feelings are rare: in natural text fifty of each take a million tokens. Documents
 * are taken by what they tell and by nothing else, and read as far as they tell it, in two halves that share no document, so that a threshold that is set on
 * one can be scored on the other. What is rare in the town is commoner here, and a latent's precision a little higher than in natural text.
 */
import { documents, type Document } from './world';

const SCANNED = 40_000;
/** What a document must add to be taken, in wanted mentions a hundred characters: the richest first. */
const WORTH = [8, 6, 5, 4, 3, 2.5, 2, 1.5, 1, 0.5, 0];
/** Longer spans (a genre, a sentence that refuses) are plentiful without being looked for. */
const WORD = 30;

/** A document and how many of its characters are read. */
export interface Part {
  document: Document;
  until: number;
}

/** Whole documents as they come, before any is looked for. */
const NATURAL = 100;

/** One half: until every label asked for is told `least` times, the documents that add most for their length, up to the last mention that is wanted. */
function half(pool: readonly Document[], least: number, asked: (label: string) => boolean): Part[] {
  const taken = new Map(pool.slice(0, NATURAL).map((document) => [document, document.text.length]));
  const counts = new Map<string, number>();
  const wanted = (label: string): boolean => asked(label) && (counts.get(label) ?? 0) < least;
  for (const worth of WORTH) {
    for (const document of pool) {
      if (taken.has(document)) continue;
      const words = document.spans.filter(({ start, end }) => end - start <= WORD);
      const useful = words.filter(({ labels }) => labels.some(wanted));
      const until = Math.max(0, ...useful.map(({ end }) => end));
      if (useful.length === 0 || (100 * useful.length) / until <= worth) continue;
      taken.set(document, until);
      for (const { end, labels } of words) {
        if (end <= until) for (const label of labels) counts.set(label, (counts.get(label) ?? 0) + 1);
      }
    }
  }
  return pool.flatMap((document) => {
    const until = taken.get(document);
    return until === undefined ? [] : [{ document, until }];
  });
}

/** Two halves of the split “held-out”; each label asked for is told at least `least` times in each, if the documents scanned tell it so often. */
export function richDocuments(seed: number, least: number, asked: (label: string) => boolean = () => true): [Part[], Part[]] {
  const pools: [Document[], Document[]] = [[], []];
  let count = 0;
  for (const document of documents(seed, 'held-out')) {
    if (count === SCANNED) break;
    pools[count++ % 2 ? 1 : 0].push(document);
  }
  return [half(pools[0], least, asked), half(pools[1], least, asked)];
}

/** How many of the tokens, of so many bytes each, lie within the part. */
export function tokensWithin({ document, until }: Part, bytes: readonly number[]): number {
  const room = new TextEncoder().encode(document.text.slice(0, until)).length;
  let [count, at] = [0, 0];
  for (const length of bytes) {
    if ((at += length) > room) break;
    count++;
  }
  return count;
}
