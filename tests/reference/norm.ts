/**
 * LayerNorm (Ba et al. 2016): scale = √(mean((x − mean x)²) + eps), x̂ = (x − mean x)/scale; variance is biased.
 * RMSNorm (Zhang & Sennrich 2019): scale = √(mean x² + eps), x̂ = x/scale.
 * Both: out = x̂·w + b (RMSNorm has no b). `scale` and x̂ are TransformerLens's hook_scale and hook_normalized, which is
 * why they are separate steps here: an edited scale must act on the division.
 */
import { at } from './array';

export type NormKind = 'layer' | 'rms';

/** x with its mean taken out of every row, or x itself for RMSNorm. */
export function centre(x: ArrayLike<number>, width: number, kind: NormKind): Float64Array {
  const out = Float64Array.from(x);
  if (kind === 'rms') return out;
  for (let start = 0; start < out.length; start += width) {
    let sum = 0;
    for (let i = start; i < start + width; i++) sum += at(x, i);
    for (let i = start; i < start + width; i++) out[i] = at(x, i) - sum / width;
  }
  return out;
}

/** One scale a row, of rows that are centred already where they should be. */
export function normScale(centred: ArrayLike<number>, width: number, eps: number): Float64Array {
  return Float64Array.from({ length: centred.length / width }, (_, row) => {
    let sum = 0;
    for (let i = row * width; i < (row + 1) * width; i++) sum += at(centred, i) ** 2;
    return Math.sqrt(sum / width + eps);
  });
}

export function divideRows(centred: ArrayLike<number>, width: number, scale: ArrayLike<number>): Float64Array {
  return Float64Array.from(centred, (value, i) => value / at(scale, Math.floor(i / width)));
}

/** x̂·w + b, row by row. */
export function gain(normalized: ArrayLike<number>, weight: ArrayLike<number>, bias?: ArrayLike<number>): Float64Array {
  const width = weight.length;
  return Float64Array.from(normalized, (value, i) => value * at(weight, i % width) + (bias ? at(bias, i % width) : 0));
}

/** The whole norm of rows of `weight.length`. */
export function norm(
  x: ArrayLike<number>,
  kind: NormKind,
  eps: number,
  weight: ArrayLike<number>,
  bias?: ArrayLike<number>,
): { scale: Float64Array; normalized: Float64Array; out: Float64Array } {
  const centred = centre(x, weight.length, kind);
  const scale = normScale(centred, weight.length, eps);
  const normalized = divideRows(centred, weight.length, scale);
  return { scale, normalized, out: gain(normalized, weight, bias) };
}
