/** The backward twins of the dictionaries' kernels (kernels/dictionary.ts): products are projections forth and back; what lies between is here. */
import { f32bits, type Bind, type Dispatch } from '../gpu/commands';
import type { LatentKind, Lying } from './dictionary';

const dispatch = (
  file: string,
  call: Omit<Dispatch, 'op' | 'kernel' | 'variant' | 'file' | 'constants' | 'bind'> & { bind: (string | null)[] },
): Dispatch => ({
  op: 'dispatch',
  kernel: file,
  variant: 'row',
  file,
  constants: {},
  ...call,
  bind: call.bind.map((buffer): Bind | null => (buffer === null ? null : { buffer })),
});

export interface SpliceBackCall {
  /** The gradient at the hook; what is left is there afterwards. */
  x: string;
  rows: number;
  words: number;
  record: number;
  /** The reconstruction's part. */
  part: string;
  /** Where the reconstruction undid a normalisation: itself, the rows' statistics, and where their gradients go. */
  undone?: { y: string; stats: string; side: string } | undefined;
  hook: string;
}
export const spliceBack = ({ x, rows, words, record, part, undone, hook }: SpliceBackCall): Dispatch =>
  dispatch('sae-splice-back', {
    defines: { NORM: undone ? 1 : 0, SERIAL: 0 },
    bind: [x, 'rows', 'edits', part, ...(undone ? [undone.y, undone.stats, undone.side] : [])],
    params: [record, words, 0, 0],
    groups: [rows, 1, 1],
    hook,
    bytes: 16 * rows * words,
  });

export interface DecodeBackCall {
  kind: LatentKind;
  rows: number;
  latents: number;
  stride: number;
  scale: number;
  /** Gradients at activations, in whose place those at products come. */
  h: string;
  /** Products; of topk activations. */
  pre: string;
  params: string;
  stats?: string | undefined;
  hook: string;
}
export const decodeBack = ({ kind, rows, latents, stride, scale, h, pre, params, stats, hook }: DecodeBackCall): Dispatch =>
  dispatch('sae-decode-back', {
    defines: { ACT: kind, NORM: stats === undefined ? 0 : 1 },
    bind: [h, pre, params, ...(stats === undefined ? [] : [stats])],
    params: [latents, stride, f32bits(scale), 0],
    groups: [Math.ceil(latents / 64), rows, 1],
    hook,
    bytes: 12 * rows * latents,
  });

export interface LatentsBackCall {
  kind: LatentKind;
  row0: number;
  rows: number;
  first: number;
  count: number;
  scale: number;
  params: string;
  /** Products of the edited latents, a row `width` words; or the activations of all latents, from row0, a row `stride` words. */
  pre: string;
  dense: boolean;
  stride: number;
  h: string;
  width: number;
  undone?: { stats: string; side: string } | undefined;
  hook: string;
}
export const latentsBack = (call: LatentsBackCall): Dispatch =>
  dispatch('sae-latents-back', {
    defines: { ACT: call.kind, DENSE: call.dense ? 1 : 0, NORM: call.undone ? 1 : 0, SERIAL: 1 },
    bind: ['rows', 'edits', call.params, call.pre, call.h, ...(call.undone ? [call.undone.stats, call.undone.side] : [])],
    params: [call.first, call.count, call.row0, call.rows, call.stride, call.width, f32bits(call.scale), 0],
    groups: [Math.ceil(call.rows / 64), 1, 1],
    hook: call.hook,
    bytes: 12 * call.rows * call.count,
  });

export interface EncodeBackCall {
  /** The gradient at the hook that was read, onto which it comes. */
  x: string;
  u: string;
  rows: number;
  lying: Lying;
  norm?: { centre: boolean; normalised: string; stats: string; side?: string | undefined } | undefined;
  hook: string;
}
export const encodeBack = ({ x, u, rows, lying, norm, hook }: EncodeBackCall): Dispatch =>
  dispatch('sae-encode-back', {
    defines: { NORM: norm ? (norm.centre ? 'centre' : 'layer') : 'none', SIDE: norm?.side === undefined ? 0 : 1 },
    bind: [
      x,
      u,
      ...(norm ? [norm.centre ? null : norm.normalised, norm.centre ? null : norm.stats] : []),
      ...(norm?.side === undefined ? [] : [norm.side]),
    ],
    params: [lying.words, lying.d, lying.width, lying.stride],
    groups: [rows, 1, 1],
    hook,
    bytes: 12 * rows * lying.words,
  });
