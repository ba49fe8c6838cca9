/**
 * Three heads that name the indirect object: found one after another on some prompts (each time the head whose zeroed z lowers the logit
 * difference most, with those found before zeroed too), measured on others, beside three heads drawn at random from the rest.
 */
import { indirectObjects, Random } from '../index';
import type { Edit } from '../../../workers/api';
import type { Benches, Compared } from './bench';
import { mean, type Claim } from './claim';

type Head = readonly [layer: number, head: number];

const zeroed = (heads: readonly Head[]): Edit[] =>
  heads.map(([layer, head]) => ({ kind: 'replace', at: `blocks.${layer}.attn.hook_z`, head, value: 'zero' }));

/** Mean logit difference for each set of heads zeroed. */
async function differences(benches: Benches, prompts: readonly Compared[], sets: readonly (readonly Head[])[]): Promise<number[]> {
  const asked = sets.flatMap((heads) => prompts.map((prompt) => ({ ...prompt, ...(heads.length ? { edits: zeroed(heads) } : {}) })));
  const told = await benches.compare(asked);
  return sets.map((_, i) => mean(told.slice(i * prompts.length, (i + 1) * prompts.length).map(({ difference }) => difference)));
}

const named = (heads: readonly Head[]): string => heads.map(([layer, head]) => `${layer}.${head}`).join(', ');

export const heads: Claim = {
  name: 'three heads',
  async run(benches, smaller) {
    const { layers, heads: count } = benches.model;
    const asked = (n: number, seed: number): Compared[] =>
      indirectObjects(n, seed).map(({ prompt, right, wrong }) => ({ prompt, right, wrong }));
    const search = asked(Math.ceil(16 / smaller), 3);
    const held = asked(Math.ceil(32 / smaller), 4);
    const all: Head[] = Array.from({ length: layers * count }, (_, i) => [Math.floor(i / count), i % count]);
    const found: Head[] = [];
    while (found.length < 3) {
      const left = all.filter((head) => !found.includes(head));
      const after = await differences(
        benches,
        search,
        left.map((head) => [...found, head]),
      );
      const best = left[after.indexOf(Math.min(...after))];
      if (!best) throw new Error('no head is left');
      found.push(best);
    }
    const random = new Random(20);
    const rest = all.filter((head) => !found.includes(head));
    const draws = Array.from({ length: 20 }, () => random.some(rest, 3));
    const [plain = NaN, without = NaN, ...others] = await differences(benches, held, [[], found, ...draws]);
    const lost = others.map((value) => 1 - value / plain);
    return {
      measures: [
        {
          what: 'logit difference removed by the three found',
          value: 1 - without / plain,
          bar: 0.5,
          at: 'least',
          n: held.length,
          leastN: 32,
        },
        { what: 'by three others, mean of 20 draws', value: mean(lost), bar: 0.1, at: 'most', n: draws.length, leastN: 20 },
      ],
      notes: [
        `heads ${named(found)}; logit difference ${plain.toFixed(2)} → ${without.toFixed(2)}`,
        `the worst draw removes ${(100 * Math.max(...lost)).toFixed(0)}%: heads ${named(draws[lost.indexOf(Math.max(...lost))] ?? [])}`,
      ],
    };
  },
};
