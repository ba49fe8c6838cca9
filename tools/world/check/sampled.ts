/** Sentences of whole texts sampled at temperature 0.8 from nothing but the token that begins a text: could the grammar have written them? */
import type { Claim } from './claim';
import { grammar, some } from './texts';

const TEXTS = 200;

export const sampled: Claim = {
  name: 'sampled sentences',
  async run(benches, smaller) {
    const least = Math.ceil(2000 / smaller);
    const texts = [];
    let judged = grammar([], []);
    // In rounds, until there are enough sentences: texts are of many lengths.
    for (let round = 0; judged.n < least && round < 12; round++) {
      const asked = Array.from({ length: Math.ceil(TEXTS / smaller) }, (_, i) => ({
        prompt: '',
        tokens: 220,
        temperature: 0.8,
        seed: 1000 * round + i + 1,
      }));
      texts.push(...(await benches.write(asked)));
      judged = grammar([], texts);
    }
    return {
      measures: [{ what: 'accepted', value: judged.share, bar: 0.95, at: 'least', n: judged.n, leastN: 2000 }],
      notes: [
        `${texts.length} texts, ${texts.reduce((sum, { tokens }) => sum + tokens, 0)} tokens`,
        ...(judged.rejected.length ? [`not accepted: ${some(judged.rejected, 12)}`] : []),
      ],
      texts: texts.slice(0, 20).map(({ text }) => text),
    };
  },
};
