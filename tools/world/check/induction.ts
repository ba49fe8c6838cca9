/** Induction (Olsson et al. 2022): in a list of names that training never saw, read a second time, the next name, whole. */
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
    return {
      measures: [{ what: 'next name', value: shareOf(told, ({ right }) => right), bar: 0.95, at: 'least', n: told.length, leastN: 500 }],
      notes: wrong.length ? [`wrong: ${some(wrong)}`] : [],
    };
  },
};
