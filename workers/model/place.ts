/**
 * Where a checkpoint's tensor goes in the engine's weights: which matrix or vector, from which row, in which order. Gate and
 * up rows are stored side by side, and so are the two halves that a rotation turns, so that one thread holds both.
 */
import type { RowMap } from '../kernels/repack';
import type { Place } from './family';
import { rotaryDims, type ModelSpec } from './spec';

export interface Placement {
  /** Name in the weight table; the position table, “pos”, lies outside it. */
  name: string;
  vector: boolean;
  base: number;
  map: RowMap;
}

const PLAIN: RowMap = { kind: 'plain', phase: 0, head: 1, rot: 0, limit: 0 };

export function placementOf(place: Place, spec: ModelSpec): Placement {
  const vector = 'vector' in place;
  const what = vector ? place.vector : place.matrix;
  const name = 'layer' in place ? `blocks.${place.layer}.${what}` : what;
  const { heads, kvHeads, dHead, dMlp } = spec;
  const rot = rotaryDims(spec);
  const turned = (rows: number): RowMap => (rot > 0 ? { ...PLAIN, kind: 'rotated', head: dHead, rot, limit: rows } : PLAIN);
  const at = (base: number, map: RowMap): Placement => ({ name, vector, base, map });
  switch ('part' in place ? place.part : undefined) {
    case 'q':
      return at(0, turned(heads * dHead));
    case 'k':
      return at(heads * dHead, turned(kvHeads * dHead));
    case 'v':
      return at((heads + kvHeads) * dHead, PLAIN);
    case 'qkv':
      return at(0, turned((heads + kvHeads) * dHead));
    case 'heads':
      return at(0, { ...PLAIN, kind: 'heads', head: dHead, rot, limit: heads * dHead });
    case 'gate':
      return at(0, { ...PLAIN, kind: 'interleaved', phase: 0 });
    case 'up':
      return at(0, { ...PLAIN, kind: 'interleaved', phase: 1 });
    case 'gate-up':
      return at(0, { ...PLAIN, kind: 'halves', limit: dMlp });
    default:
      return at(0, PLAIN);
  }
}

/** Row o of a tensor, in the engine's order (before `base`); the same map as shaders/repack.wgsl. */
export function rowOf(map: RowMap, o: number): number {
  const { kind, phase, head, limit } = map;
  const i = o % head;
  switch (kind) {
    case 'interleaved':
      return 2 * o + phase;
    case 'rotated':
      return o < limit ? o - i + turn(map, i) : o;
    case 'halves':
      return o < limit ? 2 * o : 2 * (o - limit) + 1;
    case 'heads': {
      const part = Math.floor(o / head) % 3;
      return part * limit + Math.floor(o / (3 * head)) * head + (part < 2 ? turn(map, i) : i);
    }
    default:
      return o;
  }
}

function turn({ rot }: RowMap, i: number): number {
  const half = rot / 2;
  return i < half ? 2 * i : i < rot ? 2 * (i - half) + 1 : i;
}
