/** Held-out text with the truth of every token, as the checks read it: documents one behind another, each after the token that ends a text. */
import { allLabels, contextualLabels, labelTokens } from '../index';
import { richDocuments, tokensWithin } from '../rich';
import { encoder } from '../stream';

/** Documents that share one run. `labels[i]` is what is true of token i; the tokens that begin a text have none and count nowhere. */
export interface LabelledText {
  ids: number[];
  labels: string[][];
}

const CONTEXT = 256;

/** Every wanted label told at least `least` times, in runs of at most a whole context. `model`: the folder with the tokeniser. */
export function labelledTexts(model: string, seed: number, least: number, wanted: (label: string) => boolean): LabelledText[] {
  const { end, encode } = encoder(model);
  const texts: LabelledText[] = [];
  let open: LabelledText = { ids: [], labels: [] };
  for (const part of richDocuments(seed, least, wanted)[0]) {
    const encoded = encode(part.document.text);
    const within = tokensWithin(part, encoded.bytes);
    if (within + 1 > CONTEXT || within === 0) continue;
    if (open.ids.length + within + 1 > CONTEXT) {
      texts.push(open);
      open = { ids: [], labels: [] };
    }
    open.ids.push(end, ...encoded.ids.slice(0, within));
    open.labels.push([], ...labelTokens(part.document, encoded.bytes).slice(0, within));
  }
  return open.ids.length ? [...texts, open] : texts;
}

export const isContextual = (label: string): boolean => Object.hasOwn(contextualLabels, label);

/** How many tokens have each label. */
export function positives(texts: readonly LabelledText[]): Map<string, number> {
  const counts = new Map(allLabels.map((label) => [label, 0]));
  for (const { labels } of texts) for (const each of labels) for (const label of each) counts.set(label, (counts.get(label) ?? 0) + 1);
  return counts;
}
