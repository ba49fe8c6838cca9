/**
 * Views of memory made plain: what NumPy calls Fortran order and PyTorch a transposed, sliced or expanded tensor comes out row-major.
 * Strides count elements and are never negative; the bytes begin at the view's first element.
 */

export const rowMajor = (shape: readonly number[]): number[] => {
  const strides = new Array<number>(shape.length).fill(1);
  for (let i = shape.length - 2; i >= 0; i--) strides[i] = (strides[i + 1] ?? 1) * (shape[i + 1] ?? 1);
  return strides;
};

export const columnMajor = (shape: readonly number[]): number[] => rowMajor([...shape].reverse()).reverse();

/** Elements of a shape; 0 where one axis is, however long the others. */
export const count = (shape: readonly number[]): number => (shape.includes(0) ? 0 : shape.reduce((product, n) => product * n, 1));

/** Does the view lie in memory as it is read? The stride of an axis of one does not matter. */
export function isRowMajor(shape: readonly number[], strides: readonly number[]): boolean {
  const plain = rowMajor(shape);
  return shape.includes(0) || shape.every((n, i) => n === 1 || strides[i] === plain[i]);
}

/** Elements from the first to one past the last that the view touches. */
export const reach = (shape: readonly number[], strides: readonly number[]): number =>
  shape.includes(0) ? 0 : shape.reduce((sum, n, i) => sum + (n - 1) * (strides[i] ?? 0), 1);

/** Copies a view of elements of `size` bytes (1, 2, 4 or 8) from `bytes`, which lie at an aligned place, into `out`. */
export function gather(
  bytes: Uint8Array<ArrayBuffer>,
  size: number,
  shape: readonly number[],
  strides: readonly number[],
  out: Uint8Array<ArrayBuffer>,
): void {
  // Eight bytes are two words side by side, so that no float is touched as a number.
  const [dims, steps] =
    size === 8
      ? [
          [...shape, 2],
          [...strides.map((stride) => 2 * stride), 1],
        ]
      : [[...shape], [...strides]];
  const Words = size === 1 ? Uint8Array : size === 2 ? Uint16Array : Uint32Array;
  const width = Words.BYTES_PER_ELEMENT;
  const from = new Words(bytes.buffer, bytes.byteOffset, Math.floor(bytes.length / width));
  const to = new Words(out.buffer, out.byteOffset, out.length / width);
  const [inner, step] = [dims.pop() ?? 1, steps.pop() ?? 0];
  const index = new Array<number>(dims.length).fill(0);
  for (let at = 0, base = 0; at < to.length;) {
    for (let i = 0, source = base; i < inner; i++, source += step) to[at++] = from[source] ?? 0;
    for (let d = dims.length - 1; d >= 0; d--) {
      const stride = steps[d] ?? 0;
      const next = (index[d] ?? 0) + 1;
      base += stride;
      if (next < (dims[d] ?? 0)) {
        index[d] = next;
        break;
      }
      base -= stride * next;
      index[d] = 0;
    }
  }
}
