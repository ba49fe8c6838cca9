import { describe, expect, it } from 'vitest';
import { Meanings, type Embed } from '../../../src/lab/meaning';
import { cancelled } from '../../../workers/errors';

/** A word is a direction: texts that share words lie near each other. */
const WORDS = ['sea', 'ship', 'fire', 'name', 'number'];
function embedder(): { embed: Embed; asked: string[][] } {
  const asked: string[][] = [];
  const vector = (text: string): number[] => {
    const counts = [...WORDS.map((word) => text.split(word).length - 1), 0.1];
    const norm = Math.hypot(...counts);
    return counts.map((x) => x / norm);
  };
  const embed: Embed = (texts, job) => {
    if (job?.signal?.aborted) return Promise.reject(cancelled());
    asked.push([...texts]);
    job?.progress?.(texts.length, texts.length);
    return Promise.resolve({ shape: [texts.length, WORDS.length + 1], data: Float32Array.from(texts.flatMap(vector)) });
  };
  return { embed, asked };
}
const labels = ['ships at sea', 'fire', 'names of ships', 'numbers', 'ships at sea'].map((text, i) => ({ latent: 10 + i, text }));
const asking = (meaning: string, more = {}) => ({ dictionary: 'd', embedder: 'e', labels, meaning, top: 20, ...more });

describe('labels by meaning', () => {
  it('are ranked by cosine, equal ones in their order, at most `top`', async () => {
    const { embed } = embedder();
    const found = await new Meanings().search(asking('a ship on the sea', { top: 3 }), embed);
    expect(found.map(({ label }) => label.latent)).toEqual([10, 14, 12]);
    const cosine = (2 + 0.01) / (2 + 0.01);
    expect(found[0]?.cosine).toBeCloseTo(cosine, 6);
    expect(found[2]?.cosine).toBeCloseTo((1 + 0.01) / 2.01, 6);
  });

  it('count once a latent, by its best label', async () => {
    const { embed } = embedder();
    const twice = [...labels, { latent: 11, text: 'the sea' }];
    const found = await new Meanings().search(asking('sea', { labels: twice }), embed);
    expect(found.map(({ label: { latent, text } }) => [latent, text])).toEqual([
      [11, 'the sea'],
      [10, 'ships at sea'],
      [14, 'ships at sea'],
      [13, 'numbers'],
      [12, 'names of ships'],
    ]);
  });

  it('are embedded once, for a dictionary and an encoder; a changed one anew', async () => {
    const { embed, asked } = embedder();
    const meanings = new Meanings();
    await meanings.search(asking('fire'), embed);
    expect(asked).toEqual([['fire'], ['ships at sea', 'fire', 'names of ships', 'numbers']]);
    await meanings.search(asking('sea', { labels: [...labels.slice(1), { latent: 10, text: 'boats' }] }), embed);
    expect(asked.slice(2)).toEqual([['sea'], ['boats']]);
    await meanings.search(asking('sea', { embedder: 'other' }), embed);
    expect(asked.at(-1)).toHaveLength(4);
    meanings.forget('other');
    await meanings.search(asking('sea'), embed);
    expect(asked.at(-1)).toEqual(['sea']);
    meanings.forget('d');
    await meanings.search(asking('sea'), embed);
    expect(asked.at(-1)).toHaveLength(4);
  });

  it('go on after a cancel from where it came', async () => {
    const { embed, asked } = embedder();
    const many = Array.from({ length: 600 }, (_, latent) => ({ latent, text: `number ${latent}` }));
    const meanings = new Meanings();
    const abort = new AbortController();
    const told: [number, number][] = [];
    const progress = (done: number, of: number) => {
      told.push([done, of]);
      if (done > 256) abort.abort();
    };
    const run = meanings.search(asking('fire', { labels: many }), embed, { signal: abort.signal, progress });
    await expect(run).rejects.toMatchObject({ code: 'cancelled' });
    expect(told).toEqual([
      [1, 601],
      [257, 601],
    ]);
    asked.length = 0;
    await meanings.search(asking('fire', { labels: many }), embed);
    expect(asked.map((texts) => texts.length)).toEqual([1, 256, 88]);
  });
});
