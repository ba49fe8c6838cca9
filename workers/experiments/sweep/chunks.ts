/**
 * Cells into chunks that fit: in memory, in a binding, and in a time after which others have their turn. Pure; what a chunk costs is told before it is run.
 * A cell that enters at layer l with rows from position p on computes (L − l)(T − p) of the L·T rows of a whole run.
 */
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
  /** Cost (pace.ts) of one dispatch, and of a whole chunk. */
  dispatch: number;
  chunk: number;
}

export interface Shape {
  spec: ModelSpec;
  layout: Layout;
  tokens: number;
  /** Scores and patterns are written. */
  open: boolean;
}

/** Numbers of all weights that one row of one layer meets, of the largest matrix among them, and of the head. */
function widths({ spec, layout }: Shape): { layer: number; largest: number; head: number } {
  const { dModel, dMlp, dHeads, dHead, vocab } = layout;
  const up = dMlp * (spec.mlp.gated ? 2 : 1);
  const matrices = [dModel * (dHeads + 2 * spec.kvHeads * dHead), dHeads * dModel, dModel * up, dMlp * dModel];
  return { layer: matrices.reduce((a, b) => a + b, 0), largest: Math.max(...matrices), head: dModel * vocab };
}

const rowsOf = ({ tokens }: Shape, { from }: Entry): number => tokens - from;
export const rowLayers = (shape: Shape, entry: Entry): number => (shape.spec.layers - entry.layer) * rowsOf(shape, entry);

/** Cost of computing so many rows of layers, and of reading so many rows out. Weights are read once a chunk besides. */
export function costOf(shape: Shape, layers: number, read: number): number {
  const { layer, head } = widths(shape);
  return 2 * (layers * layer + read * head);
}

/** Rows that one dispatch may compute, and rows of logits at once, within a cost. */
export function rowsWithin(shape: Shape, dispatch: number): { rows: number; logits: number } {
  const { largest, head } = widths(shape);
  return { rows: Math.max(1, Math.floor(dispatch / (2 * largest))), logits: Math.max(1, Math.floor(dispatch / (2 * head))) };
}

/** Bytes of buffers that `rows` rows of `cells` sequences need at once. */
export function bytesOf(shape: Shape, rows: number, cells: number): { all: number; largest: number } {
  const { spec, layout, tokens, open } = shape;
  const { dModel, dMlp, dHeads, dHead, vocab } = layout;
  const kv = 2 * (cells + 1) * spec.kvHeads * tokens * dHead;
  const scores = open ? rows * spec.heads * tokens : 0;
  const up = rows * dMlp * (spec.mlp.gated ? 2 : 1);
  const logits = Math.min(cells, 64) * vocab;
  const words = rows * (5 * dModel + 3 * dHeads + 4 * spec.kvHeads * dHead + dMlp) + up + kv + 2 * scores + logits;
  return { all: 4 * words, largest: 4 * Math.max(kv, scores, up, rows * dHeads) };
}

/** Cells, in the order of the layers that they enter at, into chunks. */
export function chunksOf<T extends Entry>(shape: Shape, entries: readonly T[], limits: Limits): T[][] {
  const sorted = [...entries].sort((a, b) => a.layer - b.layer || a.from - b.from);
  const most = rowsWithin(shape, limits.dispatch).rows;
  const chunks: T[][] = [];
  let chunk: T[] = [];
  let [rows, layers] = [0, 0];
  for (const entry of sorted) {
    const more = rows + rowsOf(shape, entry);
    const { all, largest } = bytesOf(shape, more, chunk.length + 1);
    const cost = costOf(shape, layers + rowLayers(shape, entry), chunk.length + 1);
    const full = more > most || more > 65535 || all > limits.bytes || largest > limits.binding || cost > limits.chunk;
    if (chunk.length > 0 && full) {
      chunks.push(chunk);
      chunk = [];
      [rows, layers] = [0, 0];
    }
    chunk.push(entry);
    rows += rowsOf(shape, entry);
    layers += rowLayers(shape, entry);
  }
  if (chunk.length > 0) chunks.push(chunk);
  return chunks;
}

/** Two whole runs a pair. */
export const baselineRows = ({ spec, tokens }: Shape): number => 2 * spec.layers * tokens;
