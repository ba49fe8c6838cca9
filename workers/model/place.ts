/**
 * Where a checkpoint's tensor goes in the engine's weights: which matrix or vector, from which row, in which order. Gate and
 * up rows are stored side by side, and so are the two halves that a rotation turns, so that one thread holds both.
 */
import type { Place } from './family';
import type { ModelSpec } from './spec';

export interface RowMap {
  kind: 'plain' | 'interleaved' | 'rotated';
  /** Interleaved: 0 for gate, 1 for up. */
  phase: number;
  head: number;
  rot: number;
}
export interface Placement {
  /** Name in the weight table; undefined for the position table. */
  name: string;
  vector: boolean;
  base: number;
  map: RowMap;
}

const PLAIN: RowMap = { kind: 'plain', phase: 0, head: 1, rot: 0 };

export function placementOf(place: Place, spec: ModelSpec): Placement {
  const vector = 'vector' in place;
  const what = vector ? place.vector : place.matrix;
  const name = 'layer' in place ? `blocks.${place.layer}.${what}` : what;
  const part = 'part' in place ? place.part : undefined;
  const { heads, kvHeads, dHead, positions } = spec;
  const rotated: RowMap = positions.kind === 'rotary' ? { kind: 'rotated', phase: 0, head: dHead, rot: positions.dims } : PLAIN;
  switch (part) {
    case 'q':
      return { name, vector, base: 0, map: rotated };
    case 'k':
      return { name, vector, base: heads * dHead, map: rotated };
    case 'v':
      return { name, vector, base: (heads + kvHeads) * dHead, map: PLAIN };
    case 'gate':
      return { name, vector, base: 0, map: { ...PLAIN, kind: 'interleaved', phase: 0 } };
    case 'up':
      return { name, vector, base: 0, map: { ...PLAIN, kind: 'interleaved', phase: 1 } };
    default:
      return { name, vector, base: 0, map: PLAIN };
  }
}

/** Row o of a tensor, in the engine's order (before `base`); the same map as shaders/repack.wgsl. */
export function rowOf(map: RowMap, o: number): number {
  if (map.kind === 'interleaved') return 2 * o + map.phase;
  if (map.kind === 'rotated') {
    const h = Math.floor(o / map.head);
    const i = o % map.head;
    const half = map.rot / 2;
    if (i < half) return h * map.head + 2 * i;
    if (i < map.rot) return h * map.head + 2 * (i - half) + 1;
  }
  return o;
}
