/**
 * Attention over the cache, one dispatch either way. Fused: scores and pattern never leave the registers, their log-sum-exp
 * does. Open: both are written, for runs that look at or edit them.
 */
import { f32bits, type Dispatch } from '../gpu/commands';
import { wgslFloat } from '../gpu/wgsl';
import { threads } from './grid';
import type { Variants } from './linear';
import type { Site } from './rowwise';

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
  /** Bends the scores; 0: no cap. */
  softcap?: number;
  /** Keys that a query sees; 0: all. */
  window?: number;
  hook: string;
}

const heads = (call: AttentionShape): Record<string, string | number> => ({
  HEADS: `${call.heads}u`,
  KV: `${call.kvHeads}u`,
  GROUP: `${call.heads / call.kvHeads}u`,
  CAP: call.softcap ? wgslFloat(call.softcap) : 0,
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
    params: [call.rows, call.second, call.cap, f32bits(call.scale), call.window ?? 0],
    groups: serial ? threads(call.rows * call.heads) : [call.heads, call.rows, 1],
    hook: call.hook,
    bytes: 8 * call.rows * call.heads * call.dHeadPadded + 8 * call.rows * call.kvHeads * call.dHeadPadded * call.length,
    flops: 4 * call.rows * call.heads * call.dHeadPadded * call.length,
  };
}

export interface OpenSites {
  scores: Site;
  pattern: Site;
}

/** Scores and pattern in buffers of their own, edits applied on the way. */
/** `serial`: a thread a row and head, without barriers. */
export function openAttention(call: AttentionShape & { q: string; keys: number; sites: OpenSites; serial?: boolean }): Dispatch {
  const { sites } = call;
  return {
    op: 'dispatch',
    kernel: 'attention',
    variant: call.serial ? 'open, serial' : 'open',
    file: 'attention-open',
    defines: { ...heads(call), D4: `${call.dHeadPadded / 4}u`, SERIAL: call.serial ? 1 : 0 },
    constants: {},
    bind: [call.q, call.kv, 'rows', 'scores', 'pattern', 'z', 'edits'].map((buffer) => ({ buffer })),
    params: [
      call.keys,
      call.second,
      call.cap,
      f32bits(call.scale),
      sites.scores.first,
      sites.scores.count,
      sites.pattern.first,
      sites.pattern.count,
      call.window ?? 0,
      call.rows,
    ],
    groups: call.serial ? threads(call.rows * call.heads) : [call.heads, call.rows, 1],
    hook: call.hook,
    flops: 4 * call.rows * call.heads * call.dHeadPadded * call.keys,
    bytes: 8 * call.rows * call.heads * call.keys + 8 * call.rows * call.kvHeads * call.dHeadPadded * call.keys,
  };
}
