/** The open kernels between projections, unedited: rotation and the way to the cache, activation, and the sum into the stream. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { act, add, NO_SITE, rope } from '../../workers/kernels/rowwise';
import { pad4 } from '../../workers/model/layout';
import { ropeTable } from '../../workers/model/runtime';
import { activation } from '../reference/activation';
import { at } from '../reference/array';
import { rope as ropeTwin } from '../reference/rope';
import { Rig } from '../support/kernel';
import { noise, numbers, packed, spaced } from '../support/numbers';

const TIGHT = 1e-6;
let rig: Rig;
beforeAll(async () => {
  rig = await Rig.open();
});
afterAll(() => rig.close());

const NO_SITES = { q: NO_SITE, k: NO_SITE, v: NO_SITE, rotQ: NO_SITE, rotK: NO_SITE };

test.each([
  { heads: 1, kvHeads: 1, dHead: 2, rot: 2 },
  { heads: 3, kvHeads: 1, dHead: 6, rot: 6 },
  { heads: 4, kvHeads: 2, dHead: 10, rot: 4 },
  { heads: 5, kvHeads: 5, dHead: 7, rot: 4 },
  { heads: 3, kvHeads: 3, dHead: 5, rot: 0 },
  { heads: 12, kvHeads: 3, dHead: 128, rot: 128 },
])('rope: $heads heads over $kvHeads of width $dHead, $rot turned', async ({ heads, kvHeads, dHead, rot }) => {
  const padded = pad4(dHead);
  const cap = 900;
  const slots = 2;
  const positions = [0, 1, 63, 64, 899];
  const rows = positions.length;
  rig.clear();
  const q = numbers(rows * heads * dHead, 1);
  const k = numbers(rows * kvHeads * dHead, 2);
  const v = numbers(rows * kvHeads * dHead, 3);
  rig.put('q', spaced(q, dHead, padded));
  const second = rows * kvHeads * padded;
  const raw = new Float32Array(2 * second);
  raw.set(spaced(k, dHead, padded));
  raw.set(spaced(v, dHead, padded), second);
  rig.put('kvraw', raw);
  const cacheSecond = slots * kvHeads * cap * padded;
  rig.blank('kv', 2 * cacheSecond);
  rig.blank('qr', rows * heads * padded);
  rig.blank('kr', rows * kvHeads * padded);
  rig.put('edits', new Uint32Array(4));
  rig.put('rope', rot ? ropeTable(cap, rot, 10000) : new Float32Array(4));
  rig.rows(positions.map((position, r) => ({ position, slot: r % slots })));
  await rig.run(
    rope({ rows, hook: 'rope', heads, kvHeads, dHead, dHeadPadded: padded, rot, kv: 'kv', second, cacheSecond, cap, sites: NO_SITES }),
  );
  const turn = (x: Float32Array, many: number): Float64Array => {
    if (!rot) return Float64Array.from(x);
    const row = many * dHead;
    return Float64Array.from(
      positions.flatMap((start, r) => [
        ...ropeTwin(x.subarray(r * row, (r + 1) * row), { heads: many, dHead, dims: rot, base: 10000, start }),
      ]),
    );
  };
  const [rightQ, rightK] = [turn(q, heads), turn(k, kvHeads)];
  if (rot) {
    rig.expectRows('rope, q', '', packed(await rig.floats('qr'), dHead, padded), rightQ, dHead, TIGHT);
    rig.expectRows('rope, k', '', packed(await rig.floats('kr'), dHead, padded), rightK, dHead, TIGHT);
  }
  expect(await rig.floats('q')).toEqual(spaced(q, dHead, padded));
  const cache = await rig.floats('kv');
  const expected = new Float64Array(cache.length);
  positions.forEach((position, r) => {
    for (let h = 0; h < kvHeads; h++)
      for (let d = 0; d < dHead; d++) {
        const to = (((r % slots) * kvHeads + h) * cap + position) * padded + d;
        expected[to] = at(rightK, (r * kvHeads + h) * dHead + d);
        expected[cacheSecond + to] = at(v, (r * kvHeads + h) * dHead + d);
      }
  });
  rig.expectRows('rope, cache', '', cache, expected, padded, TIGHT);
});

describe.each(['gelu_new', 'gelu', 'silu', 'relu'] as const)('act, %s', (name) => {
  test.each([1, 65, 131])('width %i, gated and not', async (width) => {
    for (const gated of [false, true]) {
      const [rows, stride] = [5, pad4(width)];
      rig.clear();
      // From the smallest to far past where tanh, erf and e^x are flat.
      const pre = Float32Array.from({ length: rows * width }, (_, i) => 10 ** (Math.floor(i / width) - 1) * 4 * noise(i, width));
      const up = numbers(rows * width, 9);
      const both = new Float32Array(2 * rows * stride);
      both.set(spaced(pre, width, stride));
      both.set(spaced(up, width, stride), rows * stride);
      rig.put('pre', both);
      rig.blank('post', rows * stride, 77);
      await rig.run(
        act({
          ...{ rows, hook: 'post', pre: 'pre', post: 'post', act: name, gated, width, stride, second: rows * stride },
          ...{ site: NO_SITE, linearSite: NO_SITE },
        }),
      );
      const post = await rig.floats('post');
      expect(post.every(Number.isFinite)).toBe(true);
      const right = activation(name, pre, gated ? up : undefined);
      rig.expectRows(`act ${name}`, `width ${width}`, packed(post, width, stride), right, width < 8 ? right.length : width, TIGHT);
      for (let i = 0; i < post.length; i++) if (i % stride >= width) expect(post[i]).toBe(77);
    }
  });

  test('every argument from −130 to 130 in steps of 1/32', async () => {
    const pre = Float32Array.from({ length: 8321 }, (_, i) => (i - 4160) / 32);
    const stride = pad4(pre.length);
    rig.clear();
    rig.put('pre', spaced(pre, pre.length, stride));
    rig.blank('post', stride);
    await rig.run(
      act({
        ...{ rows: 1, hook: 'post', pre: 'pre', post: 'post', act: name, gated: false, width: pre.length, stride, second: 0 },
        ...{ site: NO_SITE, linearSite: NO_SITE },
      }),
    );
    const post = await rig.floats('post');
    const right = activation(name, pre);
    // Absolute here, for small arguments must be right too: 130 beside them would hide anything.
    for (let i = 0; i < pre.length; i++) {
      const most = 2e-6 * Math.max(1, Math.abs(at(pre, i)) / 4);
      expect(Math.abs(at(post, i) - at(right, i)), `${name}(${at(pre, i)}) = ${at(post, i)} for ${at(right, i)}`).toBeLessThan(most);
    }
  });
});

test.each([1, 65, 131])('add: width %i', async (width) => {
  const [rows, stride] = [5, pad4(width)];
  rig.clear();
  const part = numbers(rows * stride, 1);
  const resid = numbers(rows * stride, 2, 50);
  rig.put('part', part);
  rig.put('resid', resid);
  await rig.run(add({ rows, hook: 'add', part: 'part', resid: 'resid', width, stride, site: NO_SITE }));
  const expected = resid.map((value, i) => (i % stride < width ? value + at(part, i) : value));
  expect(await rig.floats('resid')).toEqual(expected);
  expect(await rig.floats('part')).toEqual(part);
});
