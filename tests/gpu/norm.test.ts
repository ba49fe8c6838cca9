/** The norm kernel, fused and open, against float64: widths about the vec4 and the workgroup, rows with a massive activation. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { NO_SITE, norm } from '../../workers/kernels/rowwise';
import { pad4 } from '../../workers/model/layout';
import { at } from '../reference/array';
import { norm as twin } from '../reference/norm';
import { Rig } from '../support/kernel';
import { numbers, packed, spaced } from '../support/numbers';
import { input } from './linear-case';

const TIGHT = 1e-6;
const EPS = 1e-5;
const FORMS = [
  [false, false],
  [true, false],
  [false, true],
  [true, true],
] as const;
let rig: Rig;
beforeAll(async () => {
  rig = await Rig.open();
});
afterAll(() => rig.close());

describe.each([
  ['layer', false],
  ['layer', true],
  ['rms', false],
  ['rms', true],
] as const)('%s, serial: %s', (kind, serial) => {
  test.each([1, 3, 64, 67, 257, 1030])('width %i', async (d) => {
    const stride = pad4(d);
    for (const [open, residual] of FORMS)
      for (const [rows, row0] of [
        [1, 0],
        [5, 2],
        [65, 0],
      ] as const) {
        rig.clear();
        const x = input(rows + row0, d, d + rows);
        rig.put('x', spaced(x, d, stride));
        const gain = numbers(d, 2).map((value) => value + 1.5);
        const shift = numbers(d, 3);
        const vecs = new Float32Array(8 + 2 * stride);
        vecs.set(gain, 8);
        vecs.set(shift, 8 + stride);
        rig.put('vecs', vecs);
        const before = residual ? numbers(rows * stride, 4, 50) : new Float32Array(rows * stride).fill(77);
        rig.put('out', before);
        rig.blank('normalized', rows * stride, 77);
        rig.blank('scale', rows, 77);
        await rig.run(
          norm({
            rows,
            hook: 'norm',
            kind,
            x: 'x',
            row0,
            out: 'out',
            d,
            stride,
            gain: 8,
            eps: EPS,
            residual,
            serial,
            ...(open ? { open: { scale: 'scale', normalized: 'normalized', scaleSite: NO_SITE, normalizedSite: NO_SITE } } : {}),
          }),
        );
        const right = twin(x.subarray(row0 * d), kind, EPS, gain, kind === 'layer' ? shift : undefined);
        const out = await rig.floats('out');
        const what = `width ${d}, ${rows} rows from ${row0}`;
        const old = packed(before, d, stride);
        const expected = residual ? right.out.map((value, i) => value + at(old, i)) : right.out;
        rig.expectRows(
          `norm ${kind}${serial ? ', serial' : ''}${open ? ', open' : ''}${residual ? ', added' : ''}`,
          what,
          packed(out, d, stride),
          expected,
          d,
          TIGHT,
        );
        for (let i = 0; i < out.length; i++) if (i % stride >= d) expect(out[i]).toBe(residual ? before[i] : 0);
        const [scale, normalized] = [await rig.floats('scale'), await rig.floats('normalized')];
        if (!open) {
          expect([...scale, ...normalized].every((value) => value === 77)).toBe(true);
          continue;
        }
        rig.expectRows('norm, scale', what, scale, right.scale, 1, TIGHT);
        rig.expectRows('norm, normalized', what, packed(normalized, d, stride), right.normalized, d, TIGHT);
        for (let i = 0; i < out.length; i++) if (i % stride >= d) expect(normalized[i]).toBe(0);
      }
  });
});
