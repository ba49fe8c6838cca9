/** lab.loss() by position: entry i there is of token i + 1, and the first token has none, since nothing came before it. */
export const fromPositions = (loss: ArrayLike<number>, tokens: number): number[] =>
  Array.from({ length: tokens }, (_, i) => (i === 0 ? Number.NaN : (loss[i - 1] ?? Number.NaN)));

/** Nats a token, over those that have a loss. */
export function meanLoss(losses: readonly number[]): number {
  const known = losses.filter((x) => Number.isFinite(x));
  return known.length ? known.reduce((a, b) => a + b, 0) / known.length : Number.NaN;
}
