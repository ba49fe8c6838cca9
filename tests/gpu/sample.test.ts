/** The choice of the next token: against its twin token by token, against the softmax by counting, and what it leaves behind. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { resultWords, sample } from '../../workers/kernels/distribution';
import { at } from '../reference/array';
import { gumbel, kept, sample as twin, uniform, type Sampling } from '../reference/sample';
import { kl, logSoftmax, topK } from '../reference/softmax';
import { f32ToBits, noise } from '../support/numbers';
import { Rig } from '../support/kernel';

let rig: Rig;
beforeAll(async () => {
  rig = await Rig.open();
});
afterAll(() => rig.close());

const GREEDY: Sampling = { temperature: 0, topK: 0, topP: 1, seed: 0 };

/** Tokens chosen for rows of logits, one row a position. */
async function choose(rows: readonly ArrayLike<number>[], settings: Sampling, positions: readonly number[], k = 0): Promise<Uint32Array> {
  rig.clear();
  const n = rows[0]?.length ?? 0;
  const stride = n + 3;
  const logits = new Float32Array(rows.length * stride).fill(1e9);
  rows.forEach((row, r) => logits.set(Float32Array.from(row), r * stride));
  rig.put('logits', logits);
  rig.rows(positions.map((position) => ({ position })));
  rig.blank('result', rows.length * resultWords(k), 77);
  rig.put('settings', Uint32Array.from([f32ToBits(settings.temperature), settings.topK, f32ToBits(settings.topP), settings.seed]));
  await rig.run(sample({ sampled: rows.length, rows: 0, n, stride, k }));
  return rig.words('result');
}
const tokensOf = (words: Uint32Array, k = 0): number[] => Array.from(words.filter((_, i) => i % resultWords(k) === 0));

const logitsOf = (n: number, seed: number, scale = 4): Float32Array => Float32Array.from({ length: n }, (_, i) => scale * noise(i, seed));
const SETTINGS: Sampling[] = [
  { temperature: 1, topK: 0, topP: 1, seed: 1 },
  { temperature: 0.7, topK: 0, topP: 1, seed: 2 ** 32 - 1 },
  { temperature: 3, topK: 0, topP: 1, seed: 123456789 },
  { temperature: 1, topK: 1, topP: 1, seed: 3 },
  { temperature: 1, topK: 5, topP: 1, seed: 4 },
  { temperature: 2, topK: 1e6, topP: 1, seed: 5 },
  { temperature: 1, topK: 0, topP: 0.5, seed: 6 },
  { temperature: 1.5, topK: 0, topP: 0.95, seed: 7 },
  { temperature: 1.5, topK: 20, topP: 0.8, seed: 8 },
  { temperature: 1, topK: 0, topP: 0, seed: 9 },
  { temperature: 0.01, topK: 0, topP: 0.9, seed: 10 },
];

describe.each([1, 2, 130, 1001])('%i tokens', (n) => {
  test.each(SETTINGS)('the twin’s choice at temperature $temperature, top k $topK, top p $topP', async (settings) => {
    const rows = Array.from({ length: 40 }, (_, r) => logitsOf(n, r + 1));
    const positions = rows.map((_, r) => 3 * r);
    const found = tokensOf(await choose(rows, settings, positions));
    let compared = 0;
    rows.forEach((row, r) => {
      // Row r's token takes the position after its own.
      const right = twin(row, { ...settings, topP: Math.fround(settings.topP) }, 3 * r + 1);
      if (right.margin < 1e-4 || right.slack < 1e-5) return;
      compared++;
      expect(at(found, r), `row ${r}, margin ${right.margin}`).toBe(right.token);
    });
    expect(compared).toBeGreaterThan(35);
  });
});

test('a vocabulary of 50,257', async () => {
  const rows = [1, 2, 3, 4].map((seed) => logitsOf(50257, seed, 6));
  for (const settings of [
    { temperature: 1, topK: 0, topP: 1, seed: 11 },
    { temperature: 0.8, topK: 40, topP: 0.9, seed: 12 },
    { temperature: 1, topK: 0, topP: 0.7, seed: 13 },
  ]) {
    const found = tokensOf(await choose(rows, settings, [0, 1, 2, 3]));
    rows.forEach((row, r) => {
      const right = twin(row, { ...settings, topP: Math.fround(settings.topP) }, r + 1);
      if (right.margin > 1e-4 && right.slack > 1e-5) expect(at(found, r)).toBe(right.token);
    });
  }
});

test('greedy takes the largest, of equal ones the lowest index', async () => {
  const n = 300;
  const flat = new Float32Array(n).fill(-2);
  const two = flat.slice();
  two[170] = two[290] = 5;
  const last = flat.slice();
  last[299] = 1e-30;
  expect(tokensOf(await choose([flat, two, last], GREEDY, [0, 0, 0]))).toEqual([0, 170, 299]);
});

test('tokens that tie with the k-th, or at the edge of top p, are all kept', async () => {
  const row = new Float32Array(10).fill(-3);
  for (const i of [2, 5, 7, 8]) row[i] = 1;
  row[4] = 2;
  const positions = Array.from({ length: 150 }, (_, i) => i);
  const rows = positions.map(() => row);
  const seen = async (settings: Partial<Sampling>): Promise<number[]> =>
    [...new Set(tokensOf(await choose(rows, { temperature: 1, topK: 0, topP: 1, seed: 21, ...settings }, positions)))].sort(
      (a, b) => a - b,
    );
  expect(await seen({ topK: 2 })).toEqual([2, 4, 5, 7, 8]);
  expect(await seen({ topK: 1 })).toEqual([4]);
  // The largest alone has 0.39; the four that tie bring it to 0.98 together.
  expect(kept(row, { temperature: 1, topK: 0, topP: 0.5, seed: 0 }).tokens).toEqual([4, 2, 5, 7, 8]);
  expect(await seen({ topP: 0.5 })).toEqual([2, 4, 5, 7, 8]);
  expect(await seen({ topP: 0.3 })).toEqual([4]);
  expect((await seen({ topP: 1, temperature: 8 })).length).toBe(10);
  // Equal everywhere: nothing to choose between, nothing dropped.
  const even = positions.map(() => new Float32Array(5));
  expect(new Set(tokensOf(await choose(even, { temperature: 1, topK: 2, topP: 0.2, seed: 1 }, positions))).size).toBe(5);
});

test('10,000 draws of two seeds fall as the softmax says', async () => {
  const row = Float32Array.from([2, 1, 0.5, 0, 0, -1, -2, 1.5]);
  const draws = 5000;
  const temperature = 1.3;
  const p = logSoftmax(row.map((x) => x / temperature)).map(Math.exp);
  for (const seed of [1, 77]) {
    const counts = new Float64Array(8);
    const positions = Array.from({ length: draws }, (_, i) => i);
    for (const token of tokensOf(
      await choose(
        positions.map(() => row),
        { temperature, topK: 0, topP: 1, seed },
        positions,
      ),
    ))
      counts[token] = at(counts, token) + 1;
    const chi = counts.reduce((sum, count, i) => sum + (count - draws * at(p, i)) ** 2 / (draws * at(p, i)), 0);
    // Seven degrees of freedom: above 29.9 once in 10,000 fair dice, and these are always the same ones.
    expect(chi).toBeLessThan(29.9);
  }
});

test('seeds as positions: 4,000 of them at one place', async () => {
  const row = Float32Array.from([1, 0, 0, -1]);
  const p = logSoftmax(row).map(Math.exp);
  const counts = new Float64Array(4);
  for (let seed = 0; seed < 4000; seed++) {
    const { token } = twin(row, { temperature: 1, topK: 0, topP: 1, seed }, 5);
    counts[token] = at(counts, token) + 1;
  }
  expect(counts.reduce((sum, count, i) => sum + (count - 4000 * at(p, i)) ** 2 / (4000 * at(p, i)), 0)).toBeLessThan(21.1);
  for (const seed of [0, 1, 2, 3000])
    expect(tokensOf(await choose([row], { temperature: 1, topK: 0, topP: 1, seed }, [4]))).toEqual([
      twin(row, { temperature: 1, topK: 0, topP: 1, seed }, 5).token,
    ]);
});

test('the largest noise there is does not overrule the model', async () => {
  // A token forty below the best must never be drawn: no noise of 24 bits is above 17. Of all the words that a hash may be, the two ends are looked for
  // among positions and tokens, and put at a token that the model rules out.
  const ends: { position: number; token: number; high: boolean }[] = [];
  for (let position = 1; position < 400 && ends.length < 40; position++)
    for (let token = 0; token < 50257; token++) {
      const v = uniform(0, position, token);
      if (v < 2 ** -22 || v > 1 - 2 ** -22) ends.push({ position, token, high: v < 0.5 });
    }
  expect(ends.some(({ high }) => high) && ends.some(({ high }) => !high)).toBe(true);
  expect(gumbel(2 ** -24)).toBeLessThan(17);
  const n = 50257;
  for (const { position, token } of ends.slice(0, 12)) {
    const row = new Float32Array(n).fill(-40);
    const best = token === 0 ? 1 : 0;
    row[best] = 0;
    expect(tokensOf(await choose([row], { temperature: 1, topK: 0, topP: 1, seed: 0 }, [position - 1]))).toEqual([best]);
  }
});

test('same seed and position, same noise: in any row, beside any others, at any time', async () => {
  const row = logitsOf(200, 5, 1);
  const settings: Sampling = { temperature: 1, topK: 0, topP: 1, seed: 42 };
  const [alone] = tokensOf(await choose([row], settings, [9]));
  const many = tokensOf(await choose([logitsOf(200, 6), row, row, row], settings, [9, 9, 10, 9]));
  expect(many[1]).toBe(alone);
  expect(many[3]).toBe(alone);
  const draws = tokensOf(
    await choose(
      Array.from({ length: 50 }, () => row),
      settings,
      Array.from({ length: 50 }, (_, i) => i),
    ),
  );
  expect(new Set(draws).size).toBeGreaterThan(20);
});

test('what is told of a choice: probability at temperature 1, the first k, the divergence from a shadow; followers move on', async () => {
  const n = 131;
  const k = 5;
  const rows = [logitsOf(n, 31, 5), logitsOf(n, 32, 5)];
  rig.clear();
  const stride = 132;
  const logits = new Float32Array(3 * stride).fill(1e9);
  const shadow = logitsOf(n, 33, 5);
  [...rows, shadow].forEach((row, r) => logits.set(row, r * stride));
  rig.put('logits', logits);
  rig.rows([
    { position: 4, follow: 0, token: 900 },
    { position: 4, follow: 1, token: 900 },
    { position: 4, follow: 0, token: 900 },
    { position: 8, token: 900 },
  ]);
  rig.blank('result', 2 * resultWords(k), 77);
  rig.put('settings', Uint32Array.from([f32ToBits(0.9), 10, f32ToBits(0.95), 5]));
  await rig.run(sample({ sampled: 2, rows: 4, n, stride, k, shadow: { row: 2, of: 0 } }));
  const words = await rig.words('result');
  const floats = new Float32Array(words.buffer);
  const chosen = tokensOf(words, k);
  rows.forEach((row, r) => {
    const p = logSoftmax(row).map(Math.exp);
    const from = r * resultWords(k);
    expect(at(floats, from + 1)).toBeCloseTo(at(p, at(chosen, r)), 6);
    const pairs = topK(row, k);
    expect(pairs.map((_, j) => words[from + 8 + 2 * j])).toEqual(pairs);
    pairs.forEach((token, j) => expect(at(floats, from + 9 + 2 * j)).toBeCloseTo(at(p, token), 6));
  });
  const divergence = at(floats, 2) - Math.log(at(floats, 6)) + Math.log(at(floats, 4));
  expect(divergence).toBeCloseTo(kl(shadow, at2(rows, 0)), 4);
  const table = await rig.words('rows');
  const moved = (r: number): number[] => [at(table, 8 * r), at(table, 8 * r + 1)];
  expect([0, 1, 2, 3].map(moved)).toEqual([
    [chosen[0], 5],
    [chosen[1], 5],
    [chosen[0], 5],
    [900, 8],
  ]);
});

function at2(rows: readonly Float32Array[], i: number): Float32Array {
  const row = rows[i];
  if (!row) throw new RangeError(`no row ${i}`);
  return row;
}
