/**
 * The way from raw q, k and v to the cache: the norm of each head, the rotation of all or part of it, in the open and not.
 * Every form against float64, at widths with padding behind a head, positions far apart, fewer key-value heads than heads.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { NO_SITE, rope } from '../../workers/kernels/rowwise';
import { pad4 } from '../../workers/model/layout';
import { ropeTable } from '../../workers/model/runtime';
import { at } from '../reference/array';
import { norm as normTwin } from '../reference/norm';
import { plainRotary, rope as ropeTwin } from '../reference/rope';
import { Rig } from '../support/kernel';
import { numbers, packed, spaced } from '../support/numbers';

const TIGHT = 1e-6;
const EPS = 1e-3;
let rig: Rig;
beforeAll(async () => {
  rig = await Rig.open();
});
afterAll(() => rig.close());

const SITES = { q: NO_SITE, k: NO_SITE, v: NO_SITE, rotQ: NO_SITE, rotK: NO_SITE };
const POSITIONS = [0, 1, 63, 64, 899];
const CAP = 900;
const SLOTS = 2;

interface Shape {
  heads: number;
  kvHeads: number;
  dHead: number;
  rot: number;
  /** LongRoPE's lengthening. */
  scale?: number;
}
const SHAPES: Shape[] = [
  { heads: 1, kvHeads: 1, dHead: 2, rot: 2 },
  { heads: 3, kvHeads: 1, dHead: 6, rot: 6, scale: 1.19 },
  { heads: 4, kvHeads: 2, dHead: 10, rot: 4 },
  { heads: 5, kvHeads: 5, dHead: 7, rot: 4 },
  { heads: 3, kvHeads: 3, dHead: 5, rot: 0 },
  // More than a workgroup's 64 numbers a head.
  { heads: 12, kvHeads: 3, dHead: 128, rot: 128 },
  { heads: 2, kvHeads: 1, dHead: 130, rot: 66 },
];
/** In the open, and with a norm of each head: without either, a projection goes to the cache by itself. */
const FORMS = [
  { open: true, normed: false },
  { open: true, normed: true },
  { open: false, normed: true },
];

describe.each(FORMS)('open $open, normed $normed', ({ open, normed }) => {
  test.each(SHAPES)('$heads heads over $kvHeads of width $dHead, $rot turned', async ({ heads, kvHeads, dHead, rot, scale = 1 }) => {
    const padded = pad4(dHead);
    const rows = POSITIONS.length;
    rig.clear();
    const q = numbers(rows * heads * dHead, 1, 3);
    const k = numbers(rows * kvHeads * dHead, 2);
    const v = numbers(rows * kvHeads * dHead, 3);
    rig.put('q', spaced(q, dHead, padded, 55));
    const second = rows * kvHeads * padded;
    const raw = new Float32Array(2 * second);
    raw.set(spaced(k, dHead, padded, 55));
    raw.set(spaced(v, dHead, padded, 55), second);
    rig.put('kvraw', raw);
    const cacheSecond = SLOTS * kvHeads * CAP * padded;
    rig.blank('kv', 2 * cacheSecond, 77);
    const turnedWords = rows * (heads + kvHeads) * padded;
    rig.blank('turned', turnedWords, 77);
    rig.put('edits', new Uint32Array(4));
    const table = { ...plainRotary(rot, 10000), scale };
    rig.put('rope.0', rot ? ropeTable(CAP, table) : new Float32Array(4));
    rig.rows(POSITIONS.map((position, r) => ({ position, slot: r % SLOTS })));
    const [gainQ, gainK] = [numbers(dHead, 4), numbers(dHead, 5)].map((gain) => gain.map((value) => value + 1.5));
    const vecs = new Float32Array(4 + 2 * padded);
    vecs.set(gainQ ?? [], 4);
    vecs.set(gainK ?? [], 4 + padded);
    rig.put('vecs', vecs);
    const shape = { heads, kvHeads, dHead, dHeadPadded: padded, rot };
    const op = rope({
      ...{ rows, hook: 'rope', ...shape, table: 'rope.0', kv: 'kv', second, cacheSecond, cap: CAP },
      norm: normed ? { q: 4, k: 4 + padded, eps: EPS } : undefined,
      open: open ? { sites: SITES } : undefined,
    });
    expect(op.groups).toEqual([rows, open ? 1 : heads + kvHeads, 1]);
    await rig.run(op);
    const right = (x: Float32Array, many: number, gain: Float32Array | undefined): Float64Array => {
      const scaled = normed && gain ? normTwin(x, 'rms', EPS, gain).out : Float64Array.from(x);
      if (!rot) return scaled;
      const row = many * dHead;
      return Float64Array.from(
        POSITIONS.flatMap((start, r) => [
          ...ropeTwin(scaled.subarray(r * row, (r + 1) * row), { heads: many, dHead, dims: rot, table, start }),
        ]),
      );
    };
    const [rightQ, rightK] = [right(q, heads, gainQ), right(k, kvHeads, gainK)];
    const what = `${heads} over ${kvHeads} of ${dHead}, ${rot} turned`;
    const kernel = `rope${open ? ', open' : ''}${normed ? ', normed' : ''}`;
    const turned = await rig.floats('turned');
    const keysAt = rows * heads * padded;
    if (rot || normed) {
      rig.expectRows(`${kernel}, q`, what, packed(turned.subarray(0, keysAt), dHead, padded), rightQ, dHead, TIGHT);
      // Nobody looks at the turned keys unless they are in the open: then they go to the cache alone.
      if (open) rig.expectRows(`${kernel}, k`, what, packed(turned.subarray(keysAt), dHead, padded), rightK, dHead, TIGHT);
      else expect(turned.subarray(keysAt).every((value) => value === 77)).toBe(true);
      turned.forEach((value, i) => i % padded >= dHead && expect(value, 'padding').toBe(77));
    } else expect(turned.every((value) => value === 77)).toBe(true);
    // The raw values stay: they are what hook_q, hook_k and hook_v show.
    expect(await rig.floats('q')).toEqual(spaced(q, dHead, padded, 55));
    expect(await rig.floats('kvraw')).toEqual(raw);
    const cache = await rig.floats('kv');
    const expected = new Float64Array(cache.length).fill(77);
    POSITIONS.forEach((position, r) => {
      for (let h = 0; h < kvHeads; h++)
        for (let d = 0; d < dHead; d++) {
          const to = (((r % SLOTS) * kvHeads + h) * CAP + position) * padded + d;
          expected[to] = at(rightK, (r * kvHeads + h) * dHead + d);
          expected[cacheSecond + to] = at(v, (r * kvHeads + h) * dHead + d);
        }
    });
    // What belongs to no row stays to the bit: other positions, other slots, padding.
    const mine = [...expected.keys()].filter((i) => expected[i] !== 77);
    expected.forEach((value, i) => value === 77 && cache[i] !== 77 && expect(cache[i], `word ${i} of the cache`).toBe(77));
    rig.expectRows(
      `${kernel}, cache`,
      what,
      mine.map((i) => at(cache, i)),
      mine.map((i) => at(expected, i)),
      dHead,
      TIGHT,
    );
  });
});
