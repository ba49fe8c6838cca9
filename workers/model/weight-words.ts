/**
 * Weights read back: rows of matrices as numbers, stretches of buffers after some operations, norms' gains. For questions about weights
 * alone, which need no run.
 */
import { Program, type Op } from '../gpu/commands';
import { asFloats } from '../gpu/stored';
import type { WeightMatrix } from '../kernels/linear';
import { Readback } from './readback';
import type { Runtime } from './runtime';

/** A norm's gain by its name, [d_model]; ones where the model has none of this name. */
export async function normGains(model: Runtime, name: string): Promise<Float32Array> {
  const { planner, spec } = model;
  const at = planner.weights.vectors.get(name);
  if (at === undefined) return new Float32Array(spec.dModel).fill(1);
  const [gains] = await readWords(model, [], [{ buffer: 'vecs', words: spec.dModel, from: at }]);
  return gains ?? new Float32Array(0);
}

/** The gain of the norm between a branch's inside (hook_z, hook_post) and the stream, by name; most models have none. */
export function gainAfter(hook: string): string {
  const [, block, branch] = /^(blocks\.\d+)\.(attn\.hook_z|mlp\.hook_post)$/.exec(hook) ?? [];
  return `${block}.${branch === 'attn.hook_z' ? 'ln1_post' : 'ln2_post'}.w`;
}

/** Rows of matrices as f32, padded as they lie. */
export async function readMatrixRows(
  model: Runtime,
  wanted: readonly { matrix: WeightMatrix; row: number }[],
): Promise<Float32Array<ArrayBuffer>[]> {
  const places = wanted.map(({ matrix, row }) => {
    const words = wordsOf(matrix);
    const piece = matrix.pieces.find(({ row0, rows: count }) => row >= row0 && row < row0 + count);
    return { buffer: piece?.buffer ?? '', words, from: (row - (piece?.row0 ?? 0)) * words };
  });
  const found = await readWords(model, [], places);
  return found.map((raw, i) => numbersOf(wanted[i]?.matrix.dtype ?? 'f32', raw));
}

/** Bytes of a matrix that are read back at once. */
const STRETCH = 8 << 20;

/** A whole matrix, stretch by stretch: `each` sees [rows][k] from row `row0` on, padded as they lie. */
export async function eachStretch(
  model: Runtime,
  matrix: WeightMatrix,
  each: (row0: number, numbers: Float32Array) => void,
  stop?: () => void,
): Promise<void> {
  const words = wordsOf(matrix);
  const many = Math.max(1, Math.floor(STRETCH / (4 * words)));
  for (const { buffer, row0, rows } of matrix.pieces)
    for (let at = 0; at < rows; at += many) {
      stop?.();
      const [raw] = await readWords(model, [], [{ buffer, words: Math.min(many, rows - at) * words, from: at * words }]);
      if (raw) each(row0 + at, numbersOf(matrix.dtype, raw));
    }
}

const wordsOf = ({ k, dtype }: WeightMatrix): number => (k * (dtype === 'f32' ? 4 : 2)) / 4;
const numbersOf = (dtype: WeightMatrix['dtype'], raw: Float32Array<ArrayBuffer>): Float32Array<ArrayBuffer> =>
  asFloats(new Uint8Array(raw.buffer, raw.byteOffset, raw.byteLength), dtype === 'f16' ? 'F16' : dtype === 'bf16' ? 'BF16' : 'F32');

/** Runs the operations, then reads words [from, from + words) of buffers. */
export async function readWords(
  model: Runtime,
  ops: readonly Op[],
  places: readonly { buffer: string; words: number; from?: number }[],
): Promise<Float32Array<ArrayBuffer>[]> {
  const { gpu, scratch: pool } = model;
  const readback = new Readback(gpu.limits.maxBufferSize);
  const copies = places.map(({ buffer, words, from = 0 }, i): Op => {
    const { to, offset } = readback.reserve(String(i), 4 * words);
    return { op: 'copy', from: buffer, fromOffset: 4 * from, to, toOffset: offset, bytes: 4 * words };
  });
  let program: Program | undefined;
  try {
    readback.allocate(gpu, pool);
    program = await Program.prepare(gpu, [...ops, ...copies], pool);
    program.run();
    const bytes = await readback.read(gpu);
    return places.map((_, i) => new Float32Array(bytes(String(i))));
  } finally {
    program?.free();
    readback.free(gpu);
  }
}
