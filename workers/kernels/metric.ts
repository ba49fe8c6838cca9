/** Rows of logits, and what a causal metric reads of each: two tokens' logits, the normaliser, the divergence from one reference row. */
import type { Dispatch } from '../gpu/commands';

/** Words of a row's result. */
export const SCORE_WORDS = 8;
/** Rows of logits that metrics are read off at once. */
export const SCORED_ROWS = 64;

export interface MetricCall {
  rows: number;
  n: number;
  stride: number;
  /** The first row of `metric`. */
  outRow: number;
  tokens: readonly [number, number];
  /** A buffer that holds one row of logits. */
  reference?: string;
  hook: string;
}
export function metricRows(call: MetricCall): Dispatch {
  const { rows, n, stride, outRow, tokens, reference } = call;
  return {
    op: 'dispatch',
    kernel: 'metric',
    variant: 'row',
    file: 'metric',
    defines: { T: 128, REFERENCE: reference === undefined ? 0 : 1 },
    constants: {},
    bind: ['logits', 'metric', ...(reference === undefined ? [] : [reference])].map((buffer) => ({ buffer })),
    params: [n, stride, outRow, ...tokens],
    groups: [rows, 1, 1],
    hook: call.hook,
    bytes: 4 * rows * n * (reference === undefined ? 1 : 2),
  };
}
