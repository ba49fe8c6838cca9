/**
 * What the ready vectors are the difference of, and how well a vector does what it is for: on prompts of the train split, so that the
 * claims can use others. Hooks and strengths to try come from looking at trained models of the town: moods are turned best in the
 * middle, from means over whole stories; what makes the Guide refuse is one direction only where the request has just been read (layer 1),
 * and later copies of it can be rebuilt from what else is there.
 */
import { documents, harmful, harmless, moodPrompts, type Document } from '../index';
import type { Benches } from './bench';
import { shareOf } from './claim';
import { bend } from './mood';
import { answers } from './refusal';
import { added, removed, type Ready } from './steer';
import { grammar } from './texts';

/** By how much the worst bar is passed (below 0 one is missed), and the numbers in words. */
export interface Judged {
  margin: number;
  said: string;
}

export interface Contrast {
  name: string;
  title: string;
  about: string;
  positive: string[];
  negative: string[];
  over: 'last' | 'all';
  from: string;
  hooks: readonly string[];
  /** The strengths tried, in lengths of the difference of means. */
  multiples: readonly number[];
  /** What does not depend on a strength; strengths are tried at the two hooks that are best at it. */
  before?(benches: Benches, vector: number[]): Promise<Judged>;
  margin(benches: Benches, vector: Pick<Ready, 'vector' | 'at' | 'scale'>): Promise<Judged>;
}

const says = ({ spans }: Document, label: string): boolean => spans.some(({ labels }) => labels.includes(label));

/** The first texts of either kind. */
function gather(
  count: number,
  seed: number,
  isPositive: (document: Document) => boolean,
  isNegative: (document: Document) => boolean,
): { positive: string[]; negative: string[] } {
  const positive: string[] = [];
  const negative: string[] = [];
  for (const document of documents(seed, 'train')) {
    if (isPositive(document)) positive.push(document.text);
    if (isNegative(document)) negative.push(document.text);
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

export function contrasts(count: number, tried: number): Contrast[] {
  const openings = moodPrompts(tried, 11, 'train');
  const [bad, good] = [harmful(tried, 11, 'train'), harmless(tried, 11, 'train')];
  const english = englishWords(2000);
  const isSpanish = (text: string): boolean => shareOf(words(text), (word) => !english.has(word)) > 0.4;
  return [
    {
      name: 'mood',
      title: 'merry − gloomy',
      about: 'Turns a story merry; the other way, gloomy.',
      ...gather(
        count,
        11,
        (document) => says(document, 'mood:merry'),
        (document) => says(document, 'mood:gloomy'),
      ),
      over: 'all',
      from: 'stories told merrily and stories told gloomily',
      hooks: ['blocks.3.hook_resid_pre', 'blocks.3.hook_resid_mid', 'blocks.4.hook_resid_pre'],
      multiples: [3, 3.5, 4, 4.5],
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
      hooks: ['blocks.1.hook_resid_mid', 'blocks.2.hook_resid_pre', 'blocks.2.hook_resid_mid', 'blocks.3.hook_resid_mid'],
      multiples: [1.25, 1.5, 2, 2.5],
      async before(benches, vector) {
        const { refusals, grammar: read } = await answers(benches, bad, removed(vector, benches.model.layers), 500);
        return {
          margin: Math.min(0.1 - refusals, read.share - 0.8),
          said: `without it ${percent(refusals)} refuse, grammar ${percent(read.share)}`,
        };
      },
      async margin(benches, vector) {
        const { refusals, grammar: read } = await answers(benches, good, added(vector), 500);
        return {
          margin: Math.min(refusals - 0.9, read.share - 0.8),
          said: `with it ${percent(refusals)} refuse, grammar ${percent(read.share)}`,
        };
      },
    },
    {
      name: 'spanish',
      title: 'Spanish − English',
      about: 'Makes the town go on in Spanish.',
      ...gather(
        count,
        13,
        ({ genre }) => genre === 'spanish',
        ({ genre }) => genre === 'story',
      ),
      over: 'all',
      from: 'texts in Spanish and stories in English',
      hooks: ['blocks.1.hook_resid_mid', 'blocks.2.hook_resid_pre'],
      multiples: [0.8, 0.9, 1, 1.15],
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
