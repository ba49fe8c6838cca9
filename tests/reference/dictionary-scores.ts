/**
 * How well a dictionary does over rows. There are several explained variances, and each is here under the name of who defines it so:
 *   fvu = Σ‖y − ŷ‖² / Σ‖y − ȳ‖²                                    sparsify (sparse_coder.py); ȳ is the mean over rows
 *   explainedVarianceSaeLens = 1 − fvu                              SAELens 6 (evals.py, ExplainedVarianceCalculator)
 *   explainedVarianceSaeLensLegacy = mean of 1 − ‖y − ŷ‖²/‖y − ȳ‖²   the same file's `explained_variance_legacy`, row by row
 *   explainedVarianceDictionaryLearning = 1 − Σvar(y − ŷ)/Σvar(y)   dictionary_learning (evaluation.py): e's own mean is forgiven
 * Leave BOS out before: one massive row is most of every sum here.
 */
import { at } from './array';
import { rowsOf } from './dictionary';

export interface Scores {
  /** Active latents a row. */
  l0: number;
  /** Σ|a| a row. */
  l1: number;
  /** ‖y − ŷ‖² a row. */
  squaredError: number;
  /** cos(y, ŷ), averaged over rows. */
  cosine: number;
  fvu: number;
  explainedVarianceSaeLens: number;
  explainedVarianceSaeLensLegacy: number;
  explainedVarianceDictionaryLearning: number;
}

export interface Scored {
  /** [n, latents] */
  activations: ArrayLike<number>;
  latents: number;
  /** What should have come out, [n, dOut]. */
  target: ArrayLike<number>;
  /** What did, [n, dOut]. */
  output: ArrayLike<number>;
  dOut: number;
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** The mean row. */
function meanRow(x: ArrayLike<number>, width: number): Float64Array {
  const rows = rowsOf(x, width);
  return Float64Array.from({ length: width }, (_, i) => mean(Array.from({ length: rows }, (_, row) => at(x, row * width + i))));
}

/** ‖row − about‖² of every row. */
function squaresAbout(x: ArrayLike<number>, about: ArrayLike<number>): number[] {
  const width = about.length;
  return Array.from({ length: rowsOf(x, width) }, (_, row) => {
    let sum = 0;
    for (let i = 0; i < width; i++) sum += (at(x, row * width + i) - at(about, i)) ** 2;
    return sum;
  });
}

export function scores({ activations, latents, target, output, dOut }: Scored): Scores {
  const rows = rowsOf(target, dOut);
  if (rowsOf(activations, latents) !== rows || output.length !== target.length) throw new RangeError('rows of different numbers');
  const error = Float64Array.from(target, (value, i) => value - at(output, i));
  const zero = new Float64Array(dOut);
  const [errors, spreads] = [squaresAbout(error, zero), squaresAbout(target, meanRow(target, dOut))];
  const [lengths, outputs] = [squaresAbout(target, zero), squaresAbout(output, zero)];
  const products = Array.from({ length: rows }, (_, row) => {
    let sum = 0;
    for (let i = row * dOut; i < (row + 1) * dOut; i++) sum += at(target, i) * at(output, i);
    return sum;
  });
  const values = Array.from(activations);
  const fvu = mean(errors) / mean(spreads);
  return {
    l0: values.filter((value) => value !== 0).length / rows,
    l1: values.reduce((sum, value) => sum + Math.abs(value), 0) / rows,
    squaredError: mean(errors),
    cosine: mean(products.map((product, row) => product / Math.sqrt(at(lengths, row) * at(outputs, row)))),
    fvu,
    explainedVarianceSaeLens: 1 - fvu,
    explainedVarianceSaeLensLegacy: mean(errors.map((each, row) => 1 - each / at(spreads, row))),
    // Both variances are unbiased there; the ratio is the same.
    explainedVarianceDictionaryLearning: 1 - mean(squaresAbout(error, meanRow(error, dOut))) / mean(spreads),
  };
}
