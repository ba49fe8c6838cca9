/** Two texts aligned token by token, and what is said where they do not line up. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { align, type Token } from '../../../src/lab/contrast';

const tokens = (text: string): Token[] =>
  text ? text.split('|').map((piece) => ({ id: [...piece].reduce((sum, c) => sum * 31 + c.charCodeAt(0), 7), piece })) : [];
const words = (text: string) => tokens(text);

describe('a contrast pair', () => {
  it('of one length says where it differs', () => {
    const { columns, differ, problem } = align(words('When| Mara| gave'), words('When| Odo| gave'));
    expect(problem).toBeUndefined();
    expect(differ).toEqual([1]);
    expect(columns.map(({ differs }) => differs)).toEqual([false, true, false]);
    expect(columns[1]).toMatchObject({ clean: { piece: ' Mara', position: 1 }, corrupted: { piece: ' Odo', position: 1 } });
  });

  it('that does not differ says so', () => {
    expect(align(words('a| b'), words('a| b')).problem?.message).toBe('The two texts are the same.');
    expect(align([], []).problem).toBeUndefined();
  });

  it('of unequal length says where it parts, what stands against what, and what would mend it', () => {
    const { columns, problem } = align(words('When| Mara| gave| a'), words('When| Tho|mas| gave| a'));
    expect(problem?.message).toBe(
      'The prompt has 4 tokens, the contrast 5 tokens. They part at position 1: “ Mara” stands against “ Tho” “mas”.',
    );
    expect(problem?.hint).toContain('1 token there');
    // Later words stand over each other again, with a gap before them.
    expect(columns.map(({ clean, corrupted }) => [clean?.piece, corrupted?.piece])).toEqual([
      ['When', 'When'],
      [' Mara', ' Tho'],
      [undefined, 'mas'],
      [' gave', ' gave'],
      [' a', ' a'],
    ]);
    expect(columns[3]?.corrupted?.position).toBe(3);
  });

  it('where one only has more, says that nothing stands against it', () => {
    expect(align(words('a| b| c'), words('a| c')).problem?.message).toContain('“ b” stands against nothing');
    expect(align(words('a| a| a'), words('a| a')).problem?.message).toContain('stands against nothing');
  });

  it('loses no token and invents none, whatever the two are', () => {
    const text = fc
      .array(fc.constantFrom('a', 'b', 'c'), { maxLength: 9 })
      .map((all) => all.map((piece) => ({ id: piece.charCodeAt(0), piece })));
    fc.assert(
      fc.property(text, text, (clean, corrupted) => {
        const { columns, problem, differ } = align(clean, corrupted);
        expect(columns.flatMap((column) => (column.clean ? [column.clean.piece] : []))).toEqual(clean.map(({ piece }) => piece));
        expect(columns.flatMap((column) => (column.corrupted ? [column.corrupted.piece] : []))).toEqual(
          corrupted.map(({ piece }) => piece),
        );
        columns.forEach(({ clean: a, corrupted: b, differs }) => expect(differs).toBe(a?.id !== b?.id));
        const same = clean.length === corrupted.length && clean.every(({ id }, i) => id === corrupted[i]?.id);
        expect(problem !== undefined).toBe(clean.length !== corrupted.length || (same && clean.length > 0));
        if (!problem) expect(differ.length > 0 || clean.length === 0).toBe(true);
      }),
    );
  });
});
