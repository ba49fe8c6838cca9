/**
 * The main axes along which rows differ among each other (principal components, by power iteration with deflation), and what is left of a
 * vector without them: a difference of means between two kinds of text also holds what happens to differ within them.
 */
const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((sum, value, i) => sum + value * (b[i] ?? 0), 0);

/** Enough for axes that carry weight; the last few of many may still turn a little. */
const ROUNDS = 200;

export function mainAxes(rows: readonly (readonly number[])[], count: number): number[][] {
  const width = rows[0]?.length ?? 0;
  const mean = Array.from({ length: width }, (_, i) => rows.reduce((sum, row) => sum + (row[i] ?? 0), 0) / rows.length);
  let left = rows.map((row) => row.map((value, i) => value - (mean[i] ?? 0)));
  return Array.from({ length: count }, (_, k) => {
    // Any start that is not at right angles to the axis will do.
    let axis = Array.from({ length: width }, (__, i) => Math.sin(1 + i * (k + 1)));
    for (let round = 0; round < ROUNDS; round++) {
      const next = new Array<number>(width).fill(0);
      for (const row of left) {
        const along = dot(row, axis);
        row.forEach((value, i) => (next[i] = (next[i] ?? 0) + along * value));
      }
      const length = Math.hypot(...next) || 1;
      axis = next.map((value) => value / length);
    }
    left = left.map((row) => without(row, [axis]));
    return axis;
  });
}

/** The axes are at right angles to each other and of length 1. */
export const without = (vector: readonly number[], axes: readonly (readonly number[])[]): number[] =>
  axes.reduce<number[]>(
    (rest, axis) => {
      const along = dot(rest, axis);
      return rest.map((value, i) => value - along * (axis[i] ?? 0));
    },
    [...vector],
  );
