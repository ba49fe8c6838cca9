/** What the latents of each dictionary in sight are called, so that whatever names one can say it. Read once a dictionary, and again when the shelf has changed. */
import type { Label, Lab } from '../../workers/api';
import type { Dial } from './dial';
import { labError } from './jobs';

/** The source of what the person wrote. */
export const OWN = 'you';

type OfDictionary = ReadonlyMap<number, readonly Label[]>;

export class LabelsStore {
  #all = $state.raw<Readonly<Record<string, OfDictionary>>>({});
  #tickets = new Map<string, number>();

  constructor(private readonly lab: Pick<Lab, 'labels' | 'label'>) {}

  /** Of all sources; the person's own first. */
  all(dictionary: string, latent: number): readonly Label[] {
    return this.#all[dictionary]?.get(latent) ?? [];
  }
  of(dictionary: string | undefined, latent: number): Label | undefined {
    return dictionary === undefined ? undefined : this.all(dictionary, latent)[0];
  }
  text(dictionary: string | undefined, latent: number): string | undefined {
    return this.of(dictionary, latent)?.text;
  }
  /** Does it have any? */
  any(dictionary: string | undefined): boolean {
    return dictionary !== undefined && (this.#all[dictionary]?.size ?? 0) > 0;
  }
  /** Latents by labels that hold this text, as "the lighthouse · latent 12"; at most fifty. */
  matching(dictionary: string | undefined, text: string): string[] {
    const wanted = text.toLowerCase();
    const found: string[] = [];
    for (const [latent, [label]] of this.#all[dictionary ?? ''] ?? []) {
      if (found.length === 50) break;
      if (label?.text.toLowerCase().includes(wanted)) found.push(`${label.text} · latent ${latent}`);
    }
    return found;
  }
  /** How many, by source. */
  sources(dictionary: string): ReadonlyMap<string, number> {
    const found = new Map<string, number>();
    for (const labels of this.#all[dictionary]?.values() ?? [])
      for (const { source } of labels) found.set(source, (found.get(source) ?? 0) + 1);
    return found;
  }
  /** A dial of a latent goes by its label, which may change; any other by the name that it was given. */
  dialName({ name, latent }: Pick<Dial, 'name' | 'latent'>): string {
    const text = latent && this.text(latent.dictionary, latent.latent);
    return latent && text !== undefined ? `${text} · latent ${latent.latent}` : name;
  }

  /** Reads them where that has not been done. */
  async show(dictionary: string): Promise<void> {
    if (!this.#tickets.has(dictionary)) await this.#read(dictionary);
  }
  /** Of those that were read: all, or these. */
  async again(only?: readonly string[]): Promise<void> {
    await Promise.all([...this.#tickets.keys()].map(async (id) => (!only || only.includes(id) ? this.#read(id) : undefined)));
  }

  /** The person's own; an empty text takes it away. Rejects with what `lab.label` says. */
  async write(dictionary: string, latent: number, text: string): Promise<void> {
    await this.lab.label({ dictionary, latent, text: text.trim() });
    await this.#read(dictionary);
  }

  async #read(dictionary: string): Promise<void> {
    const ticket = (this.#tickets.get(dictionary) ?? 0) + 1;
    this.#tickets.set(dictionary, ticket);
    let list: readonly Label[] = [];
    try {
      list = await this.lab.labels(dictionary);
    } catch (thrown) {
      // It has left the shelf, or is none that could have labels. Anything else may pass: what is in sight stays, and it is asked for again.
      if (labError(thrown).code !== 'dictionary-unknown') {
        if (this.#tickets.get(dictionary) === ticket) this.#tickets.delete(dictionary);
        return;
      }
    }
    if (this.#tickets.get(dictionary) !== ticket) return;
    const found = new Map<number, Label[]>();
    for (const label of list) {
      const there = found.get(label.latent);
      if (there) there.push(label);
      else found.set(label.latent, [label]);
    }
    this.#all = { ...this.#all, [dictionary]: found };
  }
}

/** "F1 0.97", or nothing where nobody scored it. */
export const scored = ({ score, scoreName }: Label): string =>
  score === undefined ? '' : `${scoreName?.split(' · ')[0] ?? 'score'} ${score.toFixed(2)}`;
