import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LabError } from '../../../workers/errors';
import { parsePasted } from '../../../src/lab/pasted';

const code = (text: string, width?: number) => {
  try {
    parsePasted(text, width);
    return 'accepted';
  } catch (error) {
    return error instanceof LabError ? error.code : 'raw';
  }
};

describe('pasted numbers', () => {
  it.each([
    ['JSON', '[0.5, -1e-3, 2]'],
    ['one row', '[[0.5, -1e-3, 2]]'],
    ['an object', '{"name": "x", "data": [0.5, -1e-3, 2]}'],
    ['another name', '{"direction": [0.5, -0.001, 2]}'],
    ['plain', '0.5 -0.001\n2'],
    ['commas', '0.5, -0.001, 2,'],
    ['numpy', 'array([ 0.5  , -0.001,  2.   ], dtype=float32)'],
    ['numpy, printed', '[ 0.5   -0.001  2.   ]'],
    ['torch', "tensor([ 0.5000, -0.0010,  2.0000], device='cuda:0')"],
  ])('as %s', (_name, text) => expect(parsePasted(text, 3)).toEqual([0.5, -0.001, 2]));

  it.each([
    ['nothing', '  '],
    ['words', 'cheerful'],
    ['an object without numbers', '{"name": "x"}'],
    ['broken JSON', '{"data": [1, 2'],
    ['strings', '["a", "b"]'],
    ['several rows', '[[1, 2], [3, 4]]'],
    ['no end', '[1e999, 1]'],
    ['zeros', '0 0 0'],
  ])('refused: %s', (_name, text) => expect(code(text)).toBe('vector-garbage'));

  it('are held against the width of the hook', () => {
    expect(code('1 2 3', 4)).toBe('vector-garbage');
    expect(code('1 2 3')).toBe('accepted');
  });

  it('come back as they went', () => {
    const numbers = fc
      .array(fc.double({ noNaN: true, noDefaultInfinity: true }), { minLength: 1, maxLength: 40 })
      .filter((list) => list.some((x) => x !== 0));
    fc.assert(
      fc.property(numbers, (list) => {
        const same = (text: string) => parsePasted(text).every((x, i) => x === list[i]);
        return same(JSON.stringify(list)) && same(list.join(' ')) && same(list.join(',\n'));
      }),
    );
  });

  it('never fail raw', () => {
    fc.assert(fc.property(fc.string(), (text) => code(text) !== 'raw'));
  });
});
