/** Weights changed where they lie, before the first run: a norm folded into its reader, value biases into b_O, means taken out. f32 only. */
import type { Dispatch } from '../gpu/commands';
import { spread } from './grid';
import type { WeightMatrix } from './linear';

/** Rows that one thread adds up. 256 keeps a vocabulary's mean to 1e-7 and gives a GPU enough threads. */
export const CHUNK = 256;

const dispatch = (file: string, rest: Pick<Dispatch, 'defines' | 'constants' | 'bind' | 'params' | 'groups' | 'bytes'>): Dispatch => ({
  op: 'dispatch',
  kernel: file,
  variant: 'row',
  file,
  ...rest,
});

export interface FoldRows {
  weights: WeightMatrix;
  /** True width. */
  width: number;
  /** Words of vecs: the gain (its bias lies behind it), and, where there is a bias to fold, the reader's own bias. */
  norm?: { gain: number; bias?: number | undefined };
  /** Rows lose their mean. */
  center: boolean;
}
export function foldRows({ weights, width, norm, center }: FoldRows): Dispatch[] {
  return weights.pieces.map((piece) =>
    dispatch('fold-rows', {
      defines: { GAIN: norm ? 1 : 0, BIAS: norm?.bias === undefined ? 0 : 1, CENTER: center ? 1 : 0 },
      constants: { K4: weights.k / 4 },
      bind: [{ buffer: piece.buffer }, norm ? { buffer: 'vecs' } : null],
      params: [piece.row0, piece.rows, width, norm?.gain ?? 0, norm?.bias ?? 0],
      groups: spread(piece.rows),
      bytes: 8 * piece.rows * weights.k,
    }),
  );
}

export interface FoldValues {
  /** W_O. */
  weights: WeightMatrix;
  heads: number;
  kvHeads: number;
  dHead: number;
  dHeadPadded: number;
  /** Words of vecs: b_V and b_O. */
  value: number;
  bias: number;
}
export function foldValues(call: FoldValues): Dispatch[] {
  const { weights, heads } = call;
  return weights.pieces.map((piece) =>
    dispatch('fold-values', {
      defines: {},
      constants: {},
      bind: [{ buffer: piece.buffer }, { buffer: 'vecs' }],
      params: [piece.row0, piece.rows, heads, heads / call.kvHeads, call.dHead, call.dHeadPadded, call.value, call.bias],
      groups: spread(piece.rows),
      bytes: 4 * piece.rows * weights.k,
    }),
  );
}

export const chunksOf = (weights: WeightMatrix): number => weights.pieces.reduce((sum, { rows }) => sum + Math.ceil(rows / CHUNK), 0);

/** Needs a buffer `sums` of chunksOf(weights) rows as wide as the matrix. */
export function centerColumns(weights: WeightMatrix): Dispatch[] {
  const chunks = chunksOf(weights);
  const common = { defines: { CHUNK: `${CHUNK}u` }, constants: { K4: weights.k / 4 } };
  let chunk0 = 0;
  const sums: Dispatch[] = [];
  const means: Dispatch[] = [];
  for (const { buffer, rows } of weights.pieces) {
    const groups: [number, number, number] = [Math.ceil(weights.k / 256), Math.ceil(rows / CHUNK), 1];
    const bind = [{ buffer }, { buffer: 'sums' }];
    sums.push(dispatch('column-sums', { ...common, bind, params: [rows, chunk0], groups, bytes: 4 * rows * weights.k }));
    means.push(dispatch('center-columns', { ...common, bind, params: [rows, chunks, weights.n], groups, bytes: 8 * rows * weights.k }));
    chunk0 += groups[1];
  }
  return [...sums, ...means];
}
