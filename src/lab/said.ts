/**
 * The words among generated ids: up to the first special token, which ends the turn, and with their spaces as they came, so
 * that the turn reads again as it was written. Decoded together with what came before, because a character may span the seam.
 */
import type { Lab } from '../../workers/api';

export async function saidIn(
  lab: Pick<Lab, 'decode'>,
  prompt: readonly number[],
  generated: readonly number[],
  special: ReadonlySet<number>,
): Promise<string> {
  const end = generated.findIndex((id) => special.has(id));
  const words = end < 0 ? generated : generated.slice(0, end);
  if (words.length === 0) return '';
  const [before, whole] = await Promise.all([lab.decode(prompt), lab.decode([...prompt, ...words])]);
  return whole.startsWith(before) ? whole.slice(before.length) : lab.decode(words);
}
