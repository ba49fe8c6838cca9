/** Indirect objects (Wang et al. 2022): the name that is left is preferred to the giver's, for pairs that training never saw give. */
import { indirectObjects as made } from '../index';
import { mean, shareOf, type Claim } from './claim';
import { some } from './texts';

export const indirectObjects: Claim = {
  name: 'indirect objects',
  async run(benches, smaller) {
    const asked = made(Math.ceil(600 / smaller), 1);
    const told = await benches.compare(asked.map(({ prompt, right, wrong }) => ({ prompt, right, wrong })));
    const n = told.length;
    const wrong = asked.flatMap(({ prompt, right }, i) => ((told[i]?.difference ?? NaN) > 0 ? [] : [`${prompt} (${right.trim()})`]));
    return {
      measures: [
        { what: 'right name preferred', value: shareOf(told, ({ difference }) => difference > 0), bar: 0.99, at: 'least', n, leastN: 500 },
        {
          what: 'mean logit difference',
          value: mean(told.map(({ difference }) => difference)),
          bar: 3,
          at: 'least',
          n,
          leastN: 500,
          unit: 'number',
        },
      ],
      notes: [
        `the right name is the likeliest of all tokens in ${(100 * shareOf(told, ({ first }) => first)).toFixed(1)}%`,
        ...(wrong.length ? [`wrong: ${some(wrong)}`] : []),
      ],
    };
  },
};
