/** Writes one document: sentence by sentence, remembering who was named, and what is true of every stretch of it. */
import type { RuleSet } from './grammar/rules';
import { generate, wordFor, type Domains, type Known } from './grammar/generate';
import type { Word } from './grammar/template';
import { allDomains, domainsOf, type Split } from './lexicon/index';
import type { Random } from './random';

/** A stretch of text [start, end) in UTF-16 units, and what is true of it: entity labels and contextual ones. */
export interface Span {
  start: number;
  end: number;
  labels: readonly string[];
}

export interface Document {
  genre: string;
  text: string;
  spans: readonly Span[];
}

/** Every entity's own word → its label: a lantern is a lantern also where a rule spells it out. The lexicon has no homonyms of them. */
const entityWords = new Map(
  ['animal', 'food', 'object', 'place', 'job', 'colour', 'weather', 'merry', 'gloomy'].flatMap((domain) =>
    (allDomains[domain] ?? []).flatMap((word) =>
      (word.forms['noun'] ?? []).flatMap(({ text, label }) => (label === undefined ? [] : [[text, label] as const])),
    ),
  ),
);

function entitiesIn(text: string, at: number): Span[] {
  return [...text.matchAll(/\p{L}+/gu)].flatMap(({ 0: word, index }) => {
    const label = entityWords.get(word);
    return label === undefined ? [] : [{ start: at + index, end: at + index + word.length, labels: [label] }];
  });
}

export class Writer {
  readonly known: Known = new Map();
  readonly random: Random;
  readonly split: Split;
  readonly #domains: Domains;
  readonly #used = new Set<string>();
  #text = '';
  readonly #spans: Span[] = [];

  constructor(split: Split, random: Random) {
    this.split = split;
    this.#domains = domainsOf(split);
    this.random = random;
  }

  get text(): string {
    return this.#text;
  }

  /** One sentence of a set, not one that this document has used if there is another. `after` is what stands between it and what is there. */
  say(set: RuleSet, options: { after?: string; labels?: readonly string[] } = {}): this {
    const fresh = set.filter((rule) => !this.#used.has(rule.source));
    const rule = this.random.pick(fresh.length ? fresh : set);
    this.#used.add(rule.source);
    if (this.#text) this.#text += options.after ?? ' ';
    const start = this.#text.length;
    for (const { text, label } of generate(rule, this.known, this.#domains, this.random)) {
      const at = this.#text.length;
      if (label !== undefined) this.#spans.push({ start: at, end: at + text.length, labels: [label] });
      else this.#spans.push(...entitiesIn(text, at));
      this.#text += text;
    }
    const labels = [...rule.labels, ...(options.labels ?? [])];
    if (labels.length) this.#spans.push({ start, end: this.#text.length, labels });
    return this;
  }

  /** The word of a variable, drawn now if it has none. */
  word(variable: string): Word {
    return wordFor(variable, this.known, this.#domains, this.random);
  }

  bind(variable: string, word: Word): this {
    this.known.set(variable, word);
    return this;
  }

  /** Forgets a variable, so that the next sentence draws another word for it. */
  forget(...variables: string[]): this {
    for (const variable of variables) this.known.delete(variable);
    return this;
  }

  /** What is true of the whole document goes on all of it. */
  finish(genre: string, labels: readonly string[] = []): Document {
    const whole: Span = { start: 0, end: this.#text.length, labels: [`genre:${genre}`, ...labels] };
    return { genre, text: this.#text, spans: [whole, ...this.#spans] };
  }
}

/** A kind of text: its sentence rules, for the parser, and the function that composes them. */
export interface Genre {
  readonly name: string;
  /** What a document of it is, in a few words. */
  readonly about: string;
  readonly rules: readonly RuleSet[];
  write(writer: Writer): Document;
}
