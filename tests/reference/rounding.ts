/**
 * Rounding to the stored types, ties to even (IEEE 754): what a weight is worth once it has been kept in f16 or bf16.
 * A value is a multiple of 2^(e − fraction bits), e its exponent, not below the least normal one (below it: subnormals).
 */

function roundTo(x: number, fractionBits: number, leastExponent: number, largest: number): number {
  if (!Number.isFinite(x) || x === 0) return x;
  const size = Math.abs(x);
  let exponent = Math.floor(Math.log2(size));
  // log2 of a value just under a power of two may round up to it.
  if (2 ** exponent > size) exponent--;
  const step = 2 ** (Math.max(exponent, leastExponent) - fractionBits);
  const steps = size / step;
  const down = Math.floor(steps);
  const over = steps - down;
  const rounded = (over > 0.5 || (over === 0.5 && down % 2 === 1) ? down + 1 : down) * step;
  return Math.sign(x) * (rounded > largest ? Infinity : rounded);
}

export const roundToF16 = (x: number): number => roundTo(x, 10, -14, 65504);

export const roundToBF16 = (x: number): number => roundTo(x, 7, -126, 2 ** 127 * (2 - 2 ** -7));
