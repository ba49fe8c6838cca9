/** Numbers that lie on the GPU, read back: whole stretches of buffers, rows of matrices. */
import { Program, type Op } from '../gpu/commands';
import { asFloats } from '../gpu/stored';
import type { WeightMatrix } from '../kernels/linear';
import { Readback } from './readback';
import type { Runtime } from './runtime';

/** Rows of matrices as f32, padded as they lie. */
export async function rows(model: Runtime, wanted: readonly { matrix: WeightMatrix; row: number }[]): Promise<Float32Array<ArrayBuffer>[]> {
  const places = wanted.map(({ matrix, row }) => {
    const size = matrix.dtype === 'f32' ? 4 : 2;
    const piece = matrix.pieces.find(({ row0, rows: count }) => row >= row0 && row < row0 + count);
    const words = (matrix.k * size) / 4;
    return { buffer: piece?.buffer ?? '', words, from: (row - (piece?.row0 ?? 0)) * words };
  });
  const found = await read(model, [], places);
  return found.map((raw, i) => {
    const dtype = wanted[i]?.matrix.dtype;
    return asFloats(
      new Uint8Array(raw.buffer, raw.byteOffset, raw.byteLength),
      dtype === 'f16' ? 'F16' : dtype === 'bf16' ? 'BF16' : 'F32',
    );
  });
}

/** Runs the operations, then reads words [from, from + words) of buffers. */
export async function read(
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
