/**
 * Rotary positions (Su et al. 2021), in the half-split pairing that Llama and GPT-NeoX checkpoints use: for i < dims/2,
 * the pair (x[i], x[i + dims/2]) turns by the angle position·base^(−2i/dims); entries from `dims` on stay as they are.
 */
import { at } from './array';

export interface RopeShape {
  heads: number;
  dHead: number;
  dims: number;
  base: number;
  /** Position of the first row. */
  start?: number;
}

/** x: [pos, head, d_head]. */
export function rope(x: ArrayLike<number>, { heads, dHead, dims, base, start = 0 }: RopeShape): Float64Array {
  const out = Float64Array.from(x);
  const half = dims / 2;
  for (let row = 0; row < x.length / dHead; row++) {
    const position = start + Math.floor(row / heads);
    for (let i = 0; i < half; i++) {
      const angle = position * base ** ((-2 * i) / dims);
      const low = at(x, row * dHead + i);
      const high = at(x, row * dHead + half + i);
      out[row * dHead + i] = low * Math.cos(angle) - high * Math.sin(angle);
      out[row * dHead + half + i] = high * Math.cos(angle) + low * Math.sin(angle);
    }
  }
  return out;
}
