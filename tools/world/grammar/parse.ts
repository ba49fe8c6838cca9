/**
 * Reads a sentence with the rules that write them: is there a rule, and words for its slots, that give exactly this text? Plain
 * backtracking, character for character; a slot's candidates are found by their first two letters.
 */
import type { Domains, Known } from './generate';
import { formOf } from './generate';
import type { Rule } from './rules';
import { textOf, type Node, type Word } from './template';

interface Candidate {
  word: Word;
  text: string;
}
type Index = Map<string, Candidate[]>;

const KEY = 2;
const NOTHING: readonly Candidate[] = [];

export class Parser {
  readonly #domains: Domains;
  readonly #rules: readonly Rule[];
  readonly #indexes = new Map<string, Index>();
  /** Rules by the first character of what they can begin with; '' holds those that begin with a slot or a choice. */
  readonly #byStart = new Map<string, Rule[]>();

  constructor(domains: Domains, rules: readonly Rule[]) {
    this.#domains = domains;
    this.#rules = rules;
    for (const rule of rules) {
      const [first] = rule.nodes;
      const start = first?.kind === 'text' ? first.text.slice(0, KEY) : '';
      const key = start.length === KEY ? start : '';
      this.#byStart.set(key, [...(this.#byStart.get(key) ?? []), rule]);
    }
  }

  get rules(): readonly Rule[] {
    return this.#rules;
  }

  accepts(sentence: string): boolean {
    return this.parse(sentence) !== undefined;
  }

  /** The rule and the words that write this sentence; undefined when the grammar cannot. */
  parse(sentence: string): { rule: Rule; known: Known } | undefined {
    const candidates = [...(this.#byStart.get(sentence.slice(0, KEY)) ?? []), ...(this.#byStart.get('') ?? [])];
    for (const rule of candidates) {
      const known: Known = new Map();
      if (this.#match(rule.nodes, 0, sentence, 0, known, (end) => end === sentence.length)) return { rule, known };
    }
    return undefined;
  }

  /** The end of the longest sentence that the grammar can write from `at` on, where a space, a new line or the end follows; −1 if there is none. */
  longest(text: string, at: number): number {
    const start = text.slice(at, at + KEY);
    let longest = -1;
    for (const rule of [...(this.#byStart.get(start) ?? []), ...(this.#byStart.get('') ?? [])]) {
      this.#match(rule.nodes, 0, text, at, new Map(), (end) => {
        if (end > longest && (end === text.length || text[end] === ' ' || text[end] === '\n')) longest = end;
        return false;
      });
    }
    return longest;
  }

  #match(nodes: readonly Node[], index: number, text: string, at: number, known: Known, done: (end: number) => boolean): boolean {
    const node = nodes[index];
    if (!node) return done(at);
    const rest = (end: number): boolean => this.#match(nodes, index + 1, text, end, known, done);
    if (node.kind === 'text') return text.startsWith(node.text, at) && rest(at + node.text.length);
    if (node.kind === 'choice') return node.options.some((option) => this.#match(option, 0, text, at, known, rest));
    const before = known.get(node.variable);
    if (before) {
      const spelled = textOf(formOf(before, node.form));
      return text.startsWith(spelled, at) && rest(at + spelled.length);
    }
    for (const { word, text: spelled } of this.#candidates(node.domain, node.form, text.slice(at, at + KEY))) {
      if (!text.startsWith(spelled, at) || this.#taken(known, word)) continue;
      known.set(node.variable, word);
      if (rest(at + spelled.length)) return true;
      known.delete(node.variable);
    }
    return false;
  }

  #taken(known: Known, word: Word): boolean {
    for (const other of known.values()) if (other === word) return true;
    return false;
  }

  #candidates(domain: string, form: string, start: string): readonly Candidate[] {
    const name = `${domain}.${form}`;
    let index = this.#indexes.get(name);
    if (!index) {
      index = new Map<string, Candidate[]>();
      for (const word of this.#domains[domain] ?? []) {
        const text = textOf(formOf(word, form));
        // A form of one letter is found under every key that begins with it: none is so short but digits, kept under their own.
        const key = text.slice(0, KEY);
        index.set(key, [...(index.get(key) ?? []), { word, text }]);
      }
      this.#indexes.set(name, index);
    }
    const exact = index.get(start) ?? NOTHING;
    const single = start.length === KEY ? (index.get(start.slice(0, 1)) ?? NOTHING) : NOTHING;
    return single.length ? [...exact, ...single] : exact;
  }
}
