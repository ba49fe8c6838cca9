/** AtP*'s correction against its definition: the whole pattern with the other query, or key, in its place. */
import { describe, expect, test } from 'vitest';
import { keyEffect, queryEffect, type HeadInputs, type Shape } from '../../../workers/experiments/attribution/atp-star';
import { rowsOf } from '../../../workers/experiments/attribution/rows';
import { attentionPattern, attentionScores } from '../../reference/attention';
import { numbers } from '../../support/numbers';

const [length, heads, kvHeads, dHead] = [6, 4, 2, 3];
const at = (values: Float32Array, units: number) => rowsOf({ shape: [length, units, dHead], data: values }, 'hook_q');
const inputs = (q: Float32Array, k: Float32Array): HeadInputs => ({ q: at(q, heads), k: at(k, kvHeads) });
const [q, k, q2, k2] = [numbers(72, 1, 2), numbers(36, 2, 2), numbers(72, 3, 2), numbers(36, 4, 2)];
const slope = numbers(heads * length * length, 5);
const gradient = rowsOf({ shape: [heads, length, length], data: slope }, 'hook_pattern');

describe.each([
  { window: 0, cap: 0 },
  { window: 3, cap: 1.5 },
])('window $window, cap $cap', ({ window, cap }) => {
  const shape: Shape = { spec: { heads, kvHeads }, scale: 0.6, cap, window };
  const patterns = (qs: Float32Array, ks: Float32Array): Float64Array => {
    const scores = attentionScores(qs, ks, { queries: length, keys: length, heads, kvHeads, dHead, window, cap }, 0.6);
    return attentionPattern(scores, length).pattern;
  };
  const before = patterns(q, k);
  const effect = (after: Float64Array): number => after.reduce((sum, p, i) => sum + (p - (before[i] ?? 0)) * (slope[i] ?? 0), 0);
  const patched = (
    base: Float32Array,
    other: Float32Array,
    units: number,
    has: (position: number, unit: number) => boolean,
  ): Float32Array => base.map((x, i) => (has(Math.floor(i / units / dHead), Math.floor(i / dHead) % units) ? (other[i] ?? 0) : x));

  test('a query', () => {
    const right = effect(
      patterns(
        patched(q, q2, heads, (p, h) => p === 4 && h === 3),
        k,
      ),
    );
    expect(queryEffect(inputs(q, k), inputs(q2, k2), gradient, shape, 4, 3)).toBeCloseTo(right, 10);
  });
  test('a key, and all of a head', () => {
    const one = effect(
      patterns(
        q,
        patched(k, k2, kvHeads, (p, h) => p === 2 && h === 1),
      ),
    );
    expect(keyEffect(inputs(q, k), inputs(q2, k2), gradient, shape, 2, 1)).toBeCloseTo(one, 10);
    const all = effect(
      patterns(
        q,
        patched(k, k2, kvHeads, (_, h) => h === 0),
      ),
    );
    expect(keyEffect(inputs(q, k), inputs(q2, k2), gradient, shape, undefined, 0)).toBeCloseTo(all, 10);
  });
});
