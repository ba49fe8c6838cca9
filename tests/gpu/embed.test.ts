/** Tokens to the stream: the table alone, and its sum with positions; every type, one to nine pieces, odd widths. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { embed } from '../../workers/kernels/embed';
import { pad4 } from '../../workers/model/layout';
import { at } from '../reference/array';
import { Rig } from '../support/kernel';
import { hash, matrixOf, numbers, packed, spaced } from '../support/numbers';

let rig: Rig;
beforeAll(async () => {
  rig = await Rig.open();
});
afterAll(() => rig.close());

describe.each(['f32', 'f16', 'bf16'] as const)('%s', (dtype) => {
  test.each([
    [1, 1, 1, 1],
    [10, 5, 7, 4],
    [131, 67, 65, 66],
    [131, 64, 9, 34],
    // Five pieces, and nine: more than are bound at once, the last ones with a row or two.
    [130, 12, 70, 32],
    [131, 8, 70, 16],
  ])('%i tokens of width %i, %i rows, at most %i rows a piece', async (vocab, d, rows, most) => {
    const context = 70;
    for (const [withPositions, scale] of [
      [false, 1],
      [true, 1],
      [false, Math.fround(Math.sqrt(d) * 1.7)],
      [true, 2.5],
    ] as const) {
      rig.clear();
      const table = matrixOf('w.embed', numbers(vocab * d, 1), d, dtype, most);
      for (const { name, words } of table.buffers) rig.put(name, words);
      const pos = numbers(context * d, 2);
      rig.put('w.pos', spaced(pos, d, pad4(d)));
      // The last token of all and both sides of a piece's edge are among them.
      const tokens = Array.from({ length: rows }, (_, r) => ([vocab - 1, most - 1, most, 0][r] ?? hash(r, 3)) % vocab);
      const positions = Array.from({ length: rows }, (_, r) => (r === 0 ? context - 1 : hash(r, 4) % context));
      rig.rows(tokens.map((token, r) => ({ token, position: at(positions, r) })));
      rig.blank('y', rows * pad4(d), 77);
      await rig.run(
        ...embed({
          rows,
          d: pad4(d),
          vocab,
          y: 'y',
          hook: 'hook_embed',
          table: table.weights,
          scale,
          ...(withPositions ? { pos: { context } } : {}),
        }),
      );
      const expected = Float64Array.from(
        { length: rows * d },
        (_, i) =>
          // Rounded where the kernel rounds: the product, then the sum.
          Math.fround(scale * at(table.values, at(tokens, Math.floor(i / d)) * d + (i % d))) +
          (withPositions ? at(pos, at(positions, Math.floor(i / d)) * d + (i % d)) : 0),
      );
      const y = await rig.floats('y');
      if (withPositions && scale !== 1) {
        // A product and a sum may be rounded once or twice.
        rig.expectRows('embed, scaled', `${vocab} tokens`, packed(y, d, pad4(d)), expected, d, 2e-7);
      } else {
        // One product or one addition of exact numbers: right to the last bit, and exact where there is none.
        expect([...packed(y, d, pad4(d))]).toEqual([...expected].map(Math.fround));
      }
      for (let i = 0; i < y.length; i++) if (i % pad4(d) >= d) expect(y[i]).toBe(0);
    }
  });
});

test('a table in more pieces than are bound at once takes a dispatch for each four', () => {
  const pieces = Array.from({ length: 9 }, (_, i) => ({ buffer: `w#${i}`, row0: 2 * i, rows: 2 }));
  const ops = embed({
    rows: 1,
    table: { n: 18, k: 4, dtype: 'f32', pieces },
    pos: { context: 1 },
    d: 4,
    y: 'y',
    vocab: 18,
    hook: 'hook_embed',
  });
  expect(ops.map(({ defines }) => defines['PIECES'])).toEqual([4, 4, 1]);
  for (const op of ops) expect(op.bind.length).toBeLessThanOrEqual(8);
});
