/**
 * An MLP's neurons on the GPU. They are a hook's own numbers, so nothing is multiplied: the active ones are listed where they lie, edited where they lie, and
 * how their directions lie to each other is read off W_out as it is stored.
 */
import { f32bits, type Dispatch } from '../gpu/commands';
import { selecting } from './dictionary';
import type { WeightMatrix } from './linear';

/** List those above 0, or all of either sign, by magnitude. */
export type Listed = 'positive' | 'signed';

export interface ListNeuronsCall {
  listed: Listed;
  rows: number;
  neurons: number;
  /** Words of a row. */
  stride: number;
  /** Pairs that a row's list has room for. */
  room: number;
  x: string;
  list: string;
  hook: string;
  /** Without barriers, a thread a row. */
  serial: boolean;
}
/** The active neurons of each row, as lists of a dictionary's latents are (shaders/sae-select.wgsl). */
export const listNeurons = ({ listed, rows, neurons, stride, room, x, list, hook, serial }: ListNeuronsCall): Dispatch => ({
  op: 'dispatch',
  kernel: 'sae-select',
  defines: { ACT: listed, NEURONS: 1, ...(serial ? { ANY: room >= neurons ? 1 : 0 } : {}) },
  constants: {},
  bind: [{ buffer: x }, null, { buffer: list }],
  params: [neurons, stride, room, room, f32bits(1), 0, rows, 0],
  ...selecting(serial, rows),
  hook,
  bytes: 4 * rows * neurons,
});

export interface EditNeuronsCall {
  rows: number;
  stride: number;
  /** First record in the edits buffer, and how many. */
  first: number;
  count: number;
  x: string;
  hook: string;
  /** Of gradients: what comes in is times the edit's slope. */
  slopes?: boolean;
}
/** Edits of single neurons, in place. */
export const editNeurons = ({ rows, stride, first, count, x, hook, slopes }: EditNeuronsCall): Dispatch => ({
  op: 'dispatch',
  kernel: 'neuron-edit',
  file: 'neuron-edit',
  variant: 'row',
  defines: slopes ? { SLOPE: 1 } : {},
  constants: {},
  bind: [{ buffer: x }, { buffer: 'rows' }, { buffer: 'edits' }],
  params: [first, count, stride, 0],
  groups: [rows, 1, 1],
  hook,
  bytes: 8 * rows * count,
});

/** Of every column of `matrix`: its product with `v` [matrix.n], and its square; `out` [2, matrix.k]. One dispatch a piece. */
export const columnDots = (call: { matrix: WeightMatrix; v: string; out: string; hook: string }): Dispatch[] =>
  call.matrix.pieces.map((piece, i) => ({
    op: 'dispatch',
    kernel: 'column-dots',
    file: 'column-dots',
    variant: 'column',
    defines: { DTYPE: call.matrix.dtype, FIRST: i === 0 ? 1 : 0 },
    constants: { K4: call.matrix.k / 4 },
    bind: [{ buffer: call.v }, { buffer: piece.buffer }, { buffer: call.out }],
    params: [piece.row0, piece.rows, 0, 0],
    groups: [Math.ceil(call.matrix.k / 256), 1, 1],
    hook: call.hook,
    bytes: piece.rows * call.matrix.k * (call.matrix.dtype === 'f32' ? 4 : 2),
  }));
