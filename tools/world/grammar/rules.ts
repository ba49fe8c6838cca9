/** Sets of sentence rules, under names, with what is true of every sentence of a set. */
import { compile, type Node } from './template';

/** Who or what the sentence is about, as the verb sees it. */
export type Subject = 'singular' | 'plural';

export interface Rule {
  readonly source: string;
  readonly nodes: readonly Node[];
  readonly labels: readonly string[];
}

export type RuleSet = readonly Rule[];

const PLURAL = /^(?:[A-Z][a-z]+, )?\{(\w+)\} and \{(\w+)\} /;

/**
 * Lines to rules. A line may begin with `pl: ` or `sg: ` to say that its subject is plural or singular; one that begins with two
 * people and a verb is plural by itself. `labels` go on every sentence of the set.
 */
export function rules(lines: readonly string[], labels: readonly string[] = []): RuleSet {
  return lines.map((line) => {
    const [, marked, rest = line] = /^(pl|sg): (.*)$/s.exec(line) ?? [];
    const subject =
      marked === 'pl' || (marked === undefined && PLURAL.test(rest)) ? ['subject:plural'] : marked === 'sg' ? ['subject:singular'] : [];
    return { source: rest, nodes: compile(rest), labels: [...labels, ...subject] };
  });
}
