/** X·Yᵀ of numbers that are on the host, on the GPU: for questions about weights and streams that are too large for the host and belong to no run. */
import { pad4 } from '../kernels/grid';
import { linear } from '../kernels/linear';
import type { Runtime } from './runtime';
import { readWords } from './weight-words';

/** X [rows][k] times Y [n][k], transposed: [rows][n], f32. */
export async function product(model: Runtime, x: ArrayLike<number>, y: ArrayLike<number>, k: number): Promise<Float32Array> {
  const { gpu, planner, scratch: pool } = model;
  const [rows, n, width] = [x.length / k, y.length / k, pad4(k)];
  const stride = pad4(n);
  gpu.write(pool.need('product.x', 4 * rows * width), 0, padded(x, k, width));
  gpu.write(pool.need('product.y', 4 * n * width), 0, padded(y, k, width));
  pool.need('product.out', 4 * rows * stride);
  const ops = linear({
    name: 'product',
    x: 'product.x',
    rows,
    weights: { n, k: width, dtype: 'f32', pieces: [{ buffer: 'product.y', row0: 0, rows: n }] },
    epilogue: { kind: 'plain' },
    y: 'product.out',
    yStride: stride,
    variants: planner.variants,
  });
  const [found = new Float32Array(0)] = await readWords(model, ops, [{ buffer: 'product.out', words: rows * stride }]);
  if (stride === n) return found;
  const out = new Float32Array(rows * n);
  for (let r = 0; r < rows; r++) out.set(found.subarray(r * stride, r * stride + n), r * n);
  return out;
}

function padded(x: ArrayLike<number>, k: number, width: number): Float32Array<ArrayBuffer> {
  if (k === width) return Float32Array.from(x);
  const rows = x.length / k;
  const out = new Float32Array(rows * width);
  for (let r = 0; r < rows; r++) for (let i = 0; i < k; i++) out[r * width + i] = x[r * k + i] ?? 0;
  return out;
}
