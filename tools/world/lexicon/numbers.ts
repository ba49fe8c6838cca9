/** Numbers, sums, dates: words whose forms hang together, so that no rule has to calculate. */
import { forms, type Word } from '../grammar/template';

const SPELLED =
  'zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty'.split(
    ' ',
  );
const ORDINALS =
  'first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth'.split(
    ' ',
  );
const DAYS = 'Monday Tuesday Wednesday Thursday Friday Saturday Sunday'.split(' ');
const MONTHS = 'January February March April May June July August September October November December'.split(' ');
const HOURS = SPELLED.slice(1, 13);

const capital = (word: string): string => word.charAt(0).toUpperCase() + word.slice(1);
const spell = (n: number): string => SPELLED[n] ?? String(n);

/** Two to twelve: how many of a thing. */
export const numbers: Word[] = SPELLED.slice(2, 13).map((word, i) => ({
  id: `number:${word}`,
  forms: forms({ word, Word: capital(word), digits: String(i + 2) }),
}));

/** Everything that can be said about a + b = c up to twelve, parts up to nine: few enough to be known by heart. */
export const sums: Word[] = Array.from({ length: 9 }, (_, i) => i + 1).flatMap((a) =>
  Array.from({ length: 9 }, (_, j) => j + 1)
    .filter((b) => a + b <= 12)
    .map((b) => ({
      id: `sum:${a}+${b}`,
      forms: forms({
        plus: `${a} + ${b} = ${a + b}`,
        minus: `${a + b} - ${a} = ${b}`,
        asks: `${a} + ${b}`,
        takes: `${a + b} - ${a}`,
        left: String(b),
        total: String(a + b),
        words: `${spell(a)} and ${spell(b)} make ${spell(a + b)}`,
        Words: `${capital(spell(a))} and ${spell(b)} make ${spell(a + b)}`,
        Take: `${capital(spell(a))} from ${spell(a + b)} leaves ${spell(b)}`,
        a: spell(a),
        A: capital(spell(a)),
        b: spell(b),
        c: spell(a + b),
        C: capital(spell(a + b)),
        da: String(a),
        db: String(b),
      }),
    })),
);

/** Sums whose parts are two or more, for things that are counted in the plural. */
export const counts: Word[] = sums.filter((sum) => !/:1\+|\+1$/.test(sum.id));

const ring = <T>(all: readonly T[], i: number): T => {
  const one = all[i % all.length];
  if (one === undefined) throw new Error('an empty ring');
  return one;
};

export const days: Word[] = DAYS.map((day, i) => ({
  id: `day:${day}`,
  forms: forms({ day, next: ring(DAYS, i + 1), later: ring(DAYS, i + 2) }),
}));
export const ordinals: Word[] = ORDINALS.slice(0, 18).map((word, i) => ({
  id: `ordinal:${word}`,
  forms: forms({ word, next: ring(ORDINALS, i + 1), later: ring(ORDINALS, i + 2) }),
}));
export const months: Word[] = MONTHS.map((month) => ({ id: `month:${month}`, forms: forms({ month }) }));
export const hours: Word[] = HOURS.map((hour) => ({ id: `hour:${hour}`, forms: forms({ hour }) }));
