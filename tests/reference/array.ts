/**
 * What every float64 twin stands on: reads that cannot miss, and dot products. Arrays are flat and row-major; the twins
 * are written to be read against their equations, not to be fast.
 */

/** x[i], or an error: a twin that read past an array's end would agree with a kernel that does. */
export function at(x: ArrayLike<number>, i: number): number {
  const value = x[i];
  if (value === undefined) throw new RangeError(`index ${i} of ${x.length} values`);
  return value;
}

/** Σ x[xStart + i]·y[yStart + i] for i < count. */
export function dot(x: ArrayLike<number>, xStart: number, y: ArrayLike<number>, yStart: number, count: number): number {
  let sum = 0;
  for (let i = 0; i < count; i++) sum += at(x, xStart + i) * at(y, yStart + i);
  return sum;
}

export function plus(x: ArrayLike<number>, y: ArrayLike<number>): Float64Array {
  if (x.length !== y.length) throw new RangeError(`${x.length} values plus ${y.length}`);
  return Float64Array.from(x, (value, i) => value + at(y, i));
}
