/** Lanternwick, put together: writes documents, reads sentences, spoils them. The same seed and split give the same documents. */
import { genres, WEIGHTS } from './genres/index';
import { Parser } from './grammar/parse';
import { allDomains, type Split } from './lexicon/index';
import { hashOf, Random } from './random';
import { sentences as cut, type Sentence } from './sentences';
import { Writer, type Document } from './writer';

export type { Split } from './lexicon/index';
export type { Document, Span } from './writer';
export type { Sentence } from './sentences';

const byName = new Map(genres.map((genre) => [genre.name, genre]));

let parser: Parser | undefined;
export function theParser(): Parser {
  parser ??= new Parser(
    allDomains,
    genres.flatMap((genre) => genre.rules.flat()),
  );
  return parser;
}

/** Is this a sentence that the world could have written? */
export const accepts = (sentence: string): boolean => theParser().accepts(sentence);
export const sentences = (text: string): Sentence[] => cut(text, theParser());

/** One document of a genre. */
export function writeDocument(genre: string, split: Split, random: Random): Document {
  const one = byName.get(genre);
  if (!one) throw new Error(`no genre “${genre}”`);
  return one.write(new Writer(split, random));
}

/** Without end. Held-out documents come from other seeds and use invented names that training never sees. */
export function* documents(seed: number, split: Split): Generator<Document> {
  const random = new Random(hashOf(`${split} ${seed}`));
  for (;;) yield writeDocument(random.weighted(WEIGHTS), split, random);
}
