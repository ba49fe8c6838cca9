/**
 * How large each named scratch buffer must be, from the operations that use it: only what a plan binds is allocated.
 */
import type { Op, Pool } from '../gpu/commands';
import type { Planner, CacheShape } from './plan';
import { kvHalfWords } from './plan';

export interface ScratchShape {
  rows: number;
  keys: number;
  cache: CacheShape;
  /** Rows of logits at once. */
  logits: number;
  /** Words of distribution results. */
  results: number;
}

/** Buffers that operations name. */
export function buffersOf(ops: readonly Op[]): Set<string> {
  const used = new Set<string>();
  for (const op of ops) {
    if (op.op === 'copy') used.add(op.from).add(op.to);
    else for (const bind of op.bind) if (bind) used.add(bind.buffer);
  }
  return used;
}

/** Bytes of each that is scratch. */
export function scratchBytes(planner: Planner, shape: ScratchShape, ops: readonly Op[]): Map<string, number> {
  const { layout, spec } = planner;
  const { rows } = shape;
  const kvRow = spec.kvHeads * layout.dHead;
  const words: Record<string, number> = {
    rows: rows * 8,
    resid: rows * layout.dModel,
    xn: rows * layout.dModel,
    part: rows * layout.dModel,
    branch: rows * layout.dModel,
    normalized: rows * layout.dModel,
    scale: rows,
    q: rows * layout.dHeads,
    turned: rows * (layout.dHeads + kvRow),
    z: rows * layout.dHeads,
    lse: rows * spec.heads,
    kvraw: 2 * rows * kvRow,
    scores: rows * spec.heads * shape.keys,
    pattern: rows * spec.heads * shape.keys,
    pre: rows * layout.dMlp * (spec.mlp.gated ? 2 : 1),
    post: rows * layout.dMlp,
    final: shape.logits * layout.dModel,
    fn: shape.logits * layout.dModel,
    logits: shape.logits * layout.vocab,
    reference: shape.logits * layout.vocab,
    dist: shape.results,
  };
  const out = new Map<string, number>();
  for (const name of buffersOf(ops)) {
    const size = words[name];
    if (size !== undefined) out.set(name, 4 * size);
    else if (/^kv(\.\d+)?$/.test(name)) out.set(name, 8 * kvHalfWords(shape.cache, spec, layout));
  }
  return out;
}

/** `shared`: buffers that a parent of the pool holds already. */
export function allocate(
  planner: Planner,
  shape: ScratchShape,
  ops: readonly Op[],
  pool: Pool,
  shared: (name: string) => boolean = () => false,
): void {
  for (const [name, bytes] of scratchBytes(planner, shape, ops)) if (!shared(name)) pool.need(name, bytes);
}
