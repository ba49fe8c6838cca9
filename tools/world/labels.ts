/**
 * The ground truth for every token, written down before any dictionary is trained: `labels.md` is this list. Entities are what a
 * token names; contextual labels are what is true of where it stands.
 */
import { genres } from './genres/index';
import { allDomains } from './lexicon/index';
import type { Document, Span } from './writer';

const ENTITIES = ['person', 'place', 'job', 'animal', 'food', 'colour', 'object', 'weather', 'merry', 'gloomy', 'goods'];

const labelsIn = (domain: string): string[] =>
  (allDomains[domain] ?? []).map((word) => {
    const [label] = Object.values(word.forms).flatMap((pieces) => pieces.flatMap((piece) => piece.label ?? []));
    if (label === undefined) throw new Error(`“${word.id}” has no label`);
    return label;
  });

/** person:Mara, place:mill, … : a token that is (part of) that word. */
export const entityLabels: readonly string[] = ENTITIES.flatMap(labelsIn);

/** Label → what it means, one line. */
export const contextualLabels: Readonly<Record<string, string>> = {
  ...Object.fromEntries(genres.map(({ name, about }) => [`genre:${name}`, about])),
  'language:english': 'the sentence is English',
  'language:spanish': 'the sentence is Spanish',
  'language:code': 'the text is a program',
  'mood:merry': 'a sentence of a story that tells it merrily',
  'mood:gloomy': 'a sentence of a story that tells it gloomily',
  'sentiment:good': 'a review that praises, its title included',
  'sentiment:bad': 'a review that blames, its title included',
  harmful: 'a visitor’s request that would hurt somebody',
  refusal: 'the Guide’s sentence that refuses',
  quotation: 'between quotation marks, the marks included',
  ...Object.fromEntries([1, 2, 3, 4, 5, 6].map((n) => [`list:${n}`, `number ${n} in a list, or the date of entry ${n} in a diary`])),
  'subject:plural': 'a sentence whose subject is plural',
  'subject:singular': 'a sentence that is marked as having a singular subject (its plural twins share its shape)',
  'name-said-before': 'a person’s name that this document has said before',
  'unknown-person': 'a person the town does not know, and the sentence that says so',
};

export const allLabels: readonly string[] = [...entityLabels, ...Object.keys(contextualLabels)];

/** Spans that follow from the text itself: quotations, and names said before. */
function derived(document: Document): Span[] {
  const found: Span[] = [...document.text.matchAll(/"[^"]*"/g)].map((match) => ({
    start: match.index,
    end: match.index + match[0].length,
    labels: ['quotation'],
  }));
  const said = new Set<string>();
  for (const { start, end, labels } of [...document.spans].sort((a, b) => a.start - b.start)) {
    const person = labels.find((label) => label.startsWith('person:'));
    if (person === undefined) continue;
    if (said.has(person)) found.push({ start, end, labels: ['name-said-before'] });
    said.add(person);
  }
  return found;
}

/**
 * Labels of each token. `bytes` is how many UTF-8 bytes each token stands for, in order; a token has the labels of every span it overlaps
 * by more than the space before it.
 */
export function labelTokens(document: Document, bytes: readonly number[]): string[][] {
  const encoder = new TextEncoder();
  const byteAt = (index: number): number => encoder.encode(document.text.slice(0, index)).length;
  const spans = [...document.spans, ...derived(document)].map(({ start, end, labels }) => ({
    start: byteAt(start),
    end: byteAt(end),
    labels,
  }));
  let at = 0;
  return bytes.map((length) => {
    const [from, to] = [at, (at += length)];
    return [...new Set(spans.flatMap(({ start, end, labels }) => (Math.min(end, to) > Math.max(start, from) ? labels : [])))];
  });
}

/** The text of labels.md. */
export function labelsPage(): string {
  const words = ENTITIES.map((domain) => {
    const all = labelsIn(domain);
    return `- **${domain}** (${all.length}): ${all.map((label) => `\`${label}\``).join(' ')}`;
  });
  const context = Object.entries(contextualLabels).map(([label, meaning]) => `| \`${label}\` | ${meaning} |`);
  return [
    '# Labels',
    '',
    'What is known about every token of Lanternwick. The grammar writes the labels together with the text, so they are exact. The list was',
    'fixed before any dictionary was trained. `node tools/world/run.mjs labels` writes this page; a test holds it to the code.',
    '',
    `## Entities (${entityLabels.length})`,
    '',
    'A token has the label when it is that word or a part of it; “goods” are counted things, one or many alike. The two moods’ feelings share the prefix `feeling:`.',
    '',
    ...words,
    '',
    `## Contextual (${Object.keys(contextualLabels).length})`,
    '',
    '| label | true of a token when it stands in … |',
    '|---|---|',
    ...context,
    '',
  ].join('\n');
}
