/** Facts recalled, greedy, over every person and place: job, home, pet, food, temper; sign, neighbour, animal, what is sold. */
import { facts as allFacts } from '../index';
import { shareOf, type Claim } from './claim';
import { some } from './texts';

export const facts: Claim = {
  name: 'facts',
  async run(benches, smaller) {
    const every = allFacts();
    const asked = every.filter((_, i) => i % smaller === 0);
    const told = await benches.recall(asked.map(({ prompt, answer }) => ({ prompt, answer })));
    const wrong = asked.flatMap(({ prompt, answer }, i) =>
      told[i]?.right ? [] : [`${prompt} → ${told[i]?.said ?? ''} (${answer.trim()})`],
    );
    return {
      measures: [
        { what: 'recalled', value: shareOf(told, ({ right }) => right), bar: 0.99, at: 'least', n: told.length, leastN: every.length },
      ],
      notes: wrong.length ? [`not recalled: ${some(wrong, 20)}`] : [],
    };
  },
};
