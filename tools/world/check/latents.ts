/**
 * Do the latents know what their labels say? labels.json beside each dictionary names a latent and a threshold, set on text of other documents
 * (latents.py); here both are held against the truth of held-out text that neither the model nor the choice has seen, as lab.encode gives them.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isContextual, labelledTexts, positives, type LabelledText } from './labelled';
import { shareOf, type Claim } from './claim';
import { activeLatents, shelved } from './in-page';
import { some } from './texts';

interface Shipped {
  latent: number;
  label: string;
  f1: number;
  threshold: number;
}
interface Chosen extends Shipped {
  dictionary: string;
}

const LEAST = 50;
const [ENTITY, CONTEXTUAL, MARGIN] = [0.9, 0.8, 0.1];

/** The strongest latent of each label over all dictionaries, by the score that ships with it. */
function chosenOf(folder: string, names: readonly string[]): Map<string, Chosen> {
  const chosen = new Map<string, Chosen>();
  for (const dictionary of names) {
    const { labels } = JSON.parse(readFileSync(join(folder, dictionary, 'labels.json'), 'utf8')) as { labels: Shipped[] };
    for (const each of labels) {
      const label = each.label.replace(': ', ':');
      if (each.f1 > (chosen.get(label)?.f1 ?? 0)) chosen.set(label, { ...each, dictionary });
    }
  }
  return chosen;
}

export const f1 = (hits: number, said: number, true_: number): number => (said + true_ === 0 ? 0 : (2 * hits) / (said + true_));

/** The best that a detector can do that knows nothing but which token it is, chosen on the very text it is scored on: its favour. */
export function bestSingleToken(texts: readonly LabelledText[], label: string): number {
  const [counts, hits] = [new Map<number, number>(), new Map<number, number>()];
  let true_ = 0;
  for (const { ids, labels } of texts) {
    ids.forEach((id, i) => {
      counts.set(id, (counts.get(id) ?? 0) + 1);
      if (!labels[i]?.includes(label)) return;
      true_++;
      hits.set(id, (hits.get(id) ?? 0) + 1);
    });
  }
  return Math.max(0, ...[...hits].map(([id, hit]) => f1(hit, counts.get(id) ?? 0, true_)));
}

export const latents = (folder: string, model: string): Claim => ({
  name: 'latents',
  async run(benches, smaller) {
    const texts = labelledTexts(model, 23, Math.ceil(56 / smaller));
    const shelf = await benches.everywhere(shelved, 3);
    const chosen = chosenOf(
      folder,
      shelf.map(({ name }) => name),
    );
    const scores = new Map<string, number>();
    const truth = positives(texts);
    for (const { id, name } of shelf) {
      const own = [...chosen].filter(([, { dictionary }]) => dictionary === name);
      if (own.length === 0) continue;
      const wanted = new Map(own.map(([label, { latent }]) => [latent, label]));
      const portions = Array.from({ length: Math.ceil(texts.length / 12) }, (_, i) => texts.slice(12 * i, 12 * i + 12));
      const parts = await benches.each(
        portions.map((some_) => ({ dictionary: id, latents: [...wanted.keys()], texts: some_.map(({ ids }) => ids) })),
        activeLatents,
      );
      const found = parts.flat();
      for (const [label, { latent, threshold }] of own) {
        let [hits, said] = [0, 0];
        found.forEach((active, t) => {
          for (const [row, at, value] of active) {
            const { ids = [], labels = [] } = texts[t] ?? {};
            // The token that begins a text counts nowhere.
            if (at !== latent || value <= threshold || ids[row] === 0) continue;
            said++;
            if (labels[row]?.includes(label)) hits++;
          }
        });
        scores.set(label, f1(hits, said, truth.get(label) ?? 0));
      }
    }
    const asked = [...truth].filter(([, count]) => count >= LEAST).map(([label]) => label);
    const entities = asked.filter((label) => !isContextual(label));
    const contextual = asked.filter(isContextual).map((label) => {
      const single = bestSingleToken(texts, label);
      const own = scores.get(label) ?? 0;
      return { label, single, own, good: own >= CONTEXTUAL && own >= single + MARGIN };
    });
    const below = entities.filter((label) => (scores.get(label) ?? 0) < ENTITY);
    const told = (label: string): string => `${label} ${(scores.get(label) ?? 0).toFixed(2)}`;
    const all = [...truth.keys()];
    return {
      measures: [
        {
          what: `entity labels with a latent of F1 ≥ ${ENTITY}`,
          value: shareOf(entities, (label) => !below.includes(label)),
          bar: 0.9,
          at: 'least',
          n: entities.length,
          leastN: all.filter((label) => !isContextual(label)).length,
        },
        {
          what: `contextual labels with a latent of F1 ≥ ${CONTEXTUAL} that beats every single token by ${MARGIN}`,
          value: shareOf(contextual, ({ good }) => good),
          bar: 0.5,
          at: 'least',
          n: contextual.length,
          leastN: all.filter(isContextual).length,
        },
      ],
      notes: [
        `${texts.reduce((sum, { ids }) => sum + ids.length, 0)} tokens, every label told at least ${LEAST} times: ${asked.length} of ${all.length}`,
        ...(below.length ? [`entity labels below ${ENTITY}: ${below.map(told).join(', ')}`] : []),
        `contextual, latent against single token: ${contextual.map(({ label, own, single, good }) => `${label} ${own.toFixed(2)}/${single.toFixed(2)}${good ? '' : ' –'}`).join(', ')}`,
        ...(asked.length < all.length
          ? [
              `told too seldom: ${some(
                all.filter((label) => !asked.includes(label)),
                20,
              )}`,
            ]
          : []),
      ],
    };
  },
});
