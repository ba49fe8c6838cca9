/**
 * Rotary positions (Su et al. 2021), in the half-split pairing that Llama and GPT-NeoX checkpoints use: for i < dims/2,
 * the pair (x[i], x[i + dims/2]) turns by the angle position·frequency[i]; entries from `dims` on stay as they are.
 * LongRoPE (Ding et al. 2024) also makes the turned pairs longer, by the table's `scale`.
 */
import type { Rotary } from '../../workers/model/spec';
import { at } from './array';

export interface RopeShape {
  heads: number;
  dHead: number;
  dims: number;
  table: Rotary;
  /** Position of the first row. */
  start?: number;
}

/** The unscaled table: frequency[i] = base^(−2i/dims). */
export const plainRotary = (dims: number, base: number): Rotary => ({
  frequencies: Array.from({ length: dims / 2 }, (_, i) => base ** ((-2 * i) / dims)),
  scale: 1,
});

/** x: [pos, head, d_head]. */
export function rope(x: ArrayLike<number>, { heads, dHead, dims, table, start = 0 }: RopeShape): Float64Array {
  const out = Float64Array.from(x);
  const half = dims / 2;
  for (let row = 0; row < x.length / dHead; row++) {
    const position = start + Math.floor(row / heads);
    for (let i = 0; i < half; i++) {
      const angle = position * at(table.frequencies, i);
      const [cos, sin] = [table.scale * Math.cos(angle), table.scale * Math.sin(angle)];
      const low = at(x, row * dHead + i);
      const high = at(x, row * dHead + half + i);
      out[row * dHead + i] = low * cos - high * sin;
      out[row * dHead + half + i] = high * cos + low * sin;
    }
  }
  return out;
}
