/**
 * Induction (Olsson et al. 2022): in a list of invented names in an order that training never saw, read a second time, the next name, whole.
 * Beside it, without a bar, the same with names that training never saw either: there the habit of which syllables follow each other
 * speaks against the name.
 */
import { inductionPrompts } from '../index';
import { shareOf, type Claim } from './claim';
import { some } from './texts';

export const induction: Claim = {
  name: 'induction',
  async run(benches, smaller) {
    const asked = inductionPrompts(Math.ceil(600 / smaller), 1);
    const told = await benches.recall(asked);
    const wrong = asked.flatMap(({ prompt, answer }, i) =>
      told[i]?.right ? [] : [`${prompt} → ${told[i]?.said ?? ''} (${answer.trim()})`],
    );
    const strange = await benches.recall(inductionPrompts(Math.ceil(200 / smaller), 2, 'held-out'));
    return {
      measures: [{ what: 'next name', value: shareOf(told, ({ right }) => right), bar: 0.95, at: 'least', n: told.length, leastN: 500 }],
      notes: [
        `with names that training never saw: ${(100 * shareOf(strange, ({ right }) => right)).toFixed(1)}% of ${strange.length}`,
        ...(wrong.length ? [`wrong: ${some(wrong)}`] : []),
      ],
    };
  },
};
