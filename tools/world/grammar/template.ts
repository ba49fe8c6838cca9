/**
 * A sentence rule is one line of text with slots: `When {person1} and {person2} [went|walked] to the {place}, …`. The same line writes
 * sentences (generate.ts) and reads them (parse.ts), which is why the grammar can never reject what it wrote.
 *
 *   {person1}        the first form of a word of the domain `person`, kept under the name `person1` for the rest of the document
 *   {person1.her}    another form of the same word
 *   [went|walked|]   one of these; an alternative may hold slots, and may be empty
 *
 * Two slots with different names are different words.
 */

/** A stretch of text and the ground truth about it: `object:lantern`. */
export interface Piece {
  text: string;
  label?: string;
}

/** A word of the world in all the forms that sentences use. `id` is what its label says. */
export interface Word {
  id: string;
  forms: Readonly<Record<string, readonly Piece[]>>;
}

export type Node =
  | { kind: 'text'; text: string }
  | { kind: 'slot'; domain: string; variable: string; form: string }
  | { kind: 'choice'; options: readonly (readonly Node[])[] };

export const textOf = (pieces: readonly Piece[]): string => pieces.map((piece) => piece.text).join('');

/** Forms written as plain strings become pieces; a `label` goes on the part between two bars: `a |lantern|`. */
export function forms(spelled: Readonly<Record<string, string>>, label?: string): Word['forms'] {
  const made: Record<string, Piece[]> = {};
  for (const [name, spelling] of Object.entries(spelled)) {
    const parts = spelling.includes('|') ? spelling.split('|') : ['', spelling];
    made[name] = parts.flatMap((text, i) => (text === '' ? [] : [i % 2 === 1 && label !== undefined ? { text, label } : { text }]));
  }
  return made;
}

const SLOT = /^\{([a-z]+)(\d?)(?:\.([A-Za-z]+))?\}/;

/** Reads a rule. Throws on a bracket that does not close: a rule is code. */
export function compile(rule: string): Node[] {
  let at = 0;
  const sequence = (inside: boolean): Node[] => {
    const nodes: Node[] = [];
    let text = '';
    const flush = (): void => {
      if (text) nodes.push({ kind: 'text', text });
      text = '';
    };
    while (at < rule.length) {
      const here = rule[at] ?? '';
      if (inside && (here === '|' || here === ']')) break;
      if (here === '{') {
        const [whole, domain, number, form] = SLOT.exec(rule.slice(at)) ?? [];
        if (whole === undefined || domain === undefined) throw new Error(`a slot that cannot be read in “${rule}”`);
        flush();
        nodes.push({ kind: 'slot', domain, variable: domain + (number ?? ''), form: form ?? '' });
        at += whole.length;
      } else if (here === '[') {
        flush();
        const options: Node[][] = [];
        do {
          at++;
          options.push(sequence(true));
        } while (rule[at] === '|');
        if (rule[at] !== ']') throw new Error(`a bracket that does not close in “${rule}”`);
        at++;
        nodes.push({ kind: 'choice', options });
      } else {
        text += here;
        at++;
      }
    }
    flush();
    return nodes;
  };
  return sequence(false);
}
