/** What every reader of labels comes to: labels by source, whose they say they are, and what a label may be at most. */
import type { Label } from '../../api';
import { LabError, throwIfAborted } from '../../errors';

export type FreshLabel = Omit<Label, 'madeAt'>;

/** Labels of one dictionary, out of one file. */
export interface LabelGroup {
  /** For messages, and for the folder that may tell whose they are. */
  path: string;
  folder: string;
  /** Neuronpedia's id of the dictionary: “gpt2-small/8-res-jb”. */
  neuronpedia?: string;
  /** The dictionary that the file names: an id of the shelf. */
  dictionary?: string;
  labels: FreshLabel[];
  /** The largest latent, and where it is named. */
  highest: { latent: number; where: string };
  /** Labels that gave way to a better one of the same source for the same latent. */
  outdone: number;
}

/** A text that a person could read as a label; longer ones are a mistake. */
export const LONGEST = 10_000;
/** Labels of a drop: a hundred dictionaries of a common size. Each is an object in memory until it is kept. */
const MOST = 2_000_000;

export const HINT = 'Export or download the file again. docs/dictionaries.md shows the forms of labels that are read.';
export const garbage = (where: string, what: string): LabError => new LabError('labels-garbage', `${where} ${what}.`, HINT);
export const tooLarge = (where: string, what: string): LabError =>
  new LabError('labels-too-large', `${where} ${what}.`, 'Drop fewer of the files at once, or check where they come from.');

/** What is left of a drop's allowance, and the signal that stops it. */
export class Allowance {
  #left = MOST;
  constructor(readonly signal?: AbortSignal) {}
  take(where: string): void {
    throwIfAborted(this.signal);
    if (this.#left-- <= 0) throw tooLarge(where, `is one label more than the ${MOST} that a drop may have`);
  }
}

/** Labels as they come, one a latent and source: the better scored stays, of equals the later. */
export class Gathered {
  readonly #labels = new Map<string, FreshLabel>();
  #highest = { latent: -1, where: '' };
  #outdone = 0;

  constructor(
    readonly about: Pick<LabelGroup, 'path' | 'folder' | 'neuronpedia' | 'dictionary'>,
    readonly allowance: Allowance,
  ) {}

  add(label: FreshLabel, where: string): void {
    this.allowance.take(where);
    const key = `${label.latent} ${label.source}`;
    const before = this.#labels.get(key);
    if (before) this.#outdone++;
    if (!before || (label.score ?? -Infinity) >= (before.score ?? -Infinity)) this.#labels.set(key, label);
    if (label.latent > this.#highest.latent) this.#highest = { latent: label.latent, where };
  }

  group(): LabelGroup {
    return { ...this.about, labels: [...this.#labels.values()], highest: this.#highest, outdone: this.#outdone };
  }
}

/** A label's text without the space around it; nothing where there is none. */
export function textOf(value: unknown, where: string, key: string): string {
  if (typeof value !== 'string') throw garbage(where, `has ${said(value)} for its “${key}”, no text`);
  const text = value.trim();
  if (text.length > LONGEST) throw garbage(where, `has a “${key}” of ${text.length} characters, more than ${LONGEST}`);
  return text;
}

/** A latent's number: a whole number, or (Neuronpedia) a text of digits. */
export function latentOf(value: unknown, where: string, key: string): number {
  const number = typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : value;
  if (typeof number === 'number' && Number.isSafeInteger(number) && number >= 0) return number;
  throw garbage(where, `has ${said(value)} for its “${key}”, no latent’s number`);
}

const said = (value: unknown): string => (value === undefined ? 'nothing' : (JSON.stringify(value) ?? 'nothing').slice(0, 60));
