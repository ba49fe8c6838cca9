/**
 * Three heads that name the indirect object: found one after another on some prompts (each time the head whose zeroed z lowers the logit
 * difference most, with those found before zeroed too: lab.sweep), measured on others, beside three heads drawn at random from the rest (lab.patchSet).
 */
import { indirectObjects, Random } from '../index';
import type { Edit } from '../../../workers/api';
import type { Benches, Compared } from './bench';
import { mean, type Claim } from './claim';
import { withoutEach, withoutSet } from './in-page';

type Head = readonly [layer: number, head: number];

const zeroed = (heads: readonly Head[]): Edit[] =>
  heads.map(([layer, head]) => ({ kind: 'replace', at: `blocks.${layer}.attn.hook_z`, head, value: 'zero' }));

/** Mean logit difference of the prompts as they are, and with each set of heads zeroed. */
async function differences(
  benches: Benches,
  prompts: readonly Compared[],
  sets: readonly (readonly Head[])[],
): Promise<{ plain: number; without: number[] }> {
  const asked = sets.flatMap((heads) => prompts.map(({ prompt, right, wrong }) => ({ prompt, right, wrong, heads: [...heads] })));
  const told = await benches.each(asked, withoutSet);
  return {
    plain: mean(told.slice(0, prompts.length).map(({ plain }) => plain)),
    without: sets.map((_, i) => mean(told.slice(i * prompts.length, (i + 1) * prompts.length).map(({ without }) => without))),
  };
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
    const isFound = ([layer, head]: Head): boolean => found.some(([l, h]) => l === layer && h === head);
    while (found.length < 3) {
      const left = all.filter((head) => !isFound(head));
      const after = await benches.ask(withoutEach, { prompts: search, zeroed: zeroed(found) });
      const of = ([layer, head]: Head): number => after[layer * count + head] ?? NaN;
      const best = left.reduce((a, b) => (of(b) < of(a) ? b : a));
      found.push(best);
    }
    const random = new Random(20);
    const rest = all.filter((head) => !isFound(head));
    const draws = Array.from({ length: 20 }, () => random.some(rest, 3));
    const {
      plain,
      without: [without = NaN, ...others],
    } = await differences(benches, held, [found, ...draws]);
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
