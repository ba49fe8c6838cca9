/** Writes a sentence from a rule: fills its slots from what the document already knows, or draws new words. */
import type { Random } from '../random';
import type { Rule } from './rules';
import type { Node, Piece, Word } from './template';

/** What the document has said so far: `person1` → Mara. */
export type Known = Map<string, Word>;
export type Domains = Readonly<Record<string, readonly Word[]>>;

export const domainOf = (variable: string): string => variable.replace(/\d$/, '');

/** The word of a variable: the one that is known, or a new one that no other variable has, of whatever domain (a building is a place). */
export function wordFor(variable: string, known: Known, domains: Domains, random: Random): Word {
  const before = known.get(variable);
  if (before) return before;
  const domain = domainOf(variable);
  const all = domains[domain];
  if (!all) throw new Error(`no domain “${domain}”`);
  const taken = new Set(known.values());
  const word = random.pick(all.filter((one) => !taken.has(one)));
  known.set(variable, word);
  return word;
}

export function formOf(word: Word, form: string): readonly Piece[] {
  const pieces = form === '' ? Object.values(word.forms)[0] : word.forms[form];
  if (!pieces) throw new Error(`“${word.id}” has no form “${form}”`);
  return pieces;
}

export function generate(rule: Rule, known: Known, domains: Domains, random: Random): Piece[] {
  const write = (nodes: readonly Node[]): Piece[] =>
    nodes.flatMap((node): readonly Piece[] => {
      if (node.kind === 'text') return [{ text: node.text }];
      if (node.kind === 'choice') return write(random.pick(node.options));
      return formOf(wordFor(node.variable, known, domains, random), node.form);
    });
  return write(rule.nodes);
}
