/** Tokens to the residual stream: W_E, or its sum with W_pos. */
import { f32bits, type Dispatch } from '../gpu/commands';
import { spread } from './grid';
import type { WeightMatrix } from './linear';

/** So many buffers of a table are bound at once beside the rest; one in more takes a dispatch for each so many. */
const AT_ONCE = 4;

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

export function embed(call: EmbedCall): Dispatch[] {
  const { pieces, dtype } = call.table;
  const dispatches: Dispatch[] = [];
  for (let at = 0; at < pieces.length; at += AT_ONCE) {
    const some = pieces.slice(at, at + AT_ONCE);
    dispatches.push({
      op: 'dispatch',
      kernel: 'embed',
      variant: 'thread',
      file: 'embed',
      defines: {
        DTYPE: dtype,
        PIECES: some.length,
        POS: call.pos ? 1 : 0,
        POSAT: 2 + some.length,
        PARAMSAT: 2 + some.length + (call.pos ? 1 : 0),
      },
      constants: {},
      bind: [{ buffer: 'rows' }, { buffer: call.y }, ...some.map(({ buffer }) => ({ buffer })), ...(call.pos ? [{ buffer: 'w.pos' }] : [])],
      params: [
        call.rows,
        some[0]?.rows ?? 1,
        call.vocab,
        call.pos?.context ?? 1,
        f32bits(call.scale ?? 1),
        some[0]?.row0 ?? 0,
        call.d / 4,
        0,
      ],
      groups: spread(Math.ceil((call.rows * call.d) / 4 / 64)),
      hook: call.hook,
      bytes: 8 * call.rows * call.d,
    });
  }
  return dispatches;
}
