/** Rows of logits: what is read off them, and the choice of the next token. */
import type { Dispatch } from '../gpu/commands';

/** Words of a result before its (token, probability) pairs. */
export const HEADER = 8;
export const resultWords = (k: number): number => HEADER + 2 * k;

export interface DistributionCall {
  logits: string;
  reference?: string;
  rows: number;
  n: number;
  stride: number;
  k: number;
  /** The first row of `out` and of `targets`. */
  outRow: number;
  hook: string;
}
export function distribution(call: DistributionCall): Dispatch {
  return {
    op: 'dispatch',
    kernel: 'distribution',
    variant: 'row',
    file: 'distribution',
    defines: { T: 128, REFERENCE: call.reference ? 1 : 0 },
    constants: {},
    bind: [call.logits, 'targets', 'dist', ...(call.reference ? [call.reference] : [])].map((buffer) => ({ buffer })),
    params: [call.n, call.stride, call.k, call.outRow],
    groups: [call.rows, 1, 1],
    hook: call.hook,
    bytes: 4 * call.rows * call.n * (call.reference ? 2 : 1),
  };
}

/** `shadow`: the row whose distribution row `of` is measured against. */
export function sample(call: {
  sampled: number;
  rows: number;
  n: number;
  stride: number;
  k: number;
  shadow?: { row: number; of: number };
}): Dispatch {
  return {
    op: 'dispatch',
    kernel: 'sample',
    variant: 'row',
    file: 'sample',
    defines: { T: 128 },
    constants: {},
    bind: ['logits', 'rows', 'result', 'settings'].map((buffer) => ({ buffer })),
    params: [call.n, call.stride, call.k, call.rows, call.shadow?.row ?? 0, call.shadow ? call.shadow.of + 1 : 0, 0, 0],
    groups: [call.sampled, 1, 1],
    hook: 'sample',
    bytes: 4 * call.sampled * call.n,
  };
}
