/** Tokens to the residual stream: W_E, or its sum with W_pos. */
import { f32bits, type Dispatch } from '../gpu/commands';
import { LabError } from '../errors';
import { spread } from './grid';
import type { WeightMatrix } from './linear';

/** A table in more buffers than this cannot be bound at once beside the rest. */
const MOST_PIECES = 4;

export interface EmbedCall {
  rows: number;
  table: WeightMatrix;
  /** What the embedding is multiplied by. */
  scale?: number;
  pos?: { context: number };
  d: number;
  y: string;
  vocab: number;
  hook: string;
}

export function embed(call: EmbedCall): Dispatch {
  const { pieces } = call.table;
  if (pieces.length > MOST_PIECES)
    throw new LabError(
      'gpu-out-of-memory',
      `The embedding needs ${pieces.length} buffers on this device; Loupe binds at most ${MOST_PIECES}.`,
      'Use a smaller model or 16-bit weights.',
    );
  return {
    op: 'dispatch',
    kernel: 'embed',
    variant: 'thread',
    file: 'embed',
    defines: {
      DTYPE: call.table.dtype,
      PIECES: pieces.length,
      POS: call.pos ? 1 : 0,
      POSAT: 2 + pieces.length,
      PARAMSAT: 2 + pieces.length + (call.pos ? 1 : 0),
    },
    constants: { D4: call.d / 4 },
    bind: [{ buffer: 'rows' }, { buffer: call.y }, ...pieces.map(({ buffer }) => ({ buffer })), ...(call.pos ? [{ buffer: 'w.pos' }] : [])],
    params: [call.rows, pieces[0]?.rows ?? 1, call.vocab, call.pos?.context ?? 1, f32bits(call.scale ?? 1), 0, 0, 0],
    groups: spread(Math.ceil((call.rows * call.d) / 4 / 64)),
    hook: call.hook,
    bytes: 8 * call.rows * call.d,
  };
}
