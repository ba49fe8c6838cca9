/**
 * Any patching grid as rows and columns, for the map on the page and for the figure that is saved: a head of its own line where there is a third axis, one head's map
 * at a time where there are destinations and sources, and of latents a list, the largest effect first.
 */
import type { Grid } from '../../workers/api';
import { indicesOf, type GridKind } from './grids';

export interface GridView {
  rows: readonly string[];
  /** Where columns are positions, they are called by their tokens elsewhere. */
  columns: readonly string[];
  rowsAre: string;
  columnsAre: 'head' | 'token' | 'to' | 'latent';
  /** The place in the grid's tensor. */
  flat(row: number, column: number): number;
  /** Where a place of the tensor stands; none on another head's map. */
  place(flat: number): { row: number; column: number } | undefined;
  /** The first row is the top one, as in a table; else the last is, as layers run. */
  downward: boolean;
}

/** `head`: whose map, of head × destination × source. `order`: latents, as they stand. */
export function viewOf(grid: Grid, kind: GridKind, head = 0, order: readonly number[] = []): GridView {
  const { shape } = grid.value;
  const [, second = 0, third = 1] = shape;
  const labels = (axis: number): readonly string[] => grid.axes[axis]?.labels ?? [];
  switch (kind) {
    case 'layer-position-head':
      return {
        rows: Array.from({ length: (shape[0] ?? 0) * third }, (_, i) => `${Math.floor(i / third)}.${i % third}`),
        columns: labels(1),
        rowsAre: 'layer.head',
        columnsAre: 'token',
        flat: (row, column) => (Math.floor(row / third) * second + column) * third + (row % third),
        place: (flat) => {
          const [layer = 0, position = 0, h = 0] = indicesOf(shape, flat);
          return { row: layer * third + h, column: position };
        },
        downward: false,
      };
    case 'head-dest-src':
      return {
        rows: labels(1),
        columns: labels(2),
        rowsAre: 'from',
        columnsAre: 'to',
        flat: (row, column) => (head * second + row) * third + column,
        place: (flat) => {
          const [h, row = 0, column = 0] = indicesOf(shape, flat);
          return h === head ? { row, column } : undefined;
        },
        downward: true,
      };
    case 'latent':
      return {
        rows: order.map((i) => labels(0)[i] ?? ''),
        columns: ['effect'],
        rowsAre: 'latent',
        columnsAre: 'latent',
        flat: (row) => order[row] ?? 0,
        place: (flat) => ({ row: order.indexOf(flat), column: 0 }),
        downward: true,
      };
    default:
      return {
        rows: labels(0),
        columns: labels(1),
        rowsAre: 'layer',
        columnsAre: kind === 'layer-head' ? 'head' : 'token',
        flat: (row, column) => row * second + column,
        place: (flat) => {
          const [row = 0, column = 0] = indicesOf(shape, flat);
          return { row, column };
        },
        downward: false,
      };
  }
}

/** Each head's largest effect on its map, the largest first. */
export function headsBySize(grid: Grid, effect: (flat: number) => number): { label: string; head: number; size: number }[] {
  const [heads = 0, dest = 0, src = 0] = grid.value.shape;
  return Array.from({ length: heads }, (_, head) => {
    let size = 0;
    for (let i = 0; i < dest * src; i++) size = Math.max(size, Math.abs(effect(head * dest * src + i)) || 0);
    return { label: grid.axes[0]?.labels[head] ?? String(head), head, size };
  }).sort((a, b) => b.size - a.size || a.head - b.head);
}
