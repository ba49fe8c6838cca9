/** The twins where an answer is known without them: closed forms, published values, identities, ties and edges. */
import { describe, expect, test } from 'vitest';
import type { EngineEdit } from '../../../workers/contract';
import { activate, erf } from '../../reference/activation';
import { attention } from '../../reference/attention';
import { at, dot } from '../../reference/array';
import { alongVector, blend, covered, type EditContext } from '../../reference/edits';
import { linear } from '../../reference/linear';
import { norm } from '../../reference/norm';
import { plainRotary, rope } from '../../reference/rope';
import { softcap } from '../../reference/softcap';
import { roundToBF16, roundToF16 } from '../../reference/rounding';
import { entropy, kl, logSoftmax, logSumExp, rank, topK } from '../../reference/softmax';

describe('norm', () => {
  test('LayerNorm of 1, 2, 3, 4: variance 5/4', () => {
    const { scale, out } = norm([1, 2, 3, 4], 'layer', 0.25, [2, 1, 1, 1], [0, 0, 0, 5]);
    expect(at(scale, 0)).toBeCloseTo(Math.sqrt(1.5), 15);
    expect(at(out, 0)).toBeCloseTo(-3 / Math.sqrt(1.5), 15);
    expect(at(out, 3)).toBeCloseTo(5 + 1.5 / Math.sqrt(1.5), 15);
  });
  test('RMSNorm keeps the mean', () => {
    const { scale, normalized } = norm([3, 4, 0, 0], 'rms', 0, [1, 1]);
    expect([...scale]).toEqual([Math.sqrt(12.5), 0]);
    expect(at(normalized, 1)).toBeCloseTo(4 / Math.sqrt(12.5), 15);
    expect(at(normalized, 2)).toBeNaN();
  });
});

test('linear reads W as [out, in]', () => {
  const weight = [1, 2, 3, 4, 5, 6];
  expect([...linear([1, 0, 2, 0, 1, 0], { weight, inputs: 3, outputs: 2, bias: [10, 20] })]).toEqual([17, 36, 12, 25]);
  expect(() => linear([1, 2], { weight, inputs: 3, outputs: 2 })).toThrow(RangeError);
});

test('softcap: straight through 0, flat far out, none at 0', () => {
  expect(softcap(1e-5, 30)).toBeCloseTo(1e-5, 15);
  expect(softcap(-1e6, 30)).toBe(-30);
  expect(softcap(30, 30)).toBeCloseTo(30 * 0.7615941559557649, 13);
  expect(softcap(123, 0)).toBe(123);
});

describe('activation', () => {
  test.each([
    [0, 0],
    [0.5, 0.5204998778130465],
    [1, 0.8427007929497149],
    [2.5, 0.999593047982555],
    [3, 0.9999779095030014],
    [4, 0.9999999845827421],
    [7, 1],
  ])('erf(%d)', (x, value) => {
    expect(erf(x)).toBeCloseTo(value, 14);
    expect(erf(-x)).toBeCloseTo(-value, 14);
  });
  test('known values and far ends', () => {
    expect(activate('gelu', 1)).toBeCloseTo(0.8413447460685429, 15);
    expect(activate('gelu_new', 1)).toBeCloseTo(0.8411919906082768, 15);
    expect(activate('silu', 1)).toBeCloseTo(0.7310585786300049, 15);
    expect(activate('relu', -2)).toBe(0);
    for (const kind of ['gelu', 'gelu_new', 'silu', 'relu'] as const) {
      expect(activate(kind, 800)).toBe(800);
      expect(Math.abs(activate(kind, -800))).toBe(0);
    }
  });
});

describe('rope', () => {
  const x = Float64Array.from({ length: 3 * 2 * 6 }, (_, i) => Math.sin(i + 1));
  const shape = { heads: 2, dHead: 6, dims: 4, table: plainRotary(4, 100) };
  test('turns the pair (i, i + dims/2) by position·base^(−2i/dims) and leaves the rest', () => {
    const out = rope([1, 0, 0, 0, 7, 8], { ...shape, heads: 1, start: 3 });
    [Math.cos(3), 0, Math.sin(3), 0, 7, 8].forEach((value, i) => expect(at(out, i)).toBeCloseTo(value, 15));
    const slow = rope([0, 1, 0, 0, 7, 8], { ...shape, heads: 1, start: 3 });
    [0, Math.cos(0.3), 0, Math.sin(0.3), 7, 8].forEach((value, i) => expect(at(slow, i)).toBeCloseTo(value, 15));
  });
  test('a table’s scale lengthens what is turned, and nothing else', () => {
    const out = rope([1, 0, 0, 0, 7, 8], { ...shape, table: { ...shape.table, scale: 2 }, heads: 1, start: 3 });
    [2 * Math.cos(3), 0, 2 * Math.sin(3), 0, 7, 8].forEach((value, i) => expect(at(out, i)).toBeCloseTo(value, 14));
  });
  test('products depend on distance alone', () => {
    const score = (start: number) => dot(rope(x, { ...shape, start }), 0, rope(x, { ...shape, start }), 24, 6);
    expect(score(40)).toBeCloseTo(score(0), 12);
  });
});

describe('attention', () => {
  const noise = (count: number, seed: number) => Float64Array.from({ length: count }, (_, i) => Math.sin(seed + 7.3 * i));
  const shape = { queries: 5, keys: 5, heads: 4, kvHeads: 2, dHead: 3 };
  const [q, k, v] = [noise(60, 1), noise(30, 2), noise(30, 3)];
  const whole = attention(q, k, v, shape, 0.5);
  test('the first query sees the first key; future keys are −∞ and 0', () => {
    expect([...whole.z.subarray(6, 9)]).toEqual([...v.subarray(3, 6)]);
    expect(whole.scores[1]).toBe(-Infinity);
    expect(whole.pattern[1]).toBe(0);
    expect(at(whole.lse, 0)).toBe(at(whole.scores, 0));
  });
  test('rows of the pattern sum to 1 and the log-sum-exp rebuilds them', () => {
    for (let row = 0; row < 20; row++) {
      expect(whole.pattern.subarray(row * 5, row * 5 + 5).reduce((sum, p) => sum + p, 0)).toBeCloseTo(1, 14);
      expect(Math.exp(at(whole.scores, row * 5) - at(whole.lse, row))).toBe(at(whole.pattern, row * 5));
    }
  });
  test('a window hides all but the last keys; one that reaches the start hides nothing', () => {
    const { scores, pattern, z } = attention(q, k, v, { ...shape, window: 2 }, 0.5);
    for (let h = 0; h < 4; h++)
      for (let i = 0; i < 5; i++)
        for (let j = 0; j < 5; j++) {
          const seen = j === i || j === i - 1;
          const row = (h * 5 + i) * 5;
          expect(scores[row + j]).toBe(seen ? whole.scores[row + j] : -Infinity);
          expect(at(pattern, row + j) > 0).toBe(seen);
        }
    expect([...z.subarray(0, 24)]).toEqual([...whole.z.subarray(0, 24)]);
    expect(attention(q, k, v, { ...shape, window: 5 }, 0.5)).toEqual(whole);
    // A query that sees itself alone takes its own value.
    expect([...attention(q, k, v, { ...shape, window: 1 }, 0.5).z.subarray(48, 51)]).toEqual([...v.subarray(24, 27)]);
  });
  test('a window counts from a query’s place, not from its row', () => {
    const all = attention(q, k, v, { ...shape, window: 3 }, 0.5);
    const last = attention(q.subarray(36), k, v, { ...shape, queries: 2, window: 3 }, 0.5);
    expect([...last.z]).toEqual([...all.z.subarray(36)]);
  });
  test('a cap bends scores before the mask: none passes it, −∞ stays −∞', () => {
    const { scores } = attention(q, k, v, { ...shape, window: 3, cap: 0.25 }, 50);
    const sharp = attention(q, k, v, { ...shape, window: 3 }, 50).scores;
    scores.forEach((score, i) => {
      if (sharp[i] === -Infinity) expect(score).toBe(-Infinity);
      else expect(score).toBeCloseTo(0.25 * Math.tanh(at(sharp, i) / 0.25), 15);
      if (score !== -Infinity) expect(Math.abs(score)).toBeLessThanOrEqual(0.25);
    });
  });
  test('queries after a cache are the last rows of the whole', () => {
    const last = attention(q.subarray(36), k, v, { ...shape, queries: 2 }, 0.5);
    expect([...last.z]).toEqual([...whole.z.subarray(36)]);
  });
});

describe('softmax', () => {
  const logits = [1, 3, 3, -2, 3, 0];
  test('log-sum-exp neither overflows nor underflows', () => {
    expect(logSumExp([1000, 1000])).toBeCloseTo(1000 + Math.LN2, 12);
    expect(logSumExp([-1000, -Infinity])).toBe(-1000);
    expect(logSumExp([-Infinity, -Infinity])).toBe(-Infinity);
  });
  test('entropy of even and certain choices', () => {
    expect(entropy([5, 5, 5, 5])).toBeCloseTo(Math.log(4), 14);
    expect(entropy([0, -Infinity, -Infinity])).toBe(0);
  });
  test('KL', () => {
    expect(kl(logits, logits)).toBeCloseTo(0, 15);
    expect(kl([0, -Infinity], [0, 0])).toBeCloseTo(Math.LN2, 15);
    expect(kl([0, 0], [0, -Infinity])).toBe(Infinity);
    const other = [0, 1, 2, 3, 4, 5];
    const direct = logSoftmax(logits).reduce((sum, p, i) => sum + Math.exp(p) * (p - at(logSoftmax(other), i)), 0);
    expect(kl(logits, other)).toBeCloseTo(direct, 15);
  });
  test('ties go to the lowest index', () => {
    expect(topK(logits, 4)).toEqual([1, 2, 4, 0]);
    expect([1, 2, 4, 0, 3].map((i) => rank(logits, i))).toEqual([0, 1, 2, 3, 5]);
  });
});

describe('edits', () => {
  const common = { at: 'hook_embed', where: 'all', skipSpecial: false, strength: 1, enabled: true } as const;
  const vector = Float32Array.of(3, 4);
  test('add takes the vector as given, project and cap its direction', () => {
    expect([...alongVector({ ...common, kind: 'add', vector, scale: 2 }, [1, 1])]).toEqual([7, 9]);
    const removed = alongVector({ ...common, kind: 'project', vector, keep: 0 }, [1, 1]);
    expect(dot(removed, 0, vector, 0, 2)).toBeCloseTo(0, 14);
    const capped = alongVector({ ...common, kind: 'cap', vector, cap: 0.5 }, [1, 1]);
    expect(dot(capped, 0, vector, 0, 2) / 5).toBeCloseTo(0.5, 14);
    expect([...alongVector({ ...common, kind: 'cap', vector, cap: 1.5 }, [1, 1])]).toEqual([1, 1]);
  });
  test('strength 0 is the identity, ½ is half way', () => {
    expect([...blend([1, 2], [5, -2], 0)]).toEqual([1, 2]);
    expect([...blend([1, 2], [5, -2], 0.5)]).toEqual([3, 0]);
  });
  test('where', () => {
    const context: EditContext = {
      ids: [9, 5, 6, 9, 7],
      promptLength: 3,
      special: new Set([9]),
      unedited: () => ({ shape: [], data: new Float64Array() }),
    };
    const rows = (more: Partial<EngineEdit>) => covered({ ...common, kind: 'replace', value: 'zero', ...more } as EngineEdit, context);
    expect(rows({})).toEqual([0, 1, 2, 3, 4]);
    expect(rows({ where: 'prompt' })).toEqual([0, 1, 2]);
    expect(rows({ where: 'generated' })).toEqual([3, 4]);
    expect(rows({ where: [-1, 1] })).toEqual([4, 1]);
    expect(rows({ skipSpecial: true })).toEqual([1, 2, 4]);
  });
});

describe('rounding', () => {
  test('f16: ties to even, subnormals, overflow', () => {
    expect(roundToF16(1 + 2 ** -11)).toBe(1);
    expect(roundToF16(1 + 3 * 2 ** -11)).toBe(1 + 2 ** -9);
    expect(roundToF16(0.1)).toBe(0.0999755859375);
    expect(roundToF16(2 ** -25)).toBe(0);
    expect(roundToF16(3 * 2 ** -26)).toBe(2 ** -24);
    expect(roundToF16(-65519)).toBe(-65504);
    expect(roundToF16(65520)).toBe(Infinity);
    expect(roundToF16(1024 - 2 ** -40)).toBe(1024);
  });
  test('bf16: eight significant bits', () => {
    expect(roundToBF16(1 + 2 ** -8)).toBe(1);
    expect(roundToBF16(-(1 + 3 * 2 ** -8))).toBe(-(1 + 2 ** -6));
    expect(roundToBF16(0.1)).toBe(0.10009765625);
    expect(roundToBF16(3.4e38)).toBe(Infinity);
    expect(roundToBF16(1e-45)).toBe(0);
  });
});
