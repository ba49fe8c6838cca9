/** Attention as numbers to look at: value-weighting, order, badges. */
import { describe, expect, it } from 'vitest';
import type { HeadScores, Tensor } from '../../../workers/api';
import { fromPositions, meanLoss } from '../../../src/lab/loss';
import { badge, inOrder, lengths, mapOf, mostPositions, nameOf, scoreOf, strongestKeys, weightedMap } from '../../../src/lab/heads';

/** Two heads, three tokens; rows sum to one. */
const pattern: Tensor = {
  shape: [2, 3, 3],
  data: Float32Array.from([1, 0, 0, 0.5, 0.5, 0, 0.2, 0.3, 0.5, 1, 0, 0, 0.9, 0.1, 0, 0.6, 0.4, 0]),
};

describe('a pattern', () => {
  it('is read by query and key; what is masked is no number', () => {
    const map = mapOf(pattern, 1);
    expect(map(2, 1)).toBeCloseTo(0.4, 6);
    expect(map(0, 1)).toBeNaN();
  });
  it('is weighted by the lengths of values, and each row sums to one again', () => {
    // One kv head for both: ‖v‖ of 3-4-0, 0, and 1.
    const norms = lengths({ shape: [3, 1, 2], data: Float32Array.from([3, 4, 0, 0, 1, 0]) });
    expect([...norms.data]).toEqual([5, 0, 1]);
    const map = weightedMap(pattern, norms, 0);
    expect([map(2, 0), map(2, 1), map(2, 2)]).toEqual([expect.closeTo(1 / 1.5, 6), 0, expect.closeTo(0.5 / 1.5, 6)]);
    for (const query of [0, 1, 2]) {
      const row = Array.from({ length: query + 1 }, (_, key) => map(query, key));
      expect(row.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 6);
    }
    expect(map(1, 2)).toBeNaN();
  });
  it('takes the values of the kv head that its head reads', () => {
    const norms: Tensor = { shape: [3, 2], data: Float32Array.from([1, 5, 1, 0, 1, 0]) };
    expect(weightedMap(pattern, norms, 0)(1, 0)).toBeCloseTo(0.5, 6);
    expect(weightedMap(pattern, norms, 1)(1, 0)).toBeCloseTo(1, 6);
  });
  it('says where a query looks most', () => {
    expect(strongestKeys(mapOf(pattern, 0), 2, 2).map(({ key }) => key)).toEqual([2, 1]);
    expect(strongestKeys(mapOf(pattern, 0), 0, 5)).toHaveLength(1);
  });
  it('is kept of as many positions as memory allows', () => {
    expect(mostPositions(6, 4)).toBe(512);
    expect(mostPositions(32, 32)).toBe(125);
  });
});

describe('scores', () => {
  const of = (data: number[]): Tensor => ({ shape: [2, 2], data: Float32Array.from(data) });
  const scores: HeadScores = {
    induction: of([0, 0.1, 0.9, 0.2]),
    previous: of([0.95, 0, 0.1, 0.2]),
    duplicate: of([0, 0.3, 0, 0]),
    tokens: 200,
  };
  it('give a head its trade only where it has one', () => {
    expect(badge(scores, { layer: 0, head: 0 })?.score).toBe('previous');
    expect(badge(scores, { layer: 1, head: 0 })?.score).toBe('induction');
    expect(badge(scores, { layer: 1, head: 1 })).toBeUndefined();
    expect(badge(undefined, { layer: 0, head: 0 })).toBeUndefined();
    expect(scoreOf(scores, 'duplicate', { layer: 0, head: 1 })).toBeCloseTo(0.3, 6);
  });
  it('put the heads in order', () => {
    expect(inOrder(2, 2, scores, 'induction').map(nameOf)).toEqual(['1.0', '1.1', '0.1', '0.0']);
    expect(inOrder(2, 2, scores, 'layer').map(nameOf)).toEqual(['0.0', '0.1', '1.0', '1.1']);
  });
});

describe('losses', () => {
  it('stand at the token that came; the first has none', () => {
    expect(fromPositions(Float32Array.from([1, 3]), 3)).toEqual([Number.NaN, 1, 3]);
    expect(meanLoss([Number.NaN, 1, 3])).toBe(2);
    expect(meanLoss([Number.NaN])).toBeNaN();
  });
});
