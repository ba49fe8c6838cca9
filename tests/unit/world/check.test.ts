/** The parts of world:check that need no browser: verdicts, statistics, the cutting of sampled texts, the file of vectors. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { holds, judge, mean, shareOf, table, type Measure } from '../../../tools/world/check/claim';
import { correlation, median } from '../../../tools/world/check/attribution';
import { gridOf, handOver } from '../../../tools/world/check/patching';
import { added, readVectors, removed, vectorNamed } from '../../../tools/world/check/steer';
import { safetensors } from '../../../tools/world/check/tensors';
import { grammar, judged } from '../../../tools/world/check/texts';
import { documents, sentences } from '../../../tools/world/index';

const measure = (given: Partial<Measure>): Measure => ({ what: 'it', value: 0.99, bar: 0.99, at: 'least', n: 500, leastN: 500, ...given });

describe('verdicts', () => {
  test('a bar is met at the bar, missed just below it', () => {
    expect(holds(measure({}))).toBe(true);
    expect(holds(measure({ value: 0.98999 }))).toBe(false);
    expect(holds(measure({ at: 'most' }))).toBe(true);
    expect(holds(measure({ at: 'most', value: 0.991 }))).toBe(false);
  });

  test('too small a sample, a missing number and no number at all are failures', () => {
    expect(holds(measure({ n: 499 }))).toBe(false);
    expect(holds(measure({ value: NaN }))).toBe(false);
    expect(holds(measure({ value: Infinity }))).toBe(false);
    expect(holds(measure({ value: -Infinity, at: 'most' }))).toBe(false);
    expect(judge([])).toBe(false);
    expect(judge([measure({}), measure({ n: 1 })])).toBe(false);
  });

  test('the table has a line a measure, with the verdict of each', () => {
    const measures = [measure({}), measure({ what: 'other', value: 2.5, bar: 3, unit: 'number', n: 10 })];
    const lines = table([
      { claim: 'one', measures, notes: [], pass: false, seconds: 12.4 },
      { claim: 'two', measures: [], notes: ['it threw'], pass: false, seconds: 1 },
    ]).split('\n');
    expect(lines).toHaveLength(4);
    expect(lines[1]).toMatch(/one: it +≥ 99\.0% +99\.0% +500 +PASS +12/);
    expect(lines[2]).toMatch(/one: other +≥ 3\.00 +2\.50 +10 \(fewer than 500\) +FAIL/);
    expect(lines[3]).toMatch(/two +not measured +FAIL/);
  });
});

describe('statistics', () => {
  test('means and shares', () => {
    expect(mean([1, 2, 6])).toBe(3);
    expect(mean([])).toBeNaN();
    expect(shareOf([1, 2, 3, 4], (n) => n > 1)).toBe(0.75);
  });

  test('correlation and median, cells without a number left out', () => {
    expect(
      correlation([
        [1, 2],
        [2, 4],
        [3, 6],
        [NaN, 9],
      ]),
    ).toBeCloseTo(1);
    expect(
      correlation([
        [1, 3],
        [2, 2],
        [3, 1],
      ]),
    ).toBeCloseTo(-1);
    expect([median([3, 1, 2]), median([4, 1, 2, 3])]).toEqual([2, 2.5]);
  });

  test('the hand-over is the first layer that holds more at the last position', () => {
    expect(handOver([1, 0.9, 0.2, 0], [0, 0.1, 0.8, 1])).toBe(2);
    expect(handOver([0, 0], [1, 1])).toBe(0);
    expect(handOver([1, 1], [0, 0])).toBe(2);
  });

  test('recovery is 0 at the corrupted run and 1 at the clean one, averaged over pairs', () => {
    const pair = (cells: number[][]) => ({ pieces: ['a', 'b'], positions: [0, 1], cells, clean: 4, corrupted: -4 });
    expect(gridOf([pair([[4, -4]]), pair([[0, -4]])]).recovery).toEqual([[0.75, 0]]);
  });
});

describe('sampled texts', () => {
  const [document] = documents(3, 'held-out');
  const text = document?.text ?? '';
  const all = sentences(text);

  test('a whole text counts whole; of one that was cut off the last sentence is left out', () => {
    expect(judged('', { text, ended: 'eos', tokens: 9 })).toHaveLength(all.length);
    expect(judged('', { text, ended: 'length', tokens: 9 })).toHaveLength(all.length - 1);
  });

  test('sentences of the prompt are not counted', () => {
    const cut = text.length - (all.at(-1)?.text.length ?? 0);
    expect(judged(text.slice(0, cut), { text: text.slice(cut), ended: 'eos', tokens: 9 })).toHaveLength(1);
  });

  test('what the grammar did not write is counted and shown', () => {
    const told = grammar([''], [{ text: 'The lantern lantern of of the.', ended: 'eos', tokens: 9 }]);
    expect(told.share).toBe(0);
    expect(told.rejected.join('')).toContain('lantern lantern');
    expect(grammar([], []).share).toBeNaN();
  });
});

describe('vectors', () => {
  const folder = mkdtempSync(join(tmpdir(), 'loupe-vectors-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'vectors.safetensors');
  const card = { name: 'merry − gloomy', at: 'blocks.3.hook_resid_pre', scale: 6, kind: 'add', about: 'Turns a story merry.' };
  writeFileSync(path, safetensors(new Map([['mood', [0.5, -1, 2]]]), { mood: JSON.stringify(card) }));

  test('what was written is read', () => {
    expect(vectorNamed(path, 'mood')).toEqual({ ...card, vector: [0.5, -1, 2] });
    expect([...readVectors(path).keys()]).toEqual(['mood']);
    expect(() => vectorNamed(path, 'refusal')).toThrow(/world:vectors/);
  });

  test('added both ways; removed wherever the stream passes', () => {
    const vector = vectorNamed(path, 'mood');
    expect(added(vector, -1)).toEqual([{ kind: 'add', vector: [0.5, -1, 2], at: card.at, scale: -6, skipSpecial: true }]);
    const edits = removed(vector.vector, 6);
    expect(edits).toHaveLength(13);
    expect(new Set(edits.map(({ at }) => at)).size).toBe(13);
    expect(edits.every((edit) => edit.kind === 'project' && edit.keep === 0 && edit.skipSpecial === true)).toBe(true);
  });
});
