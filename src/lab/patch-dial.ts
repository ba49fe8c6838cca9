/**
 * A dial of a cell. On the bench lies the prompt, so a dial brings the contrast's values into it, whichever way the grid was patched. A latent's dial sets one number, so it
 * acts at the position where the two runs differ most, and sets it to what it is there in the contrast.
 */
import type { Lab, PatchPart } from '../../workers/api';
import type { Dial } from './dial';
import type { Dials } from './dials.svelte';
import type { PatchAnswer } from './patch-answer.svelte';
import { latentAlong } from './patch-cell';
import { ablationOf } from './patch-question';

export async function dialOfCell(
  lab: Pick<Lab, 'run' | 'encode'>,
  dials: Pick<Dials, 'list' | 'addReplace' | 'addLatent' | 'set'>,
  { asked }: PatchAnswer,
  part: PatchPart,
  name: string,
  /** Told at once, before anything else sees the dial: its slider is to take the focus. */
  made: (id: string) => void = () => undefined,
): Promise<Dial> {
  const { clean, corrupted, request, dictionary } = asked;
  const zero = ablationOf(request) === 'zero';
  const { latent } = part;
  const told = (dial: Dial): Dial => (made(dial.id), dial);
  if (latent === undefined || !dictionary)
    return told(
      dials.addReplace({
        name: `${name}, as in the contrast`,
        at: part.at,
        by: zero ? 'zero' : corrupted.map(({ id }) => id),
        ...(part.head === undefined ? {} : { head: part.head }),
        positions: [...(part.positions ?? corrupted.map((_, i) => i))],
      }),
    );
  const along = (tokens: typeof clean) =>
    latentAlong(
      lab,
      dictionary,
      latent,
      tokens.map(({ id }) => id),
      request.edits,
    );
  const [here, there] = await Promise.all([along(clean), zero ? clean.map(() => 0) : along(corrupted)]);
  const gap = (p: number): number => Math.abs((there[p] ?? 0) - (here[p] ?? 0));
  const at = here.reduce((best, _, p) => (gap(p) > gap(best) ? p : best), 0);
  const value = there[at] ?? 0;
  const before = dials.list.length;
  const dial = told(dials.addLatent(dictionary, latent, value));
  // One that was there already is the person's, and stays as it is.
  if (dials.list.length === before) return dial;
  // The slider reaches from rest to twice the larger of the two.
  dials.set(dial.id, {
    reach: 2 * Math.max(Math.abs(value), Math.abs(here[at] ?? 0)),
    scope: 'positions',
    positions: [at],
    skipSpecial: false,
  });
  return dial;
}
