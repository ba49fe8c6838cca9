/**
 * How good a dictionary is, as SAELens 6 measures it (sae_lens/evals.py), out of what single positions say. Special tokens are left out by whoever adds
 * the positions. Sums in float64.
 *
 *   l0, l1                 active latents a position, and Σ|a|
 *   fvu                    Σ‖y − ŷ‖² / Σ‖y − ȳ‖², ȳ the mean row        (sparsify; SAELens's explained_variance is 1 − fvu)
 *   mse                    ‖y − ŷ‖² a position, summed over its numbers
 *   ce_score               (CE_zero − CE_spliced) / (CE_zero − CE_clean)
 *   kl_score               (KL_zero − KL_spliced) / KL_zero, KL(clean ‖ edited)
 *   dead, dense            shares of latents that were active nowhere, and at more than one position in ten
 * CE in nats a token, over positions whose next token exists; KL over all. Spliced: the reconstruction in the place of what it reconstructs; zero: zeros there.
 */

/** A latent active at more positions than this share is dense. */
export const DENSE = 0.1;

/** A position through the dictionary. */
export interface Seen {
  /** Listed pairs; `active` is how many there are, listed or not. */
  pairs: readonly (readonly [latent: number, value: number])[];
  active: number;
  truncated: boolean;
  /** ‖y − ŷ‖ and ‖y‖, and y itself. */
  errorNorm: number;
  norm: number;
  target: ArrayLike<number>;
}

/** A number for each of the three runs that are compared. */
export interface Runs {
  clean: number;
  spliced: number;
  zero: number;
}

export class Scores {
  private positions = 0;
  private active = 0;
  private magnitude = 0;
  private error = 0;
  /** Σ‖y‖², and Σy: together the spread about the mean. */
  private size = 0;
  private readonly sum: Float64Array;
  private readonly fired: Float64Array;
  private truncated = 0;
  private predicted = 0;
  private readonly nats: Runs = { clean: 0, spliced: 0, zero: 0 };
  private diverging = 0;
  private readonly kl = { spliced: 0, zero: 0 };

  constructor({ latents, dOut }: { latents: number; dOut: number }) {
    this.fired = new Float64Array(latents);
    this.sum = new Float64Array(dOut);
  }

  see({ pairs, active, truncated, errorNorm, norm, target }: Seen): void {
    this.positions++;
    this.active += active;
    this.truncated += truncated ? 1 : 0;
    for (const [latent, value] of pairs) {
      this.magnitude += Math.abs(value);
      this.fired[latent] = (this.fired[latent] ?? 0) + 1;
    }
    this.error += errorNorm ** 2;
    this.size += norm ** 2;
    for (let o = 0; o < this.sum.length; o++) this.sum[o] = (this.sum[o] ?? 0) + (target[o] ?? NaN);
  }

  /** Log-probabilities of the token that came next. */
  predict(logProb: Runs): void {
    this.predicted++;
    this.nats.clean -= logProb.clean;
    this.nats.spliced -= logProb.spliced;
    this.nats.zero -= logProb.zero;
  }

  /** KL(clean ‖ edited) of a position. Rounding can make nothing a little less. */
  diverge(kl: { spliced: number; zero: number }): void {
    this.diverging++;
    this.kl.spliced += Math.max(0, kl.spliced);
    this.kl.zero += Math.max(0, kl.zero);
  }

  get empty(): boolean {
    return this.positions === 0 || this.predicted === 0;
  }

  /** Of each latent: the share of positions where it is active. */
  density(): Float64Array {
    return this.fired.map((each) => each / this.positions);
  }

  scores(): Record<string, number> {
    const { positions, predicted, diverging, nats, kl } = this;
    const spread = this.size - this.sum.reduce((sum, each) => sum + (each * each) / positions, 0);
    const density = this.density();
    const share = (holds: (density: number) => boolean): number => density.filter(holds).length / density.length;
    return {
      positions,
      l0: this.active / positions,
      l1: this.magnitude / positions,
      fvu: this.error / spread,
      mse: this.error / positions,
      ce_clean: nats.clean / predicted,
      ce_spliced: nats.spliced / predicted,
      ce_zero: nats.zero / predicted,
      ce_score: (nats.zero - nats.spliced) / (nats.zero - nats.clean),
      kl_spliced: kl.spliced / diverging,
      kl_zero: kl.zero / diverging,
      kl_score: (kl.zero - kl.spliced) / kl.zero,
      dead: share((each) => each === 0),
      dense: share((each) => each > DENSE),
      truncated: this.truncated,
    };
  }
}
