/** The open kernels between projections, unedited: activation, and the sum into the stream. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { act, add, NO_SITE } from '../../workers/kernels/rowwise';
import { pad4 } from '../../workers/model/layout';
import { activation } from '../reference/activation';
import { at } from '../reference/array';
import { Rig } from '../support/kernel';
import { noise, numbers, packed, spaced } from '../support/numbers';

const TIGHT = 1e-6;
let rig: Rig;
beforeAll(async () => {
  rig = await Rig.open();
});
afterAll(() => rig.close());

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
