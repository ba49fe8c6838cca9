/**
 * Causal tracing's other run (Meng et al. 2022): the prompt itself, with noise on the embeddings of some tokens. Which tokens, how much noise, how many draws: chosen by
 * hand, kept over a reload. Positions that the prompt does not have wait until it has them.
 */
import type { SweepRequest } from '../../workers/api';

type Noise = NonNullable<SweepRequest['noise']>;

export class NoiseChoice {
  on = $state(false);
  positions = $state.raw<readonly number[]>([]);
  scale = $state(3);
  draws = $state(8);
  seed = $state(0);

  has(position: number): boolean {
    return this.positions.includes(position);
  }
  toggle(position: number): void {
    this.positions = this.has(position)
      ? this.positions.filter((each) => each !== position)
      : [...this.positions, position].sort((a, b) => a - b);
  }
  /** As a sweep takes it; none while no token of the prompt is chosen. */
  of(tokens: number): Noise | undefined {
    const positions = this.positions.filter((each) => each < tokens);
    if (!this.on || positions.length === 0) return undefined;
    return { positions, scale: this.scale, draws: this.draws, seed: this.seed };
  }

  kept(): Record<string, unknown> {
    const { on, positions, scale, draws, seed } = this;
    return { on, positions, scale, draws, seed };
  }
  restore(saved: unknown): void {
    if (typeof saved !== 'object' || saved === null) return;
    const { on, positions, scale, draws, seed } = saved as Record<string, unknown>;
    this.on = on === true;
    if (Array.isArray(positions)) this.positions = positions.filter((each): each is number => Number.isInteger(each) && each >= 0);
    if (typeof scale === 'number' && scale > 0 && Number.isFinite(scale)) this.scale = scale;
    if (typeof draws === 'number' && Number.isInteger(draws) && draws > 0) this.draws = draws;
    if (typeof seed === 'number' && Number.isSafeInteger(seed)) this.seed = seed;
  }
}
