/** Which latents a grid has where none are named: those that differ most, at some position of some pair, from what is put in their place. */
export const MOST_LATENTS = 256;

/** Of each pair: latents that are active anywhere, and how far one is from what is put there, at most. By size, of equal ones the lowest first. */
export function largest(pairs: readonly { active: Iterable<number>; difference(latent: number): number }[]): number[] {
  const size = new Map<number, number>();
  for (const { active, difference } of pairs)
    for (const latent of new Set(active)) size.set(latent, Math.max(size.get(latent) ?? 0, difference(latent)));
  return [...size]
    .sort((a, b) => b[1] - a[1] || a[0] - b[0])
    .slice(0, MOST_LATENTS)
    .map(([latent]) => latent);
}
