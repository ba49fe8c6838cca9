/** A hook's values by position and head, whatever its shape: of scores and patterns a position is a query, and a row its keys. */
import { LabError } from '../../errors';
import type { Tensor } from '../../api';
import type { Cell } from '../../model/causal/grid';

export interface Rows {
  positions: number;
  units: number;
  width: number;
  at(position: number, unit: number): Float32Array;
}

export function rowsOf(tensor: Tensor | undefined, hook: string): Rows {
  if (!tensor) throw new LabError('internal', `No values came back from ${hook}.`, 'Please report this.');
  const { data, shape } = tensor;
  const [first = 0, second = 0, third = 0] = shape;
  const keys = hook.endsWith('hook_pattern') || hook.endsWith('hook_attn_scores');
  if (keys) {
    const at = (position: number, unit: number): Float32Array =>
      data.subarray((unit * second + position) * third, (unit * second + position + 1) * third);
    return { positions: second, units: first, width: third, at };
  }
  const [units, width] = shape.length === 3 ? [second, third] : [1, second];
  const at = (position: number, unit: number): Float32Array =>
    data.subarray((position * units + unit) * width, (position * units + unit + 1) * width);
  return { positions: first, units, width, at };
}

/** The mean over every position of several runs: one row for all. */
export function meanOf(all: readonly Rows[]): Rows {
  const [first] = all;
  if (!first) throw new LabError('internal', 'A mean of nothing.', 'Please report this.');
  const { units, width, positions } = first;
  const sums = new Float64Array(units * width);
  let seen = 0;
  for (const rows of all) {
    seen += rows.positions;
    for (let p = 0; p < rows.positions; p++)
      for (let u = 0; u < units; u++) rows.at(p, u).forEach((x, i) => (sums[u * width + i] = (sums[u * width + i] ?? 0) + x));
  }
  const data = Float32Array.from(sums, (sum) => sum / seen);
  return { positions, units, width, at: (_, unit) => data.subarray(unit * width, (unit + 1) * width) };
}

export const zeroOf = ({ positions, units, width }: Rows): Rows => {
  const zeros = new Float32Array(width);
  return { positions, units, width, at: () => zeros };
};

/** What a cell holds: sums `each` over its positions and heads. */
export function overCell(cell: Cell, rows: Pick<Rows, 'positions' | 'units'>, each: (position: number, unit: number) => number): number {
  const [from, to] = cell.position === undefined ? [0, rows.positions] : [cell.position, cell.position + 1];
  const [first, past] = cell.head === undefined ? [0, rows.units] : [cell.head, cell.head + 1];
  let sum = 0;
  for (let p = from; p < to; p++) for (let u = first; u < past; u++) sum += each(p, u);
  return sum;
}

/** Σ (to − from)·gradient over a row, or over one key of it. */
export function along(gradient: Float32Array, to: Float32Array, from: Float32Array, source?: number): number {
  if (source !== undefined) return ((to[source] ?? 0) - (from[source] ?? 0)) * (gradient[source] ?? 0);
  let sum = 0;
  for (let i = 0; i < gradient.length; i++) sum += ((to[i] ?? 0) - (from[i] ?? 0)) * (gradient[i] ?? 0);
  return sum;
}

/** As TransformerLens's tensor, for a replace edit. */
export function tensorOf(rows: Rows, shape: readonly number[], hook: string): Tensor {
  const { positions, units, width } = rows;
  const keys = hook.endsWith('hook_pattern');
  const data = new Float32Array(positions * units * width);
  for (let p = 0; p < positions; p++)
    for (let u = 0; u < units; u++) data.set(rows.at(p, u), (keys ? u * positions + p : p * units + u) * width);
  return { shape: [...shape], data };
}
