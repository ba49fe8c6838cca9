/** A patching grid as files: its numbers as a table or as tensors, with what was asked in the metadata; its map, or one head's of many, as a figure. */
import type { Grid } from '../../../workers/api';
import { balance } from '../../charts/scales';
import type { GridView } from '../grid-view';
import { indicesOf } from '../grids';
import { number } from '../format';
import type { PatchAnswer } from '../patch-answer.svelte';
import { overSaid, titleOf } from '../patch-question';
import { toCsv } from './csv';
import { figureSvg } from './figure';
import { toSafetensors } from './tensors';

const POSITIONS: Readonly<Record<string, string>> = { position: 'token', destination: 'destination token', source: 'source token' };
/** Rows of a figure; of more latents than these the largest are drawn, and the table has all. */
const MOST_ROWS = 60;

export function gridCsv(answer: PatchAnswer, grid: Grid): string {
  const { asked, exact, approximate } = answer;
  const { shape } = grid.value;
  const cells = Array.from({ length: grid.value.data.length }, (_, i) => indicesOf(shape, i));
  return toCsv([
    ...grid.axes.map((axis, i) => ({ name: axis.name, values: cells.map((at) => axis.labels[at[i] ?? 0] ?? '') })),
    ...grid.axes.flatMap((axis, i) => {
      const name = POSITIONS[axis.name];
      return name ? [{ name, values: cells.map((at) => asked.clean[at[i] ?? 0]?.piece ?? '') }] : [];
    }),
    ...(asked.label && grid.axes[0]?.name === 'latent'
      ? [{ name: 'label', values: grid.axes[0].labels.map((latent) => asked.label?.(Number(latent)) ?? '') }]
      : []),
    { name: 'value', values: [...grid.value.data] },
    { name: 'metric', values: [...grid.raw.data] },
    ...(grid.spread ? [{ name: 'spread', values: [...grid.spread.data] }] : []),
    ...(exact && approximate ? [{ name: 'attribution', values: [...approximate.value.data] }] : []),
  ]);
}

export function gridTensors(answer: PatchAnswer, grid: Grid): Uint8Array<ArrayBuffer> {
  const { request, said, model } = answer.asked;
  return toSafetensors(
    {
      value: grid.value,
      metric: grid.raw,
      ...(grid.spread ? { spread: grid.spread } : {}),
      ...(answer.exact && answer.approximate ? { attribution: answer.approximate.value } : {}),
    },
    {
      model,
      metric_in_words: said,
      axes: JSON.stringify(grid.axes),
      request: JSON.stringify(request),
      clean: String(grid.clean),
      corrupted: String(grid.corrupted),
    },
  );
}

export interface Drawn {
  view: GridView;
  /** Columns as they are called on the page. */
  columns: readonly string[];
  span: number;
  /** What the numbers are, in a word; of which head, where only one is drawn. */
  what: string;
  of: string;
}

export function gridSvg(answer: PatchAnswer, grid: Grid, { view, columns, span, what, of }: Drawn): string {
  const { request, said, model, dictionary } = answer.asked;
  const { rows, downward } = view;
  const order = rows.map((_, i) => (downward ? i : rows.length - 1 - i)).slice(0, MOST_ROWS);
  const at = (row: number, column: number) => answer.shown(grid, view.flat(order[row] ?? 0, column));
  const latents = view.columnsAre === 'latent';
  const name = (row: number): string => {
    const label = latents ? answer.asked.label?.(Number(rows[row])) : undefined;
    return label === undefined ? (rows[row] ?? '') : `${label} · ${rows[row] ?? ''}`;
  };
  return figureSvg({
    title: grid === answer.approximate ? 'Attribution patching' : titleOf(request),
    about: [model, overSaid(request, dictionary), of, request.direction, said, what].filter(Boolean).join(' · '),
    rows: order.map(view.columnsAre === 'to' ? (row) => columns[row] ?? '' : name),
    columns,
    rowsAre: view.rowsAre,
    columnsAre: latents ? 'effect' : view.columnsAre,
    share: (row, column) => at(row, column) / span,
    text: (row, column) => (Number.isFinite(at(row, column)) ? at(row, column).toFixed(2) : ''),
    colour: balance(false),
    from: number(-span),
    to: number(span),
  });
}
