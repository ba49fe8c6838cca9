/**
 * Directions a person can make: the difference of means of a contrast set (Turner et al. 2023, ActAdd; Rimsky et al. 2024,
 * CAA: v = mean h(positive) − mean h(negative)), the direction that reads a token out (its column of W_U), or numbers.
 *
 * Which positions stand for a text? `where` says so; the contract's default is all of them. The page passes [-1], the last
 * token, as repeng and steering-vectors do, because in a causal model only that one has read the whole text. Each text counts
 * once, however long it is: positions are averaged within a text, then texts within a side.
 */
import type { Tensor, Where } from '../../workers/api';
import { LabError } from '../../workers/errors';

/** Positions (0-based) of a text of `length` tokens that `where` names. */
export function positionsOf(where: Where, length: number): number[] {
  if (where === 'all' || where === 'prompt') return Array.from({ length }, (_, i) => i);
  if (where === 'generated') {
    throw new LabError('request-invalid', 'A contrast text has no generated positions.', "Use 'all', or positions such as [-1].");
  }
  return where.map((position) => {
    const index = position < 0 ? length + position : position;
    if (!Number.isInteger(index) || index < 0 || index >= length) {
      throw new LabError(
        'position-range',
        `A contrast text of ${length} tokens has no position ${position}.`,
        'Negative positions count from the end; [-1] is the last token of each text.',
      );
    }
    return index;
  });
}

/** Mean over the named positions of one tapped activation [pos, …]; trailing axes are flattened. */
export function meanOver(tap: Tensor, where: Where): Float64Array {
  const length = tap.shape[0] ?? 0;
  const width = length ? tap.data.length / length : 0;
  const positions = positionsOf(where, length);
  const mean = new Float64Array(width);
  for (const position of positions) {
    for (let i = 0; i < width; i++) mean[i] = (mean[i] ?? 0) + (tap.data[position * width + i] ?? 0) / positions.length;
  }
  return mean;
}

/** mean(positive) − mean(negative), each text counted once. */
export function differenceOfMeans(positive: readonly Tensor[], negative: readonly Tensor[], where: Where): Float32Array {
  const sides = [positive, negative].map((taps) => {
    const rows = taps.map((tap) => meanOver(tap, where));
    const width = rows[0]?.length ?? 0;
    return Float64Array.from({ length: width }, (_, i) => rows.reduce((sum, row) => sum + (row[i] ?? 0), 0) / rows.length);
  });
  const [plus = new Float64Array(), minus = new Float64Array()] = sides;
  return Float32Array.from(plus, (x, i) => x - (minus[i] ?? 0));
}

export function norm(data: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < data.length; i++) sum += (data[i] ?? 0) ** 2;
  return Math.sqrt(sum);
}

/** "cheerful − gloomy": what a vector made from a contrast set is called. */
export function pairName(positive: readonly string[], negative: readonly string[]): string {
  const short = (texts: readonly string[]) => {
    const first = (texts[0] ?? '').trim().replace(/\s+/g, ' ');
    const clipped = first.length > 24 ? `${first.slice(0, 23)}…` : first;
    return texts.length > 1 ? `${clipped} +${texts.length - 1}` : clipped;
  };
  return `${short(positive)} − ${short(negative)}`;
}
