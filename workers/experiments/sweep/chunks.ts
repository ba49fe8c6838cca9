/**
 * Cells into chunks that fit: in memory, in a binding, and in a time after which others have their turn. Pure; what a chunk costs is told before it is run.
 * A cell that enters at layer l with rows from position p on computes (L − l)(T − p) of the L·T rows of a whole run.
 */
import { SCORED_ROWS } from '../../kernels/metric';
import type { Layout } from '../../model/layout';
import type { ModelSpec } from '../../model/spec';

/** A cell as a sequence: where it enters, and its first computed position. */
export interface Entry {
  layer: number;
  from: number;
}

export interface Limits {
  /** Bytes of one binding, and of a chunk's buffers together. */
  binding: number;
  bytes: number;
  /** Cost (pace.ts) of a whole chunk. */
  chunk: number;
}

export interface Shape {
  spec: ModelSpec;
  layout: Layout;
  tokens: number;
  /** Scores and patterns are written. */
  open: boolean;
}

/** However slow the device is, a chunk may have so many rows of a whole run: kernels compute rows in blocks, and the last block of a chunk is seldom full. */
const LEAST = 32;
/** Chunks that are still looked at for room. */
const OPEN = 64;

/** Numbers of all weights that one row of one layer meets, and of the head. */
function widths({ spec, layout }: Shape): { layer: number; head: number } {
  const { dModel, dMlp, dHeads, dHead, vocab } = layout;
  const up = dMlp * (spec.mlp.gated ? 2 : 1);
  const matrices = [dModel * (dHeads + 2 * spec.kvHeads * dHead), dHeads * dModel, dModel * up, dMlp * dModel];
  return { layer: matrices.reduce((a, b) => a + b, 0), head: dModel * vocab };
}

const rowsOf = ({ tokens }: Shape, { from }: Entry): number => tokens - from;
export const rowLayers = (shape: Shape, entry: Entry): number => (shape.spec.layers - entry.layer) * rowsOf(shape, entry);

/** Cost of computing so many rows of layers, and of reading so many rows out. Weights are read once a chunk besides. */
export function costOf(shape: Shape, layers: number, read: number): number {
  const { layer, head } = widths(shape);
  return 2 * (layers * layer + read * head);
}

/** Bytes of buffers that `rows` rows of `cells` sequences need at once. */
export function bytesOf(shape: Shape, rows: number, cells: number): { all: number; largest: number } {
  const { spec, layout, tokens, open } = shape;
  const { dModel, dMlp, dHeads, dHead, vocab } = layout;
  const kv = 2 * (cells + 1) * spec.kvHeads * tokens * dHead;
  const scores = open ? rows * spec.heads * tokens : 0;
  const up = rows * dMlp * (spec.mlp.gated ? 2 : 1);
  const logits = Math.min(cells, SCORED_ROWS) * vocab;
  const words = rows * (5 * dModel + 3 * dHeads + 4 * spec.kvHeads * dHead + dMlp) + up + kv + 2 * scores + logits;
  return { all: 4 * words, largest: 4 * Math.max(kv, scores, up, rows * dHeads) };
}

interface Chunk<T> {
  cells: T[];
  rows: number;
  layers: number;
}

/**
 * Cells into chunks: in the order of the layers that they enter at, since rows of one chunk that enter late wait for those that enter early, and the longest of a layer
 * first, each into the first chunk that has room for it.
 */
export function chunksOf<T extends Entry>(shape: Shape, entries: readonly T[], limits: Limits): T[][] {
  const sorted = [...entries].sort((a, b) => a.layer - b.layer || a.from - b.from);
  const most = Math.max(limits.chunk, costOf(shape, LEAST * shape.spec.layers, LEAST));
  const fits = ({ cells, rows, layers }: Chunk<T>, entry: T): boolean => {
    const more = rows + rowsOf(shape, entry);
    const { all, largest } = bytesOf(shape, more, cells.length + 1);
    const cost = costOf(shape, layers + rowLayers(shape, entry), cells.length + 1);
    return more <= 65535 && all <= limits.bytes && largest <= limits.binding && cost <= most;
  };
  const chunks: Chunk<T>[] = [];
  for (const entry of sorted) {
    let chunk = chunks.slice(-OPEN).find((each) => fits(each, entry));
    if (!chunk) chunks.push((chunk = { cells: [], rows: 0, layers: 0 }));
    chunk.cells.push(entry);
    chunk.rows += rowsOf(shape, entry);
    chunk.layers += rowLayers(shape, entry);
  }
  return chunks.map(({ cells }) => cells);
}

/** Two whole runs a pair. */
export const baselineRows = ({ spec, tokens }: Shape): number => 2 * spec.layers * tokens;
