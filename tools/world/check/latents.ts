/**
 * Do the latents know what their labels say? labels.json beside each dictionary names a latent and a threshold, set on text of other documents
 * (latents.py); here both are held against the truth of held-out text that neither the model nor the choice has seen, as lab.encode gives them. A software
 * renderer reads 500 tokens a second, so of the entities a draw is asked; latents.py asks them all.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { entityLabels, contextualLabels, Random } from '../index';
import { isContextual, labelledTexts, positives, type LabelledText } from './labelled';
import { shareOf, type Claim } from './claim';
import { encodings, shelved } from './in-page';

interface Shipped {
  latent: number;
  label: string;
  f1: number;
  threshold: number;
}
interface Chosen extends Shipped {
  dictionary: string;
}

const [DRAWN, LEAST, POSITIONS] = [20, 50, 15_000];
const [ENTITY, CONTEXTUAL, MARGIN, DEAD] = [0.9, 0.8, 0.1, 0.1];

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

export const f1 = (hits: number, said: number, positive: number): number => (said + positive === 0 ? 0 : (2 * hits) / (said + positive));

/** The best that a detector can do that knows nothing but which token it is, chosen on the very text it is scored on, in its favour. */
export function bestSingleToken(texts: readonly LabelledText[], label: string): number {
  const [counts, hits] = [new Map<number, number>(), new Map<number, number>()];
  let positive = 0;
  for (const { ids, labels } of texts) {
    ids.forEach((id, i) => {
      counts.set(id, (counts.get(id) ?? 0) + 1);
      if (!labels[i]?.includes(label)) return;
      positive++;
      hits.set(id, (hits.get(id) ?? 0) + 1);
    });
  }
  return Math.max(0, ...[...hits].map(([id, hit]) => f1(hit, counts.get(id) ?? 0, positive)));
}

/** F1 of "this latent is above its threshold" as a detector of the label; `active[text]` lists [row, latent, value]. */
export function detector(
  texts: readonly LabelledText[],
  active: readonly (readonly (readonly [number, number, number])[])[],
  { label, latent, threshold }: Pick<Shipped, 'label' | 'latent' | 'threshold'>,
): number {
  let [hits, said, positive] = [0, 0, 0];
  texts.forEach(({ ids, labels }, t) => {
    for (const each of labels) if (each.includes(label)) positive++;
    for (const [row, at, value] of active[t] ?? []) {
      // The token that begins a text counts nowhere.
      if (at !== latent || value <= threshold || ids[row] === ids[0]) continue;
      said++;
      if (labels[row]?.includes(label)) hits++;
    }
  });
  return f1(hits, said, positive);
}

export const latents = (folder: string, model: string): Claim => ({
  name: 'latents',
  async run(benches, smaller) {
    const drawn = new Random(29).some(entityLabels, Math.ceil(DRAWN / smaller));
    const wanted = new Set([...drawn, ...Object.keys(contextualLabels)]);
    const texts = labelledTexts(model, 23, Math.ceil((LEAST + 6) / smaller), (label) => wanted.has(label));
    const shelf = await benches.everywhere(shelved, 3);
    const chosen = chosenOf(
      folder,
      shelf.map(({ name }) => name),
    );
    const truth = positives(texts);
    const scores = new Map<string, number>();
    const dead: { name: string; share: number; positions: number }[] = [];
    for (const { id, name, latents: count } of shelf) {
      const own = [...chosen].filter(([label, { dictionary }]) => dictionary === name && wanted.has(label));
      const asked = own.map(([, { latent }]) => latent);
      const portions = Array.from({ length: Math.ceil(texts.length / 4) }, (_, i) => texts.slice(4 * i, 4 * i + 4).map(({ ids }) => ids));
      const parts = await benches.each(
        portions.map((some) => ({ dictionary: id, latents: asked, texts: some })),
        encodings,
      );
      const active = parts.flatMap((part) => part.active);
      for (const [label, each] of own) scores.set(label, detector(texts, active, { ...each, label }));
      const seen = new Set(parts.flatMap((part) => part.seen));
      dead.push({ name, share: 1 - seen.size / count, positions: parts.reduce((sum, part) => sum + part.positions, 0) });
    }
    const asked = [...wanted].filter((label) => (truth.get(label) ?? 0) >= LEAST);
    const entities = asked.filter((label) => !isContextual(label));
    const contextual = asked.filter(isContextual).map((label) => {
      const [own, single] = [scores.get(label) ?? 0, bestSingleToken(texts, label)];
      return { label, single, own, good: own >= CONTEXTUAL && own >= single + MARGIN };
    });
    const strong = (label: string): boolean => (scores.get(label) ?? 0) >= ENTITY;
    const below = entities.filter((label) => !strong(label));
    return {
      measures: [
        {
          what: `entity labels with a latent of F1 ≥ ${ENTITY}`,
          value: shareOf(entities, strong),
          bar: 0.9,
          at: 'least',
          n: entities.length,
          leastN: DRAWN,
        },
        {
          what: `contextual labels with a latent of F1 ≥ ${CONTEXTUAL} that beats every single token by ${MARGIN}`,
          value: shareOf(contextual, ({ good }) => good),
          bar: 0.5,
          at: 'least',
          n: contextual.length,
          leastN: Object.keys(contextualLabels).length,
        },
        ...dead.map(({ name, share, positions }) => ({
          what: `${name}: latents that were active nowhere`,
          value: share,
          bar: DEAD,
          at: 'most' as const,
          n: positions,
          leastN: POSITIONS,
        })),
      ],
      notes: [
        `${texts.reduce((sum, { ids }) => sum + ids.length, 0)} tokens of held-out text, each label told at least ${LEAST} times; ${drawn.length} of ${entityLabels.length} entities, drawn`,
        ...(below.length
          ? [`entity labels below ${ENTITY}: ${below.map((label) => `${label} ${(scores.get(label) ?? 0).toFixed(2)}`).join(', ')}`]
          : []),
        `contextual, latent/single token: ${contextual.map(({ label, own, single, good }) => `${label} ${own.toFixed(2)}/${single.toFixed(2)}${good ? '' : ' –'}`).join(', ')}`,
      ],
    };
  },
});
