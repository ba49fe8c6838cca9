import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { completesStop } from '../../../src/lab/stop';

describe('stop strings', () => {
  it('are found where they span tokens, once they are whole', () => {
    const stops = ['\n\n', 'THE END'];
    expect(completesStop('a', 'a TH', stops)).toBe(false);
    expect(completesStop('a TH', 'a THE E', stops)).toBe(false);
    expect(completesStop('a THE E', 'a THE END of', stops)).toBe(true);
  });

  it('are not found again in what came before: a stream goes on past one', () => {
    expect(completesStop('x', 'x and', ['x'])).toBe(false);
    expect(completesStop('x and', 'x and x', ['x'])).toBe(true);
  });

  it('none, or an empty one, never stops', () => {
    expect(completesStop('', 'a', [])).toBe(false);
    expect(completesStop('', 'a', [''])).toBe(false);
  });

  it('may hold a character that came in two tokens', () => {
    expect(completesStop('so \uFFFD', 'so é', ['é'])).toBe(true);
    expect(completesStop('so \uFFFD', 'so \uFFFD\uFFFD', ['é'])).toBe(false);
  });

  it('stop at the first token that completes one, however the text is cut', () => {
    const letters = (least: number, most: number) => fc.string({ unit: fc.constantFrom('a', 'b'), minLength: least, maxLength: most });
    fc.assert(
      fc.property(letters(0, 24), fc.array(fc.nat(3), { maxLength: 24 }), letters(1, 4), (text, cuts, stop) => {
        let before = '';
        for (const cut of [...cuts, text.length]) {
          const after = text.slice(0, before.length + cut + 1);
          const there = after.includes(stop);
          if (completesStop(before, after, [stop]) !== there) return false;
          if (there) return true;
          before = after;
        }
        return true;
      }),
    );
  });
});
