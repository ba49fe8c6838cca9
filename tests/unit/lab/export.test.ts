/** What leaves the page as a file: read back by other means than what wrote it. */
import { describe, expect, it } from 'vitest';
import { balance, luminance } from '../../../src/charts/scales';
import { pixels, ramp } from '../../../src/charts/raster';
import { toCsv } from '../../../src/lab/export/csv';
import { figureSvg, type Figure } from '../../../src/lab/export/figure';
import { toSafetensors } from '../../../src/lab/export/tensors';
import { readHeader } from '../../../workers/formats/safetensors';

describe('CSV', () => {
  it('quotes what must be quoted, and leaves a number that is none empty', () => {
    const text = toCsv([
      { name: 'token', values: [' Mara', 'a,"b"', 'x\ny'] },
      { name: 'value', values: [0.5, Number.NaN, -1e-7] },
    ]);
    expect(text).toBe('token,value\r\n Mara,0.5\r\n"a,""b""",\r\n"x\ny",-1e-7\r\n');
  });
});

describe('safetensors', () => {
  it('is read by the lab’s own reader, numbers and words', async () => {
    const value = { shape: [2, 3], data: Float32Array.from([1, 2, 3, 4, Number.NaN, -6.5]) };
    const raw = { shape: [1], data: new Float32Array([1, 7, 9]).subarray(1, 2) };
    const file = new File([toSafetensors({ value, raw }, { model: 'Lanternwick „x“' })], 'grid.safetensors');
    const { tensors, metadata } = await readHeader(file, file.name);
    expect(metadata).toEqual({ model: 'Lanternwick „x“' });
    const read = async (name: string) => {
      const found = tensors.find((each) => each.name === name);
      if (!found) throw new Error(`no ${name}`);
      expect(found.offset % 4).toBe(0);
      return { shape: found.shape, data: new Float32Array(await file.slice(found.offset, found.offset + found.bytes).arrayBuffer()) };
    };
    expect(await read('value')).toEqual(value);
    expect(await read('raw')).toEqual({ shape: [1], data: Float32Array.from([7]) });
  });
});

describe('a figure', () => {
  const figure: Figure = {
    title: 'A & B <i>',
    about: '“x”',
    rows: ['1', '0'],
    columns: [' Mara', '<|end|>', 'a'],
    rowsAre: 'layer',
    columnsAre: 'token',
    share: (row, column) => (row === 0 && column === 2 ? Number.NaN : row - column / 2),
    text: (row, column) => `${row}${column}`,
    colour: balance(false),
    from: '−1',
    to: '1',
  };
  const svg = figureSvg(figure);
  it('holds a cell for every number, top row first, and none where there is none', () => {
    expect(svg.match(/>0[0-2]<\/text>/g)).toHaveLength(2);
    expect(svg.match(/>1[0-2]<\/text>/g)).toHaveLength(3);
    expect(svg.indexOf('>00<')).toBeLessThan(svg.indexOf('>10<'));
  });
  it('is well formed whatever the texts are', () => {
    expect(svg).toContain('A &amp; B &lt;i&gt;');
    expect(svg).toContain('&lt;|end|&gt;');
    expect(svg).not.toMatch(/style=|<script/);
    expect(figureSvg({ ...figure, title: 'a\u0000b\u001b' })).not.toMatch(/[\u0000\u001b]/);
  });
});

describe('colours', () => {
  it('of a difference are quiet in the middle and differ in lightness from the card at both ends, in either theme', () => {
    for (const dark of [false, true]) {
      const colour = balance(dark);
      const far = (share: number) => Math.abs(luminance(colour(share)) - luminance(colour(0)));
      for (const share of [-1, 1]) {
        expect(far(share)).toBeGreaterThan(0.2);
        expect(far(share / 2)).toBeLessThan(far(share));
      }
      expect(colour(7)).toBe(colour(1));
    }
  });
  it('go through a table to pixels; what is no number stays clear', () => {
    const table = ramp((share) => (share < 0 ? '#0000ff' : '#ff0000'), -1);
    const found = pixels(3, (i) => [-1, Number.NaN, 5][i] ?? 0, table, -1);
    expect([...found]).toEqual([0, 0, 255, 255, 0, 0, 0, 0, 255, 0, 0, 255]);
  });
});
