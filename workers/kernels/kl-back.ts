/** The slope of a divergence by rows of logits (shaders/kl-back.wgsl). */
import { f32bits, type Dispatch } from '../gpu/commands';

export interface KlBackCall {
  /** Rows; those that they are measured from lie as many rows behind. */
  rows: number;
  n: number;
  stride: number;
  /** What each row counts. */
  weight: number;
  /** 0: none. */
  cap: number;
  logits: string;
  hook: string;
}
export const klBack = ({ rows, n, stride, weight, cap, logits, hook }: KlBackCall): Dispatch => ({
  op: 'dispatch',
  kernel: 'kl-back',
  variant: 'row',
  file: 'kl-back',
  defines: { T: 128 },
  constants: {},
  bind: [{ buffer: logits }],
  params: [n, stride, rows, f32bits(weight), f32bits(cap)],
  groups: [rows, 1, 1],
  hook,
  bytes: 12 * rows * n,
});
