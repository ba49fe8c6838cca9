/**
 * Lanternwick's own set of contrast pairs: gifts, told twice with the givers changed over, so that each pair is one name apart and ends with the other name. All have as
 * many tokens; every sentence is the town's own grammar (tests/unit/lab/examples.test.ts).
 */
import type { PairText } from './pair-lines';

const GIFTS: readonly [a: string, b: string, place: string, thing: string][] = [
  ['Mara', 'Odo', 'market', 'lantern'],
  ['Lena', 'Tom', 'harbour', 'basket'],
  ['Ida', 'Finn', 'beach', 'rope'],
  ['Nell', 'Hugo', 'garden', 'lantern'],
  ['Rosa', 'Emil', 'square', 'ladder'],
  ['Vera', 'Otto', 'library', 'basket'],
  ['Hanna', 'Karl', 'tavern', 'rope'],
  ['Dora', 'Bram', 'mill', 'lantern'],
  ['Petra', 'Felix', 'bridge', 'ladder'],
  ['Greta', 'Silas', 'castle', 'basket'],
];

export const EXAMPLE_PAIRS: readonly PairText[] = GIFTS.map(([a, b, place, thing]) => ({
  clean: `When ${a} and ${b} went to the ${place}, ${a} gave a ${thing} to`,
  contrast: `When ${a} and ${b} went to the ${place}, ${b} gave a ${thing} to`,
  correct: ` ${b}`,
  wrong: ` ${a}`,
}));
