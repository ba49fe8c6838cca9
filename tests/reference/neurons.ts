/**
 * MLP neurons as latents, in float64: the values are those of the hook. Positive: active where above 0. Signed: active where not 0. A list holds the
 * largest by magnitude, of equal ones the lowest index. Edits act on the value itself: x + s·(f(x) − x), f = value | x + value | x·value.
 */
import { at, dot } from './array';
import type { LatentEdit } from './dictionary-edits';
import type { Linear } from './linear';

export interface Listing {
  /** How many are active, listed or not. */
  active: number;
  pairs: [neuron: number, value: number][];
}

export function listed(row: ArrayLike<number>, kind: 'positive' | 'signed', room: number): Listing {
  const all = Array.from({ length: row.length }, (_, i): [number, number] => [i, at(row, i)]);
  const active = all.filter(([, value]) => (kind === 'signed' ? value !== 0 : value > 0));
  const pairs = active.toSorted((a, b) => Math.abs(b[1]) - Math.abs(a[1]) || a[0] - b[0]).slice(0, room);
  return { active: active.length, pairs };
}

/** Rows of `width` neurons with the edits in force in every row. */
export function neuronEdits(x: ArrayLike<number>, width: number, edits: readonly LatentEdit[]): Float64Array {
  const out = Float64Array.from(x);
  for (const { latent, op, value, strength } of edits)
    for (let i = latent; i < out.length; i += width) {
      const before = at(out, i);
      const now = op === 'set' ? value : op === 'add' ? before + value : before * value;
      out[i] = before + strength * (now - before);
    }
  return out;
}

/** Column i of a matrix [out, in]: what a 1 at its input i adds. */
export const column = ({ weight, inputs, outputs }: Linear, i: number): Float64Array =>
  Float64Array.from({ length: outputs }, (_, o) => at(weight, o * inputs + i));

export const cosine = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  dot(a, 0, b, 0, a.length) / Math.sqrt(dot(a, 0, a, 0, a.length) * dot(b, 0, b, 0, a.length));
