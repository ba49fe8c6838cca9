/** The ground truth is true: every label is on the list, stands where its word stands, and nowhere else. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { allLabels, contextualLabels, documents, entityLabels, labelsPage, labelTokens, type Document } from '../../../tools/world';

const some: Document[] = [];
for (const document of documents(21, 'held-out')) if (some.push(document) === 4000) break;

/** One token a character's bytes: as fine as a tokeniser can be. */
const bytesOf = (text: string): number[] => [...text].map((character) => new TextEncoder().encode(character).length);
const characters = (document: Document): { character: string; labels: string[] }[] => {
  const labels = labelTokens(document, bytesOf(document.text));
  return [...document.text].map((character, i) => ({ character, labels: labels[i] ?? [] }));
};
const labelled = (document: Document, label: string): string =>
  characters(document)
    .map(({ character, labels }) => (labels.includes(label) ? character : '·'))
    .join('')
    .replace(/·+/g, '·');

describe('labels', () => {
  test('labels.md says what the code says', () => {
    expect(readFileSync('tools/world/labels.md', 'utf8')).toBe(labelsPage());
    expect(new Set(allLabels).size).toBe(allLabels.length);
  });

  test('every label that is used is on the list, and every one on the list is used', () => {
    const used = new Set(some.flatMap((document) => labelTokens(document, [new TextEncoder().encode(document.text).length]).flat()));
    expect([...used].filter((label) => !allLabels.includes(label))).toEqual([]);
    expect(allLabels.filter((label) => !used.has(label))).toEqual([]);
  });

  test('an entity’s word has its label everywhere, and the label covers nothing but the word', () => {
    for (const document of some.slice(0, 400)) {
      const spans = document.spans.filter(({ labels }) => labels.some((label) => entityLabels.includes(label)));
      for (const { start, end, labels } of spans) {
        const [label = ''] = labels;
        const word = label.slice(label.indexOf(':') + 1);
        expect(document.text.slice(start, end).replace(/s$/, '')).toBe(word.replace(/s$/, ''));
      }
      for (const label of entityLabels) {
        if (label.startsWith('goods:')) continue;
        const word = label.slice(label.indexOf(':') + 1);
        const said = [...document.text.matchAll(new RegExp(`(?<!\\p{L})${word}(?!\\p{L})`, 'gu'))].length;
        expect(spans.filter(({ labels }) => labels.includes(label)).length, `${label} in “${document.text}”`).toBe(said);
      }
    }
  });

  test('what the text itself tells: quotations, names said before', () => {
    const document: Document = {
      genre: 'story',
      text: 'Mara saw Odo. "Good day, Mara," said Odo.',
      spans: [
        { start: 0, end: 4, labels: ['person:Mara'] },
        { start: 9, end: 12, labels: ['person:Odo'] },
        { start: 25, end: 29, labels: ['person:Mara'] },
        { start: 37, end: 40, labels: ['person:Odo'] },
      ],
    };
    expect(labelled(document, 'quotation')).toBe('·"Good day, Mara,"·');
    expect(labelled(document, 'name-said-before')).toBe('·Mara·Odo·');
    expect(labelled(document, 'person:Mara')).toBe('Mara·Mara·');
  });

  test('a token has the labels of what it overlaps, counted in bytes', () => {
    const document: Document = { genre: 'spanish', text: 'El búho está', spans: [{ start: 3, end: 7, labels: ['owl'] }] };
    expect(labelTokens(document, [2, 3, 3, 6])).toEqual([[], ['owl'], ['owl'], []]);
  });

  test('moods, sentiments and refusals stand where they should', () => {
    const whole = (label: string): number => some.filter((document) => document.spans.some(({ labels }) => labels.includes(label))).length;
    for (const label of Object.keys(contextualLabels))
      expect(whole(label) + (label === 'quotation' || label === 'name-said-before' ? 1 : 0), label).toBeGreaterThan(0);
    for (const document of some) {
      for (const { start, end, labels } of document.spans) {
        const text = document.text.slice(start, end);
        if (labels.includes('refusal')) expect(text).toMatch(/^Guide: I am sorry, but/);
        if (labels.includes('harmful')) expect(text).toMatch(/^Visitor: /);
      }
    }
  });
});
