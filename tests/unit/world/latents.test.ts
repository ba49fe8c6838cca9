/** How a latent is held against the truth: the claim's own arithmetic, by hand, and the text it is asked on. */
import { describe, expect, it } from 'vitest';
import { bestSingleToken, detector } from '../../../tools/world/check/latents';
import { labelledTexts, positives } from '../../../tools/world/check/labelled';
import { richDocuments, tokensWithin } from '../../../tools/world/rich';

const A = 'person:Mara';
const texts = [
  { ids: [0, 7, 8, 7], labels: [[], [A], [], [A]] },
  { ids: [0, 7, 9], labels: [[], [], [A]] },
];

describe('a latent as a detector', () => {
  it('is scored above its threshold, over all texts, without the token that begins one', () => {
    const active = [
      [
        [0, 3, 9],
        [1, 3, 2],
        [2, 3, 0.4],
        [3, 5, 2],
      ],
      [[2, 3, 1]],
    ] as const;
    // Two hits of two said, three true.
    expect(detector(texts, active, { label: A, latent: 3, threshold: 0.5 })).toBeCloseTo((2 * 2) / (2 + 3), 12);
    // One more is said, and wrongly.
    expect(detector(texts, active, { label: A, latent: 3, threshold: 0.3 })).toBeCloseTo((2 * 2) / (3 + 3), 12);
    expect(detector(texts, active, { label: A, latent: 4, threshold: 0 })).toBe(0);
  });

  it('stands beside the best single token', () => {
    // Token 7: two hits of three, three true.
    expect(bestSingleToken(texts, A)).toBeCloseTo((2 * 2) / (3 + 3), 12);
    expect(bestSingleToken(texts, 'place:mill')).toBe(0);
  });
});

describe('text in which labels are told often', () => {
  const wanted = (label: string): boolean => ['job:miner', 'feeling:gloomy', 'list:6'].includes(label);

  it('has each label asked for as often as asked, in halves that share no document', () => {
    const [first, second] = richDocuments(3, 12, wanted);
    for (const parts of [first, second]) {
      for (const label of ['job:miner', 'feeling:gloomy', 'list:6']) {
        const times = parts.flatMap(({ document, until }) =>
          document.spans.filter((span) => span.end <= until && span.labels.includes(label)),
        );
        expect(times.length, label).toBeGreaterThanOrEqual(12);
      }
    }
    const documents = new Set(first.map(({ document }) => document));
    expect(second.filter(({ document }) => documents.has(document))).toEqual([]);
  });

  it('cuts a document after whole tokens, in bytes', () => {
    const document = { genre: 'story', text: 'ñandú, ox', spans: [] };
    expect(tokensWithin({ document, until: 5 }, [4, 3, 1, 3])).toBe(2);
    expect(tokensWithin({ document, until: 9 }, [4, 3, 1, 3])).toBe(4);
    expect(tokensWithin({ document, until: 4 }, [4, 3, 1, 3])).toBe(1);
  });

  it('is read in runs of at most a context, each label beside its token', () => {
    const runs = labelledTexts('public/demo/lanternwick', 3, 12, wanted);
    for (const { ids, labels } of runs) {
      expect(ids.length).toBeLessThanOrEqual(256);
      expect(labels.length).toBe(ids.length);
      expect(ids[0]).toBe(0);
      ids.forEach((id, i) => id === 0 && expect(labels[i]).toEqual([]));
    }
    expect(positives(runs).get('job:miner')).toBeGreaterThanOrEqual(12);
  });
});
