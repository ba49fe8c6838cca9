/**
 * The vectors that ship with the model, each the difference of two means of the residual stream over contrasting texts of the train split,
 * made by the engine that will use them. Layer and strength are chosen on prompts of the train split, by how far the worst of the
 * claim's bars is passed; the checks then use other prompts. Vectors have length 1; `scale` is in units of the stream.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { documents, harmful, harmless, moodPrompts, type Document } from '../index';
import { Benches } from './bench';
import { shareOf } from './claim';
import { bend } from './mood';
import { answers } from './refusal';
import { added, removed, type Ready } from './steer';
import { safetensors } from './tensors';
import { grammar } from './texts';

interface Contrast {
  name: string;
  title: string;
  about: string;
  positive: string[];
  negative: string[];
  over: 'last' | 'all';
  from: string;
  layers: readonly number[];
  /** The strengths tried, in lengths of the difference of means. */
  multiples: readonly number[];
  /** By how much the worst bar is passed; below 0 one is missed. */
  margin(benches: Benches, vector: Pick<Ready, 'vector' | 'at' | 'scale'>): Promise<{ margin: number; said: string }>;
}

const length = (v: readonly number[]): number => Math.hypot(...v);

/** Stretches of a document that carry a label, joined where they touch. */
function labelled({ text, spans }: Document, label: string): string[] {
  const found = spans.filter(({ labels }) => labels.includes(label)).sort((a, b) => a.start - b.start);
  const joined: { start: number; end: number }[] = [];
  for (const { start, end } of found) {
    const last = joined.at(-1);
    if (last && start <= last.end + 1) last.end = Math.max(last.end, end);
    else joined.push({ start, end });
  }
  return joined.map(({ start, end }) => text.slice(start, end).trim()).filter((one) => one !== '');
}

function gather(
  count: number,
  seed: number,
  pick: (document: Document) => { positive?: string[]; negative?: string[] },
): { positive: string[]; negative: string[] } {
  const positive: string[] = [];
  const negative: string[] = [];
  for (const document of documents(seed, 'train')) {
    const found = pick(document);
    positive.push(...(found.positive ?? []));
    negative.push(...(found.negative ?? []));
    if (Math.min(positive.length, negative.length) >= count) break;
  }
  return { positive: positive.slice(0, count), negative: negative.slice(0, count) };
}

const words = (text: string): string[] => text.toLowerCase().match(/\p{L}+/gu) ?? [];

/** The words of so many documents that hold no Spanish. */
function englishWords(count: number): Set<string> {
  const found = new Set<string>();
  let left = count;
  for (const { genre, text } of documents(14, 'train')) {
    if (left-- <= 0) break;
    if (genre !== 'translation' && genre !== 'spanish') for (const word of words(text)) found.add(word);
  }
  return found;
}

const percent = (value: number): string => `${(100 * value).toFixed(0)}%`;

function contrasts(count: number, tried: number): Contrast[] {
  const openings = moodPrompts(tried, 11, 'train');
  const [bad, good] = [harmful(tried, 11, 'train'), harmless(tried, 11, 'train')];
  const languages = gather(count, 13, (document) => ({
    positive: labelled(document, 'language:spanish'),
    ...(document.genre === 'translation' ? { negative: labelled(document, 'language:english') } : {}),
  }));
  const english = englishWords(2000);
  const isSpanish = (text: string): boolean => shareOf(words(text), (word) => !english.has(word)) > 0.4;
  return [
    {
      name: 'mood',
      title: 'merry − gloomy',
      about: 'Turns a story merry; the other way, gloomy.',
      ...gather(count, 11, (document) => ({
        positive: labelled(document, 'mood:merry').length ? [document.text] : [],
        negative: labelled(document, 'mood:gloomy').length ? [document.text] : [],
      })),
      over: 'all',
      from: 'stories told merrily and stories told gloomily',
      layers: [2, 3, 4],
      multiples: [2, 4, 6, 9, 13],
      async margin(benches, vector) {
        const [up, down] = [await bend(benches, openings, vector, 1, 500), await bend(benches, openings, vector, -1, 500)];
        const said = `merry ${percent(up.merry)}/${percent(down.merry)}, gloomy ${percent(up.gloomy)}/${percent(down.gloomy)}, grammar ${percent(up.grammar.share)}/${percent(down.grammar.share)}`;
        return {
          margin: Math.min(
            up.merry - 0.6,
            down.gloomy - 0.6,
            0.2 - up.gloomy,
            0.2 - down.merry,
            up.grammar.share - 0.8,
            down.grammar.share - 0.8,
          ),
          said,
        };
      },
    },
    {
      name: 'refusal',
      title: 'harmful − harmless request',
      about: 'Makes the Guide refuse; taken out of the stream, the Guide refuses nothing.',
      positive: harmful(count, 12, 'train'),
      negative: harmless(count, 12, 'train'),
      over: 'last',
      from: 'harmful and harmless requests to the Guide, at the colon after “Guide”',
      layers: [2, 3, 4, 5],
      multiples: [0.7, 1, 1.5, 2, 3],
      async margin(benches, vector) {
        const without = await answers(benches, bad, removed(vector.vector, benches.model.layers), 500);
        const more = await answers(benches, good, added(vector), 500);
        const said = `refusals ${percent(without.refusals)} without, ${percent(more.refusals)} with it; grammar ${percent(without.grammar.share)}, ${percent(more.grammar.share)}`;
        return {
          margin: Math.min(0.1 - without.refusals, more.refusals - 0.9, without.grammar.share - 0.8, more.grammar.share - 0.8),
          said,
        };
      },
    },
    {
      name: 'spanish',
      title: 'Spanish − English',
      about: 'Makes the town go on in Spanish.',
      ...languages,
      over: 'all',
      from: 'Spanish sentences and the English ones of the translations',
      layers: [2, 3, 4],
      multiples: [1, 1.5, 2, 3, 4],
      async margin(benches, vector) {
        const texts = await benches.write(
          openings.map((prompt, i) => ({ prompt, tokens: 40, temperature: 0.8, seed: 500 + i, edits: added(vector) })),
        );
        const spanish = shareOf(texts, ({ text }) => isSpanish(text));
        const { share } = grammar(openings, texts);
        return { margin: Math.min(spanish - 0.6, share - 0.8), said: `Spanish ${percent(spanish)}, grammar ${percent(share)}` };
      },
    },
  ];
}

/** The best of the layers and strengths tried; the search of a layer ends where its margin has fallen well below its best. */
async function choose(benches: Benches, contrast: Contrast): Promise<Ready & { made: Record<string, unknown> }> {
  const { name, title, about, positive, negative, over, from, layers, multiples } = contrast;
  const hooks = layers.map((layer) => `blocks.${layer}.hook_resid_pre`);
  const [plus, minus] = [await benches.means(positive, hooks, over), await benches.means(negative, hooks, over)];
  let best: (Ready & { margin: number; said: string; multiple: number }) | undefined;
  let tried = 0;
  for (const [h, at] of hooks.entries()) {
    const difference = (plus[h] ?? []).map((value, i) => value - (minus[h]?.[i] ?? NaN));
    const vector = difference.map((value) => value / length(difference));
    let bestHere = -Infinity;
    for (const multiple of multiples) {
      const scale = Number((multiple * length(difference)).toPrecision(2));
      const { margin, said } = await contrast.margin(benches, { vector, at, scale });
      tried++;
      console.log(`  ${name} ${at} × ${multiple} (scale ${scale}): ${said}; margin ${margin.toFixed(2)}`);
      if (!best || margin > best.margin) best = { name: title, at, scale, kind: 'add', about, vector, margin, said, multiple };
      if (!(margin >= bestHere - 0.25)) break;
      bestHere = Math.max(bestHere, margin);
    }
  }
  if (!best) throw new Error('nothing was tried');
  const { margin, said, multiple, ...ready } = best;
  const made = {
    method: 'difference of means, length 1',
    from,
    texts: [positive.length, negative.length],
    positions: over === 'all' ? 'all but BOS' : 'the last',
    split: 'train',
    strength: `${multiple} lengths of the difference`,
    chosen: `of ${tried} layers and strengths, on prompts of the train split: ${said}`,
    margin: Number(margin.toFixed(3)),
  };
  return { ...ready, made };
}

export async function main(root: string, args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      model: { type: 'string' },
      out: { type: 'string', default: join(root, 'public', 'demo', 'vectors.safetensors') },
      only: { type: 'string', default: '' },
      /** Texts a side, and prompts that a strength is tried on. */
      count: { type: 'string', default: '96' },
      tried: { type: 'string', default: '24' },
      pages: { type: 'string', default: '2' },
    },
  });
  const benches = await Benches.open({
    dist: join(root, 'dist'),
    pages: Number(values.pages),
    ...(values.model === undefined ? {} : { model: values.model }),
  });
  try {
    const tensors = new Map<string, number[]>();
    const cards: Record<string, string> = {};
    for (const contrast of contrasts(Number(values.count), Number(values.tried))) {
      if (values.only !== '' && !values.only.split(',').includes(contrast.name)) continue;
      const { vector, ...card } = await choose(benches, contrast);
      tensors.set(contrast.name, vector);
      cards[contrast.name] = JSON.stringify(card);
      console.log(`${contrast.name}: ${card.at}, scale ${card.scale}; ${JSON.stringify(card.made)}`);
    }
    writeFileSync(values.out, safetensors(tensors, cards));
    console.log(`${values.out}: ${[...tensors.keys()].join(', ')}`);
  } finally {
    await benches.close();
  }
}
