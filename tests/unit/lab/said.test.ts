import { describe, expect, it } from 'vitest';
import { saidIn } from '../../../src/lab/said';

/** Ids are bytes; 0 is special and reads <end>. A whole text loses its first space, as SentencePiece's does. */
const lab = {
  decode: (ids: readonly number[]): Promise<string> => {
    const text = new TextDecoder().decode(Uint8Array.from(ids)).replaceAll('\0', '<end>');
    return Promise.resolve(text.replace(/^ /, ''));
  },
};
const ids = (text: string): number[] => [...new TextEncoder().encode(text)];
const said = (prompt: string, generated: readonly number[]): Promise<string> => saidIn(lab, ids(prompt), generated, new Set([0]));

describe('what was said', () => {
  it('ends at the first special token', async () => {
    expect(await said('Who? ', [...ids('The keeper.'), 0, ...ids('and more')])).toBe('The keeper.');
    expect(await said('Who? ', ids('The keeper'))).toBe('The keeper');
    expect(await said('Who? ', [0, ...ids('x')])).toBe('');
    expect(await said('Who? ', [])).toBe('');
  });
  it('keeps its spaces and line breaks', async () => {
    expect(await said('Who?', ids(' The\n keeper. '))).toBe(' The\n keeper. ');
  });
  it('is what the ids say where the seam runs through a character', async () => {
    const snow = ids('☃');
    expect(await saidIn(lab, snow.slice(0, 1), [...snow.slice(1), ...ids('!')], new Set([0]))).toMatch(/!$/);
  });
});
