/**
 * Dictionaries on the GPU: products with the encoder become activations and lists of the active ones, lists become reconstructions, and edits
 * of single latents become sums of decoder rows. The product itself is a projection like any other (linear.ts).
 */
import { f32bits, type Bind, type Dispatch } from '../gpu/commands';
import type { WeightMatrix } from './linear';

/** Words of a row's list before its pairs: how many are active, how many are listed. */
export const LIST_HEADER = 2;
export const listWords = (room: number): number => LIST_HEADER + 2 * room;

export type LatentKind = 'relu' | 'jumprelu' | 'topk' | 'gated';

/** A row's list as it came back: the pairs by magnitude, largest first, of equal ones the lower latent. Only neurons of gated MLPs are ever negative. */
export function readList(words: Uint32Array, at: number): { pairs: [latent: number, value: number][]; truncated: boolean } {
  const floats = new Float32Array(words.buffer, words.byteOffset, words.length);
  const [active = 0, listed = 0] = words.subarray(at, at + LIST_HEADER);
  const pairs = Array.from({ length: listed }, (_, j): [number, number] => [
    words[at + LIST_HEADER + 2 * j] ?? 0,
    floats[at + LIST_HEADER + 2 * j + 1] ?? 0,
  ]);
  return { pairs: pairs.sort((a, b) => Math.abs(b[1]) - Math.abs(a[1]) || a[0] - b[0]), truncated: active > listed };
}

/** How a dictionary's input or output lies in a row of a hook's buffer: units of `width` numbers, `stride` apart, `words` in all. */
export interface Lying {
  d: number;
  width: number;
  stride: number;
  words: number;
}

interface Made {
  kernel: string;
  file: string;
  variant?: string;
  defines?: Record<string, number | string>;
  constants?: Record<string, number>;
  bind: (string | null)[];
  params: number[];
  groups: [number, number, number];
  hook: string;
  bytes: number;
}
const make = ({ defines = {}, constants = {}, bind, ...rest }: Made): Dispatch => ({
  op: 'dispatch',
  variant: 'row',
  defines,
  constants,
  bind: bind.map((buffer): Bind | null => (buffer === null ? null : { buffer })),
  ...rest,
});

export interface NormaliseCall {
  x: string;
  row0: number;
  rows: number;
  lying: Lying;
  out: string;
  stats: string;
  /** The mean alone is taken off. */
  centre: boolean;
  hook: string;
}
/** layer_norm, or a centred stream: what the encoder reads, and each row's mean and deviation. */
export const normalise = ({ x, row0, rows, lying, out, stats, centre, hook }: NormaliseCall): Dispatch =>
  make({
    kernel: 'sae-normalise',
    file: 'sae-normalise',
    defines: { CENTRE: centre ? 1 : 0 },
    constants: { K4: lying.words / 4 },
    bind: [x, out, stats],
    params: [row0, lying.d, lying.width, lying.stride],
    groups: [rows, 1, 1],
    hook,
    bytes: 8 * rows * lying.words,
  });

export interface SelectCall {
  kind: LatentKind;
  rows: number;
  latents: number;
  stride: number;
  /** Of topk. */
  k?: number;
  /** Pairs that a row's list has room for. */
  room: number;
  scale: number;
  pre: string;
  params: string;
  list: string;
  hook: string;
  /** Without barriers, a thread a row. */
  serial: boolean;
  /** Of serial ones, but not of topk: the first `room` active latents will do, and products stay as they are. */
  any?: boolean;
}
/** Rows of a workgroup of shaders/sae-select-serial.wgsl. */
const SERIAL_ROWS = 8;
/** The file, and the grid, of a selection. */
export const selecting = (serial: boolean, rows: number): { file: string; variant: string; groups: [number, number, number] } =>
  serial
    ? { file: 'sae-select-serial', variant: 'serial', groups: [Math.ceil(rows / SERIAL_ROWS), 1, 1] }
    : { file: 'sae-select', variant: 'row', groups: [rows, 1, 1] };

/** Products to activations, in place, and the list of the active ones. */
export function select(call: SelectCall): Dispatch {
  const k = call.k ?? 0;
  const limit = call.kind === 'topk' ? Math.min(k, call.room) : call.room;
  return make({
    kernel: 'sae-select',
    defines: { ACT: call.kind, NEURONS: 0, ...(call.serial ? { ANY: call.any ? 1 : 0 } : {}) },
    bind: [call.pre, call.params, call.list],
    params: [call.latents, call.stride, limit, call.room, f32bits(call.scale), k, call.rows, 0],
    ...selecting(call.serial, call.rows),
    hook: call.hook,
    bytes: 8 * call.rows * call.latents + 16 * call.latents,
  });
}

export interface DecodeCall {
  rows: number;
  matrix: WeightMatrix;
  room: number;
  /** Words of a row of `pre`. */
  stride: number;
  /** layer_norm was applied; its statistics are in `stats`. */
  stats?: string | undefined;
  scale: number;
  lying: Lying;
  list: string;
  pre: string;
  params: string;
  bias: string;
  y: string;
  hook: string;
}
/** A reconstruction: one dispatch a piece of the decoder. */
export const decode = (call: DecodeCall): Dispatch[] =>
  call.matrix.pieces.map((piece, i, all) =>
    make({
      kernel: 'sae-decode',
      file: 'sae-decode',
      defines: {
        DTYPE: call.matrix.dtype,
        FIRST: i === 0 ? 1 : 0,
        LAST: i === all.length - 1 ? 1 : 0,
        NORM: call.stats === undefined ? 0 : 1,
      },
      constants: { K4: call.lying.words / 4 },
      bind: [
        call.list,
        call.pre,
        call.params,
        piece.buffer,
        i === 0 ? call.bias : null,
        call.y,
        ...(call.stats === undefined ? [] : [call.stats]),
      ],
      params: [piece.row0, piece.rows, call.room, call.stride, f32bits(call.scale), call.lying.d, call.lying.width, call.lying.stride],
      groups: [Math.ceil(call.lying.words / 256), call.rows, 1],
      hook: call.hook,
      bytes: 4 * call.rows * call.lying.words,
    }),
  );

export interface SpliceCall {
  x: string;
  row0: number;
  rows: number;
  words: number;
  y: string;
  /** The edit's record in the edits buffer. */
  record: number;
  hook: string;
}
export const splice = ({ x, row0, rows, words, y, record, hook }: SpliceCall): Dispatch =>
  make({
    kernel: 'sae-splice',
    file: 'sae-splice',
    constants: { K4: words / 4 },
    bind: [x, 'rows', 'edits', y],
    params: [record, row0, 0, 0],
    groups: [rows, 1, 1],
    hook,
    bytes: 12 * rows * words,
  });

export interface LatentsCall {
  kind: LatentKind;
  rows: number;
  row0: number;
  /** First record in the edits buffer, and how many: their order is that of the gathered encoder rows. */
  first: number;
  count: number;
  scale: number;
  params: string;
  out: string;
  /** What the encoder reads and the gathered rows of it; or the activations of all latents. */
  from: { x: string; xRow0: number; words: number; encoder: string; dtype: WeightMatrix['dtype'] } | { pre: string; stride: number };
  stats?: string | undefined;
  hook: string;
}
/** What edits of single latents change, a number an edit and row. */
export function latents(call: LatentsCall): Dispatch {
  const { from } = call;
  const dense = 'pre' in from;
  return make({
    kernel: 'sae-latents',
    file: 'sae-latents',
    defines: { ACT: call.kind, DENSE: dense ? 1 : 0, DTYPE: dense ? 'f32' : from.dtype, NORM: call.stats === undefined ? 0 : 1 },
    constants: dense ? {} : { K4: from.words / 4 },
    bind: [
      'rows',
      'edits',
      call.params,
      call.out,
      ...(dense ? [from.pre, null] : [from.x, from.encoder]),
      ...(call.stats === undefined ? [] : [call.stats]),
    ],
    params: [call.first, call.count, call.row0, dense ? 0 : from.xRow0, dense ? from.stride : 0, f32bits(call.scale), 0, 0],
    groups: [call.rows, 1, 1],
    hook: call.hook,
    bytes: 4 * call.rows * call.count * (dense ? 2 : from.words),
  });
}

export interface AddCall {
  x: string;
  row0: number;
  rows: number;
  words: number;
  count: number;
  changes: string;
  /** The edited latents' rows of the decoder, one after the other. */
  decoder: string;
  dtype: WeightMatrix['dtype'];
  hook: string;
}
export const addLatents = ({ x, row0, rows, words, count, changes, decoder, dtype, hook }: AddCall): Dispatch =>
  make({
    kernel: 'sae-add',
    file: 'sae-add',
    defines: { DTYPE: dtype },
    constants: { K4: words / 4 },
    bind: [x, changes, decoder],
    params: [count, row0, 0, 0],
    groups: [rows, 1, 1],
    hook,
    bytes: 4 * rows * words * (count + 2),
  });

/** ‖x − y‖ and ‖x‖ of each row. */
export const rowError = (call: {
  x: string;
  row0: number;
  rows: number;
  words: number;
  y: string;
  out: string;
  outRow: number;
  hook: string;
}): Dispatch =>
  make({
    kernel: 'sae-error',
    file: 'sae-error',
    constants: { K4: call.words / 4 },
    bind: [call.x, call.y, call.out],
    params: [call.row0, call.outRow, 0, 0],
    groups: [call.rows, 1, 1],
    hook: call.hook,
    bytes: 8 * call.rows * call.words,
  });
