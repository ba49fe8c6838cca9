/**
 * Products of thin matrices without forming them. A head's circuits are d_model × d_model and of rank d_head: everything that is asked of them is a question about d_head × d_head matrices once the thin
 * factors are taken apart (A = Q·R with orthonormal Q):
 *
 *   Aᵀ·B = Q_A (R_A R_Bᵀ) Q_Bᵀ      so its singular values are those of R_A·R_Bᵀ, its directions Q·U and Q·V
 *   ‖X·A‖_F = ‖X·R_Aᵀ‖_F where A = R_A-compressed rows: any R with RᵀR = A·Aᵀ will do (a Cholesky factor)
 * Matrices are row-major Float64Arrays; a thin one is [d_head][d_model].
 */
import { EigenvalueDecomposition, Matrix, QrDecomposition, SingularValueDecomposition } from 'ml-matrix';

export interface Singular {
  /** Largest first. */
  values: number[];
  /** Of AᵀB's rows and columns, each [d_model], of length 1. */
  left: Float64Array[];
  right: Float64Array[];
}

/** Singular values of Aᵀ·B, and its first `top` pairs of directions. A and B are [rank][width]. */
export function singularOf(a: Float64Array, b: Float64Array, width: number, top: number): Singular {
  const rank = a.length / width;
  const [qa, qb] = [thinQr(a, rank, width), thinQr(b, rank, width)];
  const svd = new SingularValueDecomposition(qa.r.mmul(qb.r.transpose()), { autoTranspose: true });
  const many = Math.min(top, rank);
  const directions = (q: Matrix, vectors: Matrix): Float64Array[] => {
    const out = q.mmul(vectors);
    return Array.from({ length: many }, (_, i) => Float64Array.from(out.getColumn(i)));
  };
  return {
    values: svd.diagonal,
    left: directions(qa.q, svd.leftSingularVectors),
    right: directions(qb.q, svd.rightSingularVectors),
  };
}

/** Aᵀ = Q·R of thin rows A. */
function thinQr(a: Float64Array, rank: number, width: number): { q: Matrix; r: Matrix } {
  // More rows than columns are needed: a width below the rank is padded with zeros.
  const tall = Math.max(rank, width);
  const columns = new Matrix(tall, rank);
  for (let i = 0; i < rank; i++) for (let j = 0; j < width; j++) columns.set(j, i, a[i * width + j] ?? 0);
  const qr = new QrDecomposition(columns);
  const q = qr.orthogonalMatrix;
  return { q: tall === width ? q : q.subMatrix(0, width - 1, 0, rank - 1), r: qr.upperTriangularMatrix };
}

/** Σ Re λ and Σ |λ| over the eigenvalues of a square matrix. */
export function eigenSums(matrix: Float64Array, size: number): { sum: number; magnitude: number } {
  const { realEigenvalues, imaginaryEigenvalues } = new EigenvalueDecomposition(Matrix.from1DArray(size, size, matrix), {
    assumeSymmetric: false,
  });
  return {
    sum: realEigenvalues.reduce((total, each) => total + each, 0),
    magnitude: realEigenvalues.reduce((total, each, i) => total + Math.hypot(each, imaginaryEigenvalues[i] ?? 0), 0),
  };
}

/** A·Aᵀ of thin rows: [rank][rank]. */
export function gram(a: Float64Array, width: number): Float64Array {
  const rank = a.length / width;
  const out = new Float64Array(rank * rank);
  for (let i = 0; i < rank; i++)
    for (let j = 0; j <= i; j++) {
      let sum = 0;
      for (let k = 0; k < width; k++) sum += (a[i * width + k] ?? 0) * (a[j * width + k] ?? 0);
      out[i * rank + j] = out[j * rank + i] = sum;
    }
  return out;
}

/** Upper R with RᵀR = G, of a symmetric G without negative directions. Where a pivot is nothing but rounding, its row is zeros. */
export function cholesky(g: Float64Array): Float64Array {
  const size = Math.round(Math.sqrt(g.length));
  const r = new Float64Array(g.length);
  const at = (i: number, j: number): number => r[i * size + j] ?? 0;
  for (let i = 0; i < size; i++) {
    const whole = g[i * size + i] ?? 0;
    let pivot = whole;
    for (let k = 0; k < i; k++) pivot -= at(k, i) ** 2;
    if (!(pivot > 1e-14 * whole)) continue;
    const root = Math.sqrt(pivot);
    r[i * size + i] = root;
    for (let j = i + 1; j < size; j++) {
      let sum = g[i * size + j] ?? 0;
      for (let k = 0; k < i; k++) sum -= at(k, i) * at(k, j);
      r[i * size + j] = sum / root;
    }
  }
  return r;
}

/** X·A for X [rows][rank] and thin rows A [rank][width]. */
export function times(x: Float64Array, a: Float64Array, width: number): Float64Array {
  const rank = a.length / width;
  const rows = x.length / rank;
  const out = new Float64Array(rows * width);
  for (let i = 0; i < rows; i++)
    for (let k = 0; k < rank; k++) {
      const factor = x[i * rank + k] ?? 0;
      if (factor === 0) continue;
      for (let j = 0; j < width; j++) out[i * width + j] = (out[i * width + j] ?? 0) + factor * (a[k * width + j] ?? 0);
    }
  return out;
}

/** tr(G·H) = ‖AᵀB‖_F² for the Gram matrices G = A·Aᵀ, H = B·Bᵀ of thin rows. */
export const traceOf = (g: Float64Array, h: Float64Array): number => g.reduce((sum, each, i) => sum + each * (h[i] ?? 0), 0);
