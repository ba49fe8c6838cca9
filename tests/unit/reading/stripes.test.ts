/** Scores of heads, by stripes of a pattern, against what the tokens themselves say; and the draw of the tokens. */
import { describe, expect, test } from 'vitest';
import { repeated, stripes } from '../../../workers/experiments/head-scores/stripes';
import { at } from '../../reference/array';
import { numbers } from '../../support/numbers';

describe.each([
  ['with a BOS', 7, 1],
  ['without', undefined, 0],
] as const)('%s', (_name, bos, start) => {
  const length = 6;
  const heads = 3;
  const call = { vocab: 40, special: [3, 4], bos, length, repeats: 5, seed: 11 };

  test('the mean attention to where the token, or the one after it, was said before', () => {
    const [ids = []] = repeated(call);
    const tokens = ids.length;
    const pattern = numbers(heads * tokens * tokens, 5, 1);
    const found = stripes(pattern, heads, start, length);
    for (let head = 0; head < heads; head++) {
      const attention = (q: number, k: number): number => at(pattern, (head * tokens + q) * tokens + k);
      const all: Record<'induction' | 'previous' | 'duplicate', number[]> = { induction: [], previous: [], duplicate: [] };
      ids.forEach((id, q) => {
        if (q > start) all.previous.push(attention(q, q - 1));
        const before = ids.lastIndexOf(id, q - 1);
        if (q === 0 || before < 0) return;
        all.duplicate.push(attention(q, before));
        all.induction.push(attention(q, before + 1));
      });
      const mean = (values: number[]): number => values.reduce((sum, each) => sum + each, 0) / values.length;
      expect(all.induction).toHaveLength(length);
      for (const kind of ['induction', 'previous', 'duplicate'] as const) expect(at(found[kind], head)).toBeCloseTo(mean(all[kind]), 12);
    }
  });

  test('a perfect head of each kind scores 1 and nothing else', () => {
    const tokens = start + 2 * length;
    const perfect = (back: number): Float64Array => {
      const pattern = new Float64Array(tokens * tokens);
      for (let q = 0; q < tokens; q++) pattern[q * tokens + Math.max(0, q - back)] = 1;
      return pattern;
    };
    const of = (back: number): number[] => {
      const found = stripes(perfect(back), 1, start, length);
      return [at(found.induction, 0), at(found.previous, 0), at(found.duplicate, 0)];
    };
    expect(of(length - 1)[0]).toBe(1);
    expect(of(length - 1)[2]).toBe(0);
    expect(of(1)[1]).toBe(1);
    expect(of(length)[2]).toBe(1);
    expect(of(length)[0]).toBe(0);
  });

  test('tokens: different, none special, said twice; the same seed draws the same', () => {
    const all = repeated(call);
    expect(all).toHaveLength(5);
    for (const ids of all) {
      expect(ids).toHaveLength(start + 2 * length);
      const once = ids.slice(start, start + length);
      expect(ids.slice(start + length)).toEqual(once);
      expect(new Set(once).size).toBe(length);
      expect(once.filter((id) => id === 3 || id === 4 || id === bos || id < 0 || id >= 40)).toEqual([]);
      if (bos !== undefined) expect(ids[0]).toBe(bos);
    }
    expect(repeated(call)).toEqual(all);
    expect(repeated({ ...call, seed: 12 })).not.toEqual(all);
    expect(() => repeated({ ...call, vocab: 7 })).toThrow(/different tokens/);
  });
});
