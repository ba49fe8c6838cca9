/**
 * Labels beside their dictionaries: two records for each, what was imported and what the person wrote, so that writing a word does not write tens of
 * thousands again. They live where the dictionary's record lives and go with it.
 */
import type { FoundLatents, Label } from '../api';
import { LabError } from '../errors';
import type { RecordStore } from './records';

/** Labels of one dictionary. `id`: the dictionary's, with “/own” after it for the person's own. */
export interface LabelsRecord {
  id: string;
  labels: Label[];
}

/** The source of what a person writes. */
export const OWN = 'you';
const ownOf = (dictionary: string): string => `${dictionary}/own`;

export interface LabelBatch {
  dictionary: string;
  labels: readonly Omit<Label, 'madeAt'>[];
}

export class KeptLabels {
  #last: Promise<unknown> = Promise.resolve();

  /** `home`: where a dictionary's record lives; rejects where there is none. */
  constructor(readonly home: (dictionary: string) => Promise<RecordStore>) {}

  /** By latent, the person's own first, then the better scored. */
  async of(dictionary: string): Promise<Label[]> {
    const home = await this.home(dictionary);
    const [own, others] = await Promise.all([home.get('labels', ownOf(dictionary)), home.get('labels', dictionary)]);
    return [...(own?.labels ?? []), ...(others?.labels ?? [])].sort(
      (a, b) =>
        a.latent - b.latent || Number(b.source === OWN) - Number(a.source === OWN) || best(a, b) || a.source.localeCompare(b.source),
    );
  }

  /** The person's own label of a latent; an empty text takes it away. */
  write(dictionary: string, latent: number, text: string, note?: string): Promise<void> {
    return this.#inTurn(async () => {
      const home = await this.home(dictionary);
      const id = ownOf(dictionary);
      const labels = ((await home.get('labels', id))?.labels ?? []).filter((each) => each.latent !== latent);
      if (text !== '') labels.push({ latent, text, source: OWN, ...(note ? { note } : {}), madeAt: Date.now() });
      await (labels.length > 0 ? home.put('labels', { id, labels }) : home.remove('labels', id));
    });
  }

  /** All or none. What was there of the same source and latent gives way; what the person wrote here stays, and theirs of a file stands beside it. */
  add(batches: readonly LabelBatch[]): Promise<void> {
    return this.#inTurn(async () => {
      const before: { home: RecordStore; id: string; record: LabelsRecord | undefined }[] = [];
      try {
        for (const { dictionary, labels } of batches) {
          const home = await this.home(dictionary);
          const [others, own] = [dictionary, ownOf(dictionary)];
          const kept = { own: (await home.get('labels', own))?.labels ?? [], others: (await home.get('labels', others))?.labels ?? [] };
          const written = new Map(kept.own.map((each) => [each.latent, each.text]));
          const fresh = labels.map((label) => {
            const there = label.source === OWN ? written.get(label.latent) : undefined;
            return { ...label, ...(there !== undefined && there !== label.text && { source: FROM_FILE }), madeAt: Date.now() };
          });
          for (const [id, list] of [
            [
              own,
              merged(
                kept.own,
                fresh.filter(({ source }) => source === OWN),
              ),
            ],
            [
              others,
              merged(
                kept.others,
                fresh.filter(({ source }) => source !== OWN),
              ),
            ],
          ] as const) {
            if (list.length === 0) continue;
            before.push({ home, id, record: await home.get('labels', id) });
            await home.put('labels', { id, labels: list });
          }
        }
      } catch (thrown) {
        for (const { home, id, record } of before.reverse())
          await (record ? home.put('labels', record) : home.remove('labels', id)).catch(() => undefined);
        throw thrown;
      }
    });
  }

  async forget(home: RecordStore, dictionary: string): Promise<void> {
    await home.remove('labels', dictionary);
    await home.remove('labels', ownOf(dictionary));
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => undefined);
    return turn;
  }
}

/** The person's own out of a file, where they have written something else here since. */
const FROM_FILE = 'you, from a file';

const best = (a: Label, b: Label): number => {
  const [x, y] = [a.score ?? -Infinity, b.score ?? -Infinity];
  return x === y ? 0 : y - x;
};

function merged(before: readonly Label[], fresh: readonly Label[]): Label[] {
  const all = new Map([...before, ...fresh].map((each) => [`${each.latent} ${each.source}`, each]));
  return [...all.values()];
}

/** Without case and accents. Most labels are plain ASCII, which has no accents to look for. */
export const folded = (text: string): string =>
  (/^[\0-\x7f]*$/.test(text) ? text : text.normalize('NFKD').replace(/\p{M}+/gu, '')).toLowerCase();

/**
 * Latents with a label that holds all the words, in any order and as parts of longer ones too. Own labels come first, then those with more of the words
 * whole, then the better scored, then the shorter.
 */
export function searchLabels(labels: readonly Label[], query: string, top: number): FoundLatents {
  const words = folded(query)
    .split(/\s+/)
    .filter((word) => word !== '');
  if (words.length === 0)
    throw new LabError('request-invalid', 'There is no word to look for.', 'Give label as a text, for example "fog".');
  const found: { label: Label; score: number; own: boolean }[] = [];
  for (const label of labels) {
    const text = folded(label.text);
    if (!words.every((word) => text.includes(word))) continue;
    const score = words.filter((word) => standsWhole(text, word)).length / words.length;
    found.push({ label, score, own: label.source === OWN });
  }
  found.sort(
    (a, b) =>
      Number(b.own) - Number(a.own) ||
      b.score - a.score ||
      best(a.label, b.label) ||
      a.label.text.length - b.label.text.length ||
      a.label.latent - b.label.latent,
  );
  const seen = new Set<number>();
  const latents = found.flatMap(({ label, score }) => {
    if (seen.has(label.latent)) return [];
    seen.add(label.latent);
    return [{ latent: label.latent, score, label }];
  });
  return { latents: latents.slice(0, top), of: latents.length, truncated: false };
}

const BEFORE = /[\p{L}\p{N}]$/u;
const AFTER = /^[\p{L}\p{N}]/u;

/** Is it there with no letter or digit on either side? A letter may be two units long. */
function standsWhole(text: string, word: string): boolean {
  for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + 1)) {
    const end = at + word.length;
    if (!BEFORE.test(text.slice(Math.max(0, at - 2), at)) && !AFTER.test(text.slice(end, end + 2))) return true;
  }
  return false;
}
