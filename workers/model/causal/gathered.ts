/** From each pair's own numbers to a grid: raw and scaled, and, of several pairs, their mean and spread. */
import type { Grid, Metric } from '../../api';
import type { CellGrid } from './grid';
import { normalised, overPairs } from './metric';

/** By the cell's place in the grid; what is not there is no cell, or not computed yet. */
export interface PairValues {
  raw: number[];
  clean: number;
  corrupted: number;
}

export function gathered(
  grid: Pick<CellGrid, 'axes' | 'shape' | 'size'>,
  pairs: readonly PairValues[],
  kind: Metric['kind'],
): Pick<Grid, 'axes' | 'value' | 'raw' | 'clean' | 'corrupted' | 'spread'> {
  const { axes, shape, size } = grid;
  const empty = (): { shape: number[]; data: Float32Array } => ({ shape: [...shape], data: new Float32Array(size).fill(NaN) });
  const [value, raw, spread] = [empty(), empty(), empty()];
  for (let i = 0; i < size; i++) {
    const known = pairs.map((pair) => ({ ...pair, m: pair.raw[i] ?? NaN }));
    const scaled = overPairs(known.map(({ m, clean, corrupted }) => normalised(kind, m, clean, corrupted)));
    value.data[i] = scaled.mean;
    spread.data[i] = scaled.spread;
    raw.data[i] = overPairs(known.map(({ m }) => m)).mean;
  }
  const mean = (of: (pair: PairValues) => number): number => pairs.reduce((sum, pair) => sum + of(pair), 0) / pairs.length;
  return {
    axes: axes.map((axis) => ({ ...axis, labels: [...axis.labels] })),
    value,
    raw,
    clean: mean((pair) => pair.clean),
    corrupted: mean((pair) => pair.corrupted),
    ...(pairs.length > 1 ? { spread } : {}),
  };
}
