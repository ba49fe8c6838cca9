/** Attention, fused and open, against float64: grouped heads, shared prefixes, windows, caps, positions about the tile of 64 keys. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { attention, openAttention, type AttentionShape } from '../../workers/kernels/attention';
import { NO_SITE } from '../../workers/kernels/rowwise';
import { pad4 } from '../../workers/model/layout';
import type { Row } from '../../workers/model/rows';
import { at } from '../reference/array';
import { attention as twin } from '../reference/attention';
import { Rig, rowOf } from '../support/kernel';
import { noise, numbers, packed, spaced } from '../support/numbers';

const TIGHT = 1e-5;
const CAP = 135;
const SLOTS = 3;
interface Shape {
  heads: number;
  kvHeads: number;
  dHead: number;
}
const SHAPES: Shape[] = [
  { heads: 1, kvHeads: 1, dHead: 1 },
  { heads: 3, kvHeads: 3, dHead: 5 },
  { heads: 6, kvHeads: 2, dHead: 64 },
  { heads: 7, kvHeads: 1, dHead: 30 },
  // More than a workgroup's 64 vec4 of output.
  { heads: 2, kvHeads: 1, dHead: 261 },
];
const ROWS: Row[] = [
  { position: 0, slot: 0 },
  { position: 1, slot: 1 },
  { position: 63, slot: 2 },
  { position: 64, slot: 0 },
  { position: 65, slot: 1, prefixSlot: 2, prefixLength: 64 },
  { position: 130, slot: 2 },
  { position: 130, slot: 0, prefixSlot: 1, prefixLength: 1 },
  { position: 5, slot: 1, prefixSlot: 0, prefixLength: 5 },
  { position: 134, slot: 1, prefixSlot: 2, prefixLength: 100 },
].map(rowOf);
const KEYS = 137;

let rig: Rig;
beforeAll(async () => {
  rig = await Rig.open();
});
afterAll(() => rig.close());

/** Cache word of a slot, head, position, dimension, before padding. */
const key = ({ kvHeads, dHead }: Shape, slot: number, head: number, t: number): number => ((slot * kvHeads + head) * CAP + t) * dHead;

/** Uploads q and the cache; gives the reference of every row. */
function prepare(shape: Shape, seed: number, sharp: number, window = 0, softcap = 0) {
  const { heads, kvHeads, dHead } = shape;
  rig.clear();
  const padded = pad4(dHead);
  const q = numbers(ROWS.length * heads * dHead, seed, sharp);
  const half = SLOTS * kvHeads * CAP * dHead;
  const k = numbers(half, seed + 1);
  const v = Float32Array.from({ length: half }, (_, i) => noise(i, seed + 2) + 0.25);
  // What no row may see is large: a key read by mistake shows.
  for (let slot = 0; slot < SLOTS; slot++) {
    const last = Math.max(...ROWS.map((row) => (row.slot === slot ? row.position : row.prefixSlot === slot ? row.prefixLength - 1 : -1)));
    for (let h = 0; h < kvHeads; h++)
      for (let i = key(shape, slot, h, last + 1); i < key(shape, slot, h, 0) + CAP * dHead; i++) {
        k[i] = 1e3;
        v[i] = 1e6;
      }
  }
  rig.put('q', spaced(q, dHead, padded));
  const kv = new Float32Array(2 * SLOTS * kvHeads * CAP * padded);
  kv.set(spaced(k, dHead, padded));
  kv.set(spaced(v, dHead, padded), kv.length / 2);
  rig.put('kv', kv);
  rig.rows(ROWS);
  const scale = 1 / Math.sqrt(dHead);
  const expected = ROWS.map((row, r) => {
    const keys = row.position + 1;
    const gather = (from: Float32Array): Float64Array =>
      Float64Array.from({ length: keys * kvHeads * dHead }, (_, i) => {
        const t = Math.floor(i / (kvHeads * dHead));
        const h = Math.floor(i / dHead) % kvHeads;
        return at(from, key(shape, t < row.prefixLength ? row.prefixSlot : row.slot, h, t) + (i % dHead));
      });
    const mine = q.subarray(r * heads * dHead, (r + 1) * heads * dHead);
    return { keys, ...twin(mine, gather(k), gather(v), { queries: 1, keys, heads, kvHeads, dHead, window, cap: softcap }, scale) };
  });
  const call: AttentionShape = {
    rows: ROWS.length,
    heads,
    kvHeads,
    dHeadPadded: padded,
    kv: 'kv',
    second: kv.length / 2,
    cap: CAP,
    scale,
    window,
    softcap,
    hook: 'z',
  };
  rig.blank('z', ROWS.length * heads * padded, 77);
  return { call, expected, padded };
}

async function checkZ(
  kernel: string,
  shape: Shape & { window?: number; softcap?: number },
  expected: { z: Float64Array }[],
  padded: number,
): Promise<void> {
  const z = await rig.floats('z');
  const flat = expected.flatMap((each) => [...each.z]);
  rig.expectRows(kernel, JSON.stringify(shape), packed(z, shape.dHead, padded), flat, shape.heads * shape.dHead, TIGHT);
  // z's padding is read by the next projection: it must be zero, not what was there.
  for (let i = 0; i < z.length; i++) if (i % padded >= shape.dHead) expect(z[i]).toBe(0);
}

describe.each(SHAPES)('$heads heads over $kvHeads of width $dHead', (shape) => {
  test.each(['serial', 'workgroup'] as const)('%s: z and the log-sum-exp', async (variant) => {
    for (const [seed, sharp] of [
      [1, 1],
      [2, 30],
    ] as const) {
      const { call, expected, padded } = prepare(shape, seed, sharp);
      rig.blank('lse', ROWS.length * shape.heads, 77);
      await rig.run(attention({ ...call, q: 'q', variant, length: CAP }));
      await checkZ(`attention-${variant}`, shape, expected, padded);
      const lse = expected.flatMap((each) => [...each.lse]);
      rig.expectRows(`attention-${variant}, log-sum-exp`, JSON.stringify(shape), await rig.floats('lse'), lse, lse.length, TIGHT);
    }
  });

  test.each([false, true])('open: scores, pattern and z (serial: %s)', async (serial) => {
    const { call, expected, padded } = prepare(shape, 3, 10);
    const words = ROWS.length * shape.heads * KEYS;
    rig.blank('scores', words, 77);
    rig.blank('pattern', words, 77);
    rig.put('edits', new Uint32Array(4));
    await rig.run(openAttention({ ...call, q: 'q', keys: KEYS, sites: { scores: NO_SITE, pattern: NO_SITE }, serial }));
    await checkZ('attention-open', shape, expected, padded);
    const found = { scores: await rig.floats('scores'), pattern: await rig.floats('pattern') };
    for (const what of ['scores', 'pattern'] as const)
      expected.forEach((each, r) => {
        for (let h = 0; h < shape.heads; h++) {
          const from = (r * shape.heads + h) * KEYS;
          const right = each[what].subarray(h * each.keys, (h + 1) * each.keys);
          rig.expectRows(what, `row ${r}, head ${h}`, found[what].subarray(from, from + each.keys), right, each.keys, 2 * TIGHT);
          // Later keys are nobody's: not written.
          expect(found[what].subarray(from + each.keys, from + KEYS).every((value) => value === 77)).toBe(true);
        }
      });
  });
});

/** Alone; within a tile; a tile and its edge; as long as a row, one less, one more; longer than any row. */
const WINDOWS = [1, 3, 64, 65, 130, 131, 132, 135, 500];

describe.each([
  { heads: 3, kvHeads: 3, dHead: 5 },
  { heads: 6, kvHeads: 2, dHead: 64 },
])('$heads heads over $kvHeads of width $dHead, through a window', (shape) => {
  test.each(['serial', 'workgroup'] as const)('%s: every window, capped and not', async (variant) => {
    for (const softcap of [0, 2.5])
      for (const window of WINDOWS) {
        const { call, expected, padded } = prepare(shape, window, 20, window, softcap);
        rig.blank('lse', ROWS.length * shape.heads, 77);
        await rig.run(attention({ ...call, q: 'q', variant, length: CAP }));
        await checkZ(`attention-${variant}, window`, { ...shape, window, softcap }, expected, padded);
        const lse = expected.flatMap((each) => [...each.lse]);
        const what = `window ${window}, cap ${softcap}`;
        rig.expectRows(`attention-${variant}, window, log-sum-exp`, what, await rig.floats('lse'), lse, lse.length, TIGHT);
      }
  });

  test.each([false, true])('open: every window, capped and not; keys that are not seen are not written (serial: %s)', async (serial) => {
    for (const softcap of [0, 2.5])
      for (const window of WINDOWS) {
        const { call, expected, padded } = prepare(shape, window, 10, window, softcap);
        const words = ROWS.length * shape.heads * KEYS;
        rig.blank('scores', words, 77);
        rig.blank('pattern', words, 77);
        rig.put('edits', new Uint32Array(4));
        await rig.run(openAttention({ ...call, q: 'q', keys: KEYS, sites: { scores: NO_SITE, pattern: NO_SITE }, serial }));
        await checkZ('attention-open, window', { ...shape, window, softcap }, expected, padded);
        const found = { scores: await rig.floats('scores'), pattern: await rig.floats('pattern') };
        for (const what of ['scores', 'pattern'] as const)
          expected.forEach((each, r) => {
            const low = Math.max(0, each.keys - window);
            for (let h = 0; h < shape.heads; h++) {
              const from = (r * shape.heads + h) * KEYS;
              const seen = found[what].subarray(from + low, from + each.keys);
              const right = each[what].subarray(h * each.keys + low, (h + 1) * each.keys);
              rig.expectRows(`${what}, window`, `row ${r}, head ${h}, window ${window}`, seen, right, right.length, 2 * TIGHT);
              const rest = [...found[what].subarray(from, from + low), ...found[what].subarray(from + each.keys, from + KEYS)];
              expect(rest.every((value) => value === 77)).toBe(true);
            }
          });
      }
  });
});

test('keys before the window may be anything: NaN in them reaches nothing', async () => {
  const shape = { heads: 2, kvHeads: 1, dHead: 8 };
  const window = 4;
  const prepared = prepare(shape, 8, 3, window);
  const kv = await rig.floats('kv');
  // Of slot 0, only the last four keys of its rows at 0 and 64 are seen; rows 6 (position 130) and 7 (a prefix of 5) see their own.
  const seen = new Set([0, 61, 62, 63, 64, 127, 128, 129, 130, 2, 3, 4]);
  for (let t = 0; t < CAP; t++)
    if (!seen.has(t)) for (const half of [0, kv.length / 2]) kv.fill(NaN, half + t * prepared.padded, half + (t + 1) * prepared.padded);
  rig.put('kv', kv);
  for (const variant of ['serial', 'workgroup'] as const) {
    rig.blank('z', ROWS.length * shape.heads * prepared.padded, 77);
    rig.blank('lse', ROWS.length * shape.heads, 77);
    await rig.run(attention({ ...prepared.call, q: 'q', variant, length: CAP }));
    await checkZ(`attention-${variant}, NaN before the window`, shape, prepared.expected, prepared.padded);
  }
  rig.blank('z', ROWS.length * shape.heads * prepared.padded, 77);
  for (const name of ['scores', 'pattern']) rig.blank(name, ROWS.length * shape.heads * KEYS);
  rig.put('edits', new Uint32Array(4));
  await rig.run(openAttention({ ...prepared.call, q: 'q', keys: KEYS, sites: { scores: NO_SITE, pattern: NO_SITE } }));
  await checkZ('attention-open, NaN before the window', shape, prepared.expected, prepared.padded);
});

test('the sharpest pattern there is: one key far above the rest', async () => {
  const shape = { heads: 2, kvHeads: 1, dHead: 8 };
  for (const variant of ['serial', 'workgroup'] as const) {
    const { call, expected, padded } = prepare(shape, 5, 4000);
    rig.blank('lse', ROWS.length * shape.heads, 77);
    await rig.run(attention({ ...call, q: 'q', variant, length: CAP }));
    const z = await rig.floats('z');
    // Scores of a thousand carry an error of 1e-4 in f32, and the pattern is its exponential.
    rig.expectRows(
      `attention-${variant}, sharpest`,
      '',
      packed(z, 8, padded),
      expected.flatMap((each) => [...each.z]),
      16,
      2e-3,
    );
    expect(z.every(Number.isFinite)).toBe(true);
  }
});
