/** What is read off rows of logits, against float64: entropy, divergence, rank, target and the first k, ties by lowest index. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { distribution, resultWords } from '../../workers/kernels/distribution';
import { distributionOf } from '../../workers/model/collect';
import { at } from '../reference/array';
import { entropy, kl, logSoftmax, rank, topK } from '../reference/softmax';
import { Rig } from '../support/kernel';
import { noise } from '../support/numbers';

let rig: Rig;
beforeAll(async () => {
  rig = await Rig.open();
});
afterAll(() => rig.close());

/** Logits of a row: like a model's (scale 1), nearly flat, or one token far above the rest. */
const FORMS = [1, 1e-3, 30] as const;
const logits = (n: number, rows: number, seed: number): Float32Array =>
  Float32Array.from({ length: rows * n }, (_, i) => 5 * (FORMS[Math.floor(i / n) % 3] ?? 1) * noise(i, seed));

async function read(
  x: Float32Array,
  n: number,
  k: number,
  targets: readonly number[],
  options: { outRow?: number; reference?: Float32Array } = {},
) {
  const rows = x.length / n;
  const outRow = options.outRow ?? 0;
  const stride = Math.ceil(n / 4) * 4;
  rig.clear();
  const lay = (from: Float32Array): Float32Array<ArrayBuffer> => {
    const out = new Float32Array(rows * stride).fill(1e9);
    for (let r = 0; r < rows; r++) out.set(from.subarray(r * n, (r + 1) * n), r * stride);
    return out;
  };
  rig.put('logits', lay(x));
  if (options.reference) rig.put('other', lay(options.reference));
  rig.put('targets', Uint32Array.from([...new Array<number>(outRow).fill(0), ...targets]));
  rig.blank('dist', (rows + outRow) * resultWords(k), 77);
  await rig.run(
    distribution({ logits: 'logits', rows, n, stride, k, outRow, hook: 'logits', ...(options.reference ? { reference: 'other' } : {}) }),
  );
  const { buffer } = await rig.floats('dist');
  expect(new Float32Array(buffer, 0, outRow * resultWords(k)).every((value) => value === 77)).toBe(true);
  return Array.from({ length: rows }, (_, r) => distributionOf(buffer, (outRow + r) * resultWords(k), k));
}

describe.each([
  [1, 7, 1],
  [2, 3, 2],
  [130, 9, 130],
  [1001, 4, 12],
  [50257, 3, 20],
])('%i tokens, %i rows, the first %i', (n, rows, k) => {
  test('all numbers', async () => {
    const x = logits(n, rows, n);
    const y = logits(n, rows, n + 1);
    const targets = Array.from({ length: rows }, (_, r) => (r === 0 ? n - 1 : (7919 * r) % n));
    for (const outRow of [0, 3]) {
      const found = await read(x, n, k, targets, { outRow, reference: y });
      found.forEach((each, r) => {
        const row = x.subarray(r * n, (r + 1) * n);
        const other = y.subarray(r * n, (r + 1) * n);
        const logP = logSoftmax(row);
        const target = at(targets, r);
        const numbers: [string, number, number, number][] = [
          ['max', each.max, Math.max(...row), 0],
          // Logarithms are the host's; sums of tens of thousands of exponents keep six digits.
          ['entropy', each.entropy, entropy(row), 2e-5],
          ['kl', each.kl, kl(other, row), 2e-4],
          ['log-probability', each.targetLogProb, at(logP, target), 2e-5],
        ];
        for (const [what, actual, right, most] of numbers)
          expect(Math.abs(actual - right), `${what} of row ${r}: ${actual} for ${right}`).toBeLessThanOrEqual(
            most * Math.max(1, Math.abs(right)),
          );
        expect(each.targetRank).toBe(rank(row, target));
        const right = topK(row, k);
        expect(each.top.map(({ id }) => id)).toEqual(right);
        const p = right.map((id) => Math.exp(at(logP, id)));
        const given = each.top.map(({ probability }) => probability);
        rig.expectRows('distribution, probabilities', `row ${r}`, given, p, k, 2e-5);
      });
    }
  });
});

test('ties: the lowest index first, in the first k and in ranks', async () => {
  const n = 300;
  const x = new Float32Array(3 * n).fill(-1);
  for (const i of [290, 5, 130, 131]) x[i] = 2;
  x[n + 7] = -0;
  x[n + 3] = 0;
  const [first, zeros, flat] = await read(x, n, 6, [131, 7, 299]);
  expect(first?.top.map(({ id }) => id)).toEqual([5, 130, 131, 290, 0, 1]);
  expect(first?.targetRank).toBe(2);
  expect(zeros?.top.map(({ id }) => id)).toEqual([3, 7, 0, 1, 2, 4]);
  expect(zeros?.targetRank).toBe(1);
  expect(flat?.top.map(({ id }) => id)).toEqual([0, 1, 2, 3, 4, 5]);
  expect(flat?.targetRank).toBe(299);
});

test('a row against itself diverges by nothing; no first k and no target are fine', async () => {
  const n = 257;
  const x = logits(n, 5, 3);
  const found = await read(x, n, 0, new Array<number>(5).fill(0xffffffff), { reference: x });
  for (const each of found) {
    expect(Math.abs(each.kl)).toBeLessThan(1e-6);
    expect(each.top).toEqual([]);
  }
});

test('logits of ±1e4 neither overflow nor vanish', async () => {
  const n = 130;
  const x = Float32Array.from({ length: n }, (_, i) => (i === 77 ? 1e4 : -1e4));
  const [row] = await read(x, n, 3, [77]);
  expect(row?.top).toEqual([
    { id: 77, probability: 1 },
    { id: 0, probability: 0 },
    { id: 1, probability: 0 },
  ]);
  expect(row?.entropy).toBe(0);
  expect(row?.targetLogProb).toBe(0);
});
