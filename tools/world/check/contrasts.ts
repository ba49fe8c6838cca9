/**
 * What the ready vectors are the difference of, and how well a vector does what it is for: on prompts of the train split, so that the
 * claims can use others. Hooks and strengths to try come from looking at trained models of the town: how a story is told is one direction at
 * the full stop before its last sentence, in the middle of the model (means over whole stories dilute it: a model trained for longer does not
 * follow them). What makes the Guide refuse stands at the end of the request. No one difference of means both adds and removes it in that
 * model: taken out, it must be what layer 2 reads there; added, it must be free of what is asked, or the answer becomes one about that.
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
  /** So many main axes along which the negative texts differ among each other are taken out of the difference. */
  apart?: number;
  /** How it is meant to be used: `add` unless said otherwise. */
  use?: Pick<Ready, 'kind' | 'keep'>;
  /** The strengths tried, in lengths of the difference of means. */
  multiples: readonly number[];
  /** What does not depend on a strength; strengths are tried at the two hooks that are best at it. */
  before?(benches: Benches, vector: number[]): Promise<Judged>;
  margin(benches: Benches, vector: Pick<Ready, 'vector' | 'at' | 'scale'>): Promise<Judged>;
}

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

/** Stories of both moods without their last sentence. */
function unended(count: number, seed: number): { positive: string[]; negative: string[] } {
  const cut =
    (mood: string) =>
    (document: Document): string | undefined => {
      const told = document.spans.filter(({ labels }) => labels.includes(`mood:${mood}`));
      const end = told.at(-1)?.start;
      return end === undefined || told.length < 2 ? undefined : document.text.slice(0, end).trimEnd();
    };
  const [merry, gloomy] = [cut('merry'), cut('gloomy')];
  const positive: string[] = [];
  const negative: string[] = [];
  for (const document of documents(seed, 'train')) {
    const [plus, minus] = [merry(document), gloomy(document)];
    if (plus !== undefined) positive.push(plus);
    if (minus !== undefined) negative.push(minus);
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

/** The request alone, without the Guide's turn to speak. */
const asked = (prompts: readonly string[]): string[] => prompts.map((prompt) => prompt.replace(/\nGuide:$/, ''));

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
      ...unended(count, 11),
      over: 'last',
      from: 'merry and gloomy stories before their last sentence, at the full stop: where the model must know how they are told',
      hooks: ['blocks.3.hook_resid_mid'],
      multiples: [1.6, 1.7, 1.8],
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
      about: 'Makes the Guide refuse.',
      positive: asked(harmful(count, 12, 'train')),
      negative: asked(harmless(count, 12, 'train')),
      over: 'last',
      from: 'harmful and harmless requests to the Guide, at the end of the request, less the 12 main axes along which harmless ones differ',
      hooks: ['blocks.1.hook_resid_mid'],
      apart: 12,
      multiples: [4.5, 5, 5.5],
      async margin(benches, vector) {
        const { refusals, grammar: read } = await answers(benches, good, added(vector), 500);
        return {
          margin: Math.min(refusals - 0.9, read.share - 0.8),
          said: `with it ${percent(refusals)} refuse, grammar ${percent(read.share)}`,
        };
      },
    },
    {
      name: 'consent',
      title: 'harmful − harmless, to take out',
      about: 'Taken out of the stream, the Guide refuses nothing.',
      positive: asked(harmful(count, 12, 'train')),
      negative: asked(harmless(count, 12, 'train')),
      over: 'last',
      from: 'harmful and harmless requests to the Guide, at the end of the request',
      hooks: ['blocks.2.hook_resid_mid', 'blocks.2.hook_resid_pre'],
      // At one hook alone later layers rebuild it: turned round there, it stays away.
      use: { kind: 'project', keep: -1 },
      multiples: [1],
      async margin(benches, { vector }) {
        const { refusals, grammar: read } = await answers(benches, bad, removed(vector, benches.model.layers), 500);
        return {
          margin: Math.min(0.1 - refusals, read.share - 0.8),
          said: `taken out at every hook of the stream, ${percent(refusals)} refuse, grammar ${percent(read.share)}`,
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
