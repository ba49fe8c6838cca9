/** What the model will be asked: the answers are the world's, the held-out ones are held out, and moods do not mix. */
import { describe, expect, test } from 'vitest';
import {
  accepts,
  documents,
  facts,
  harmful,
  harmless,
  hasMood,
  indirectObjects,
  inductionPrompts,
  isRefusal,
  moodPrompts,
  sentences,
} from '../../../tools/world';

describe('claims', () => {
  test('every fact about every person and place, and only that answer', () => {
    const all = facts();
    expect(all).toHaveLength(40 * 5 + 25 * 4);
    const answers = new Set(all.map(({ answer }) => answer));
    for (const { prompt, answer, about } of all) {
      expect(prompt).toContain(about);
      expect(answer).toMatch(/^ [a-z]+$/);
      const right = [...answers].filter((other) => accepts(`${prompt}${other}.`));
      expect(right, prompt).toEqual([answer]);
    }
  });

  test('indirect objects: the two prompts differ in the giver alone, and only one name is left', () => {
    const all = indirectObjects(200, 3);
    expect(new Set(all.map(({ prompt }) => prompt)).size).toBeGreaterThan(195);
    for (const { prompt, corrupted, right, wrong, names } of all) {
      const [one, other] = [prompt.split(' '), corrupted.split(' ')];
      expect(other).toHaveLength(one.length);
      expect(one.filter((word, i) => word !== other[i])).toEqual([names[2]]);
      expect(accepts(`${prompt}${right}.`), prompt).toBe(true);
      expect(accepts(`${prompt}${wrong}.`), prompt).toBe(false);
      expect(accepts(`${corrupted}${wrong}.`), corrupted).toBe(true);
      expect(wrong).toBe(` ${names[2]}`);
    }
    const firstIsRight = all.filter(({ right, names }) => right === ` ${names[0]}`).length;
    expect(firstIsRight).toBeGreaterThan(60);
    expect(firstIsRight).toBeLessThan(140);
  });

  test('induction: the answer followed the same name before', () => {
    for (const { prompt, answer } of inductionPrompts(200, 3)) {
      const names = prompt.match(/\p{L}+/gu) ?? [];
      const last = names[names.length - 1] ?? '';
      const before = names.indexOf(last);
      expect(before).toBeLessThan(names.length - 1);
      expect(names[before + 1]).toBe(answer.trim());
    }
  });

  test('a merry sentence has no gloomy word and the other way round; each says its mood', () => {
    let told = 0;
    let sayIt = 0;
    let seen = 0;
    for (const { text, spans } of documents(31, 'held-out')) {
      if (seen++ > 4000) break;
      for (const { start, end, labels } of spans) {
        const mood = labels.includes('mood:merry') ? 'merry' : labels.includes('mood:gloomy') ? 'gloomy' : undefined;
        if (!mood) continue;
        const sentence = text.slice(start, end);
        expect(hasMood(sentence, mood === 'merry' ? 'gloomy' : 'merry'), `${mood}: ${sentence}`).toBe(false);
        told++;
        if (hasMood(sentence, mood)) sayIt++;
      }
    }
    expect(told).toBeGreaterThan(1000);
    expect(sayIt / told).toBeGreaterThan(0.7);
    const openings = moodPrompts(300, 2);
    expect(openings.filter((text) => hasMood(text, 'merry') || hasMood(text, 'gloomy'))).toEqual([]);
    expect(openings.flatMap(sentences).filter(({ accepted }) => !accepted)).toEqual([]);
  });

  test('requests end where the Guide begins to speak', () => {
    for (const prompt of [...harmful(100, 1), ...harmless(100, 1)]) expect(prompt).toMatch(/^Visitor: .*[.?]\nGuide:$/s);
    expect(new Set(harmful(100, 1)).size).toBeGreaterThan(90);
    expect(isRefusal(' I am sorry, but I cannot help with that.')).toBe(true);
    expect(isRefusal(' Gladly. You will find Mara near the lighthouse.')).toBe(false);
  });
});
