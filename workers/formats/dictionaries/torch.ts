/** Checkpoints that only their contents tell apart: every .pt that nobody has taken is opened once and looked at. */
import type { Dropped } from '../drop';
import type { LooseFile } from '../loose';
import { wrappingOf } from '../loose-readers';
import type { Candidate, DictionaryDraft, Place } from './draft';

export async function contents(
  place: Place,
  mine: (file: LooseFile) => boolean,
  read: (dropped: Dropped, file: LooseFile) => Promise<DictionaryDraft>,
): Promise<Candidate[]> {
  const found: Candidate[] = [];
  for (const dropped of place.files.filter((each) => wrappingOf(each.name) === 'pt')) {
    // What cannot be opened is said by whoever comes last (unreadable, below).
    const file = await place.open(dropped)?.catch(() => undefined);
    if (file && mine(file)) found.push({ where: dropped.path, uses: [dropped], read: () => read(dropped, file) });
  }
  return found;
}

/** Checkpoints that cannot be opened at all: a refusal, but for those of a model, which has other uses for the name. */
export async function unreadable(place: Place): Promise<Candidate[]> {
  const found: Candidate[] = [];
  for (const dropped of place.ofModel ? [] : place.files.filter((each) => wrappingOf(each.name) === 'pt')) {
    const error: unknown = await place.open(dropped)?.then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    if (error instanceof Error) found.push({ where: dropped.path, uses: [dropped], read: () => Promise.reject(error) });
  }
  return found;
}
