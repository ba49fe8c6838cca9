/**
 * Attention over the cache. Fused: scores, softmax and mix in one dispatch, keeping the log-sum-exp. Open: scores and mix
 * as kernels of their own around kernels/rowwise softmax, for runs that look at or edit scores and patterns.
 */
import { f32bits, type Dispatch } from '../gpu/commands';
import { threads } from './grid';
import type { Variants } from './linear';

export interface AttentionShape {
  rows: number;
  heads: number;
  kvHeads: number;
  dHeadPadded: number;
  kv: string;
  /** Word where V starts in the cache. */
  second: number;
  cap: number;
  scale: number;
  hook: string;
}

const heads = (call: AttentionShape): Record<string, string> => ({
  HEADS: `${call.heads}u`,
  KV: `${call.kvHeads}u`,
  GROUP: `${call.heads / call.kvHeads}u`,
});

/** `length`: keys read at most, for the bytes that are stated. */
export function attention(call: AttentionShape & { q: string; variant: Variants['attention']; length: number }): Dispatch {
  const serial = call.variant === 'serial';
  const D4 = call.dHeadPadded / 4;
  return {
    op: 'dispatch',
    kernel: 'attention',
    variant: call.variant,
    file: serial ? 'attention-serial' : 'attention-workgroup',
    defines: serial ? { ...heads(call), D4 } : { ...heads(call), D4: `${D4}u`, OWN: Math.ceil(D4 / 64) },
    constants: {},
    bind: [call.q, call.kv, 'rows', 'z', 'lse'].map((buffer) => ({ buffer })),
    params: [call.rows, call.second, call.cap, f32bits(call.scale)],
    groups: serial ? threads(call.rows * call.heads) : [call.heads, call.rows, 1],
    hook: call.hook,
    bytes: 8 * call.rows * call.heads * call.dHeadPadded + 8 * call.rows * call.kvHeads * call.dHeadPadded * call.length,
  };
}

export function scores(call: AttentionShape & { q: string; keys: number }): Dispatch {
  return {
    op: 'dispatch',
    kernel: 'scores',
    variant: 'thread',
    file: 'scores',
    defines: { ...heads(call), D4: `${call.dHeadPadded / 4}u` },
    constants: {},
    bind: [call.q, call.kv, 'rows', 'scores'].map((buffer) => ({ buffer })),
    params: [call.keys, call.cap, f32bits(call.scale), 0],
    groups: [Math.ceil(call.keys / 64), call.heads, call.rows],
    hook: call.hook,
    bytes: 4 * call.rows * call.heads * call.keys,
  };
}

export function mix(call: AttentionShape & { keys: number }): Dispatch {
  return {
    op: 'dispatch',
    kernel: 'mix',
    variant: 'thread',
    file: 'mix',
    defines: { ...heads(call), D4: `${call.dHeadPadded / 4}u` },
    constants: {},
    bind: ['pattern', call.kv, 'rows', 'z'].map((buffer) => ({ buffer })),
    params: [call.rows, call.keys, call.second, call.cap],
    groups: threads((call.rows * call.heads * call.dHeadPadded) / 4),
    hook: call.hook,
    bytes: 4 * call.rows * call.heads * call.keys,
  };
}
