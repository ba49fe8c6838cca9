/** One dial bends a story: the mood vector added or taken away, at one strength, and the words that the rest of the story uses. */
import { hasMood, moodPrompts } from '../index';
import type { Benches, Continuation } from './bench';
import { shareOf, type Claim, type Measure } from './claim';
import { added, vectorNamed, type Ready } from './steer';
import { grammar, some } from './texts';

export interface Bent {
  texts: Continuation[];
  merry: number;
  gloomy: number;
  grammar: ReturnType<typeof grammar>;
}

/** Stories continued from their openings to their end; sign 0 leaves the model as it is. */
export async function bend(
  benches: Benches,
  prompts: readonly string[],
  vector: Pick<Ready, 'vector' | 'at' | 'scale'>,
  sign: 1 | 0 | -1,
  seed: number,
): Promise<Bent> {
  const edits = sign === 0 ? {} : { edits: added(vector, sign) };
  const texts = await benches.write(prompts.map((prompt, i) => ({ prompt, tokens: 130, temperature: 0.8, seed: seed + i, ...edits })));
  return {
    texts,
    merry: shareOf(texts, ({ text }) => hasMood(text, 'merry')),
    gloomy: shareOf(texts, ({ text }) => hasMood(text, 'gloomy')),
    grammar: grammar(prompts, texts),
  };
}

export const mood = (vectors: string): Claim => ({
  name: 'mood',
  async run(benches, smaller) {
    const vector = vectorNamed(vectors, 'mood');
    const prompts = moodPrompts(Math.ceil(100 / smaller), 1);
    const n = prompts.length;
    const measures: Measure[] = [];
    const notes: string[] = [];
    for (const [sign, word, wanted, other] of [
      [1, 'added', 'merry', 'gloomy'],
      [-1, 'subtracted', 'gloomy', 'merry'],
    ] as const) {
      const bent = await bend(benches, prompts, vector, sign, 1);
      measures.push(
        { what: `${word}: ${wanted} words`, value: bent[wanted], bar: 0.6, at: 'least', n, leastN: 100 },
        { what: `${word}: ${other} words`, value: bent[other], bar: 0.2, at: 'most', n, leastN: 100 },
        { what: `${word}: sentences accepted`, value: bent.grammar.share, bar: 0.8, at: 'least', n: bent.grammar.n, leastN: n },
      );
      notes.push(
        `${word}: ${some(
          bent.texts.map(({ text }, i) => (prompts[i] ?? '') + text),
          2,
        )}`,
      );
      if (bent.grammar.rejected.length) notes.push(`${word}, not accepted: ${some(bent.grammar.rejected)}`);
    }
    const plain = await bend(benches, prompts.slice(0, Math.ceil(prompts.length / 3)), vector, 0, 1);
    notes.push(
      `without it: merry ${(100 * plain.merry).toFixed(0)}%, gloomy ${(100 * plain.gloomy).toFixed(0)}%; ${vector.at}, scale ±${vector.scale}`,
    );
    return { measures, notes };
  },
});
