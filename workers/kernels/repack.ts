/** A piece of a stored tensor, from the staging buffer into one piece of an engine matrix. */
import type { Dispatch } from '../gpu/commands';

/** Where a tensor's row goes among its matrix's rows; the words are explained in shaders/repack.wgsl. */
export interface RowMap {
  kind: 'plain' | 'interleaved' | 'rotated' | 'halves' | 'heads';
  /** Interleaved: 0 for gate, 1 for up. */
  phase: number;
  head: number;
  rot: number;
  limit: number;
}
const KINDS: readonly RowMap['kind'][] = ['plain', 'interleaved', 'rotated', 'halves', 'heads'];

export interface Repack {
  from: 'f32' | 'f16' | 'bf16';
  to: 'f32' | 'f16' | 'bf16';
  rows: number;
  o0: number;
  so: number;
  i0: number;
  si: number;
  inEnd: number;
  inBlock: number;
  outBlock: number;
  j0: number;
  cols4: number;
  width4: number;
  base: number;
  map: RowMap;
  piece: { buffer: string; row0: number; rows: number };
}

export function repack(call: Repack): Dispatch {
  const groups = Math.ceil((call.rows * call.cols4) / 64);
  const x = Math.min(groups, 65535);
  return {
    op: 'dispatch',
    kernel: 'repack',
    variant: 'thread',
    file: 'repack',
    defines: { FROM: call.from, TO: call.to },
    constants: {},
    bind: [{ buffer: 'staging' }, { buffer: call.piece.buffer }],
    params: [
      call.rows,
      call.o0,
      call.so,
      call.i0,
      call.si,
      call.inEnd,
      call.inBlock,
      call.outBlock,
      call.j0,
      call.cols4,
      call.width4,
      call.base,
      KINDS.indexOf(call.map.kind),
      call.map.phase,
      call.map.head,
      call.map.rot,
      call.piece.row0,
      call.piece.rows,
      call.map.limit,
    ],
    groups: [x, Math.ceil(groups / x), 1],
    bytes: 8 * call.rows * call.cols4 * 4,
  };
}
