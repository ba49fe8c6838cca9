/** Each of the demo's dictionaries on held-out documents, by lab.evaluate: cross-entropy recovered and mean L0. Dead latents need more text: latents.ts. */
import { documents } from '../index';
import type { Claim, Measure } from './claim';
import { evaluated, shelved } from './in-page';

/** A software renderer evaluates some fifty positions a second, and the bar is far from where sampling could matter. */
const POSITIONS = 1_500;
const END = '<|endoftext|>';

/** Documents one behind another, each after the token that ends a text, as a tenth of them was trained: a run of a whole context costs little more than a short one. */
function* texts(tokens: number, count: (text: string) => number): Generator<string> {
  let [open, room, left] = ['', 255, tokens];
  for (const { text } of documents(11, 'held-out')) {
    const needed = count(text) + 1;
    if (needed > 255) continue;
    if (needed > room) {
      yield open;
      if (left <= 0) return;
      [open, room] = ['', 255];
    }
    open += open === '' ? text : END + text;
    room -= needed;
    left -= needed;
  }
}

export const dictionaries = (count: (text: string) => number): Claim => ({
  name: 'dictionaries',
  async run(benches, smaller) {
    const text = [...texts((1.1 * POSITIONS) / smaller, count)];
    const all = await benches.everywhere(shelved, 3);
    const scores = await benches.each(
      all.map(({ id }) => ({ dictionary: id, text })),
      evaluated,
    );
    const measures: Measure[] = [];
    const notes: string[] = [];
    for (const [i, { name, hook, latents }] of all.entries()) {
      const found = scores[i] ?? {};
      const n = found['positions'] ?? 0;
      const of = { n, leastN: POSITIONS };
      measures.push(
        { what: `${name}: cross-entropy recovered`, value: found['ce_score'] ?? NaN, bar: 0.97, at: 'least', ...of },
        { what: `${name}: mean L0`, value: found['l0'] ?? NaN, bar: 32, at: 'most', unit: 'number', ...of },
      );
      const rounded = (key: string): string => (found[key] ?? NaN).toFixed(4);
      notes.push(
        `${name}: ${latents} latents at ${hook}; nats a token ${rounded('ce_clean')}, spliced ${rounded('ce_spliced')}, zeroed ${rounded('ce_zero')}; variance unexplained ${rounded('fvu')}; truncated ${found['truncated'] ?? NaN}`,
      );
    }
    return { measures, notes };
  },
});
