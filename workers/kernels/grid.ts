/** How work and weights are cut to fit a device: workgroups, padding, pieces of a matrix that is larger than a binding. */
export const pad4 = (n: number): number => Math.ceil(n / 4) * 4;

export interface Piece {
  /** The buffer's name in the pool. */
  buffer: string;
  row0: number;
  rows: number;
}

/** The rows of a matrix in buffers of at most `limit` bytes, an even number of rows each: projections write two outputs at a time. */
export function pieces(name: string, rows: number, rowBytes: number, limit: number): Piece[] {
  const most = Math.max(2, Math.floor(limit / rowBytes / 2) * 2);
  return Array.from({ length: Math.ceil(rows / most) }, (_, i) => ({
    buffer: `${name}#${i}`,
    row0: i * most,
    rows: Math.min(most, rows - i * most),
  }));
}

/** No more than 65,535 workgroups a dimension on any device. */
const MOST = 65535;

/** n workgroups over x and z; a kernel counts them as z·65535 + x. */
export function spread(n: number): [number, number, number] {
  return n <= MOST ? [n, 1, 1] : [MOST, 1, Math.ceil(n / MOST)];
}

export const threads = (n: number): [number, number, number] => [Math.ceil(n / 64), 1, 1];
