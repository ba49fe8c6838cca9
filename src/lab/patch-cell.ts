/**
 * One cell as a run of its own: the edits that put the other run's values there. A latent is set, position by position, to what it is in the other run, wherever the two
 * differ, and what its dictionary does not explain stays; a neuron's value is read at its own hook, any other latent's off an encoding.
 */
import type { DictionaryInfo, Edit, Lab, PatchPart, SweepRequest } from '../../workers/api';
import { along } from './latents';
import { isNeurons } from './neurons';

interface Runs {
  clean: readonly number[];
  corrupted: readonly number[];
  direction: SweepRequest['direction'];
  ablate?: SweepRequest['ablate'];
  edits?: readonly Edit[];
}

/** The text that is run, and the one that values come from. */
export const sidesOf = ({ clean, corrupted, direction }: Pick<Runs, 'clean' | 'corrupted' | 'direction'>) =>
  direction === 'denoise' ? { base: corrupted, other: clean } : { base: clean, other: corrupted };

/** A latent's activation at every token of a text. */
export async function latentAlong(
  lab: Pick<Lab, 'run' | 'encode'>,
  { id, hookOut }: Pick<DictionaryInfo, 'id' | 'hookOut'>,
  latent: number,
  prompt: readonly number[],
  edits: readonly Edit[] = [],
): Promise<number[]> {
  const asked = { prompt: [...prompt], edits: [...edits] };
  if (!isNeurons(id)) return along((await lab.encode({ ...asked, dictionary: id })).rows, latent);
  const tap = (await lab.run({ ...asked, taps: [hookOut], logits: 'none' })).taps[hookOut];
  const width = tap?.shape.at(-1) ?? 1;
  return prompt.map((_, p) => tap?.data[p * width + latent] ?? 0);
}

/** None where no edit says it: the mean of a run is not known here. */
export async function editsOf(
  lab: Pick<Lab, 'run' | 'encode'>,
  part: PatchPart,
  runs: Runs,
  dictionary: Pick<DictionaryInfo, 'id' | 'hookOut'> | undefined,
): Promise<Edit[] | undefined> {
  const { ablate, edits } = runs;
  if (ablate === 'mean') return undefined;
  const { base, other } = sidesOf(runs);
  const { latent } = part;
  if (latent !== undefined && dictionary) {
    const read = (prompt: readonly number[]) => latentAlong(lab, dictionary, latent, prompt, edits);
    const [from, to] = await Promise.all([read(base), ablate === 'zero' ? Promise.resolve([]) : read(other)]);
    return base.flatMap((_, p): Edit[] => {
      const value = to[p] ?? 0;
      if (value === (from[p] ?? 0)) return [];
      return [{ kind: 'latent', dictionary: dictionary.id, latent, op: 'set', at: part.at, value, where: [p] }];
    });
  }
  const where = [...(part.positions ?? base.map((_, i) => i))];
  return [
    {
      kind: 'replace',
      at: part.at,
      where,
      ...(part.head === undefined ? {} : { head: part.head }),
      value: ablate === 'zero' ? 'zero' : { prompt: [...other], from: where },
    },
  ];
}
