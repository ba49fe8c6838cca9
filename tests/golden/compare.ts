/**
 * How an activation is compared with its reference: per row, the largest error over the row's largest reference value.
 * A whole-tensor measure would let one massive activation hide every other row; an element-wise one would blame
 * rounding on values that are small by cancellation.
 */

export interface Comparison {
  /** Largest error of any row, over that row's largest reference value (absolute where that is 0). */
  worst: number;
  row: number;
  column: number;
  actual: number;
  expected: number;
  within: boolean;
}

/**
 * `width` is the length of a row: the last axis (d_model, d_head, keys, vocabulary). Infinities (masked scores) must
 * be the same infinities; a NaN, an infinity out of place or a wrong length is an infinite error.
 */
export function compareRows(actual: ArrayLike<number>, expected: ArrayLike<number>, width: number, tolerance: number): Comparison {
  const out: Comparison = { worst: 0, row: -1, column: -1, actual: 0, expected: 0, within: true };
  if (actual.length !== expected.length || expected.length === 0 || expected.length % width !== 0)
    return { ...out, worst: Infinity, actual: actual.length, expected: expected.length, within: false };
  for (let start = 0; start < expected.length; start += width) {
    let scale = 0;
    for (let i = start; i < start + width; i++) {
      const size = Math.abs(expected[i] ?? NaN);
      if (Number.isFinite(size)) scale = Math.max(scale, size);
    }
    for (let i = start; i < start + width; i++) {
      const a = actual[i] ?? NaN;
      const b = expected[i] ?? NaN;
      let error = 0;
      if (Number.isFinite(a) && Number.isFinite(b)) error = Math.abs(a - b) / (scale || 1);
      else if (a !== b) error = Infinity;
      if (error > out.worst) Object.assign(out, { worst: error, row: start / width, column: i - start, actual: a, expected: b });
    }
  }
  return { ...out, within: out.worst <= tolerance };
}

/** A comparison as a sentence, for a failing test's message. */
export function describeComparison(name: string, { worst, row, column, actual, expected }: Comparison): string {
  return `${name}: error ${worst.toExponential(2)} of the row's scale at row ${row}, column ${column}: ${actual} for ${expected}`;
}
