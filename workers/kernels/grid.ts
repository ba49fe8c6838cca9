/** Grids: no more than 65,535 workgroups a dimension on any device. */
const MOST = 65535;

/** n workgroups over x and z; a kernel counts them as z·65535 + x. */
export function spread(n: number): [number, number, number] {
  return n <= MOST ? [n, 1, 1] : [MOST, 1, Math.ceil(n / MOST)];
}

export const threads = (n: number): [number, number, number] => [Math.ceil(n / 64), 1, 1];
