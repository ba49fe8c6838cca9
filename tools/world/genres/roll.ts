/** Rolls of invented names, read out twice: nothing but repeating what was read can continue them (Olsson et al. 2022). */
import { rules } from '../grammar/rules';
import type { Genre } from '../writer';

const name = (i: number): string => `{stranger${i}}`;
const from = (start: number, count: number): number[] => Array.from({ length: count }, (_, i) => start + i);
const list = (indexes: readonly number[], between: string): string => indexes.map(name).join(between);

const LEADS = [
  { lead: 'The names were ', again: '; and again ' },
  { lead: 'Names in the book: ', again: '; once more: ' },
  { lead: 'The captain called ', again: ', and then he called ' },
  { lead: 'The crew is ', again: ', the same crew as before, ' },
];

/** Every part of a list of at least three, read again; the second reading may begin anywhere. */
const parts = (length: number): string[] =>
  LEADS.flatMap(({ lead, again }) =>
    from(1, length - 2).flatMap((start) => {
      const whole = list(from(1, length), ', ');
      return [`${lead}${whole}${again}${list(from(start, length - start + 1), ', ')}.`];
    }),
  );

const plain = (length: number): string[] => [
  `${list(from(1, length), ' ')} ${list(from(1, length), ' ')}`,
  `${list(from(1, length), ' ')} ${list(from(1, length), ' ')} ${list(from(1, length), ' ')}`,
];

export const rolls = rules([4, 5, 6, 7, 8].flatMap(parts), ['unknown-person']);
export const repeats = rules([3, 4, 5, 6, 7, 8, 9].flatMap(plain), ['unknown-person']);

export const roll: Genre = {
  name: 'roll',
  about: 'a roll of invented names, read out again',
  rules: [rolls, repeats],
  write(writer) {
    writer.say(writer.random.chance(0.55) ? rolls : repeats);
    return writer.finish('roll', ['language:english']);
  },
};
