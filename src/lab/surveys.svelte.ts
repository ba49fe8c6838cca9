/**
 * The passes of a dictionary over the person's own texts: which text, how much of it, what was found, and the pass under way. Made with the instrument that
 * shows it and not before; kept while the page lives, so that a pass goes on while another instrument is looked at.
 */
import type { Lab, SurveyInfo } from '../../workers/api';
import type { Bench } from './bench.svelte';
import { Dashboards } from './dashboards.svelte';
import type { FeaturesStore } from './features.svelte';
import { isNeurons } from './neurons';
import { QualityStore } from './quality.svelte';
import type { Shelf } from './shelf.svelte';
import { troubleOf, type Trouble } from './trouble';

export const ALL = Number.MAX_SAFE_INTEGER;
export const AMOUNTS = [100_000, 1_000_000, 10_000_000, ALL] as const;
/** How often what a running pass has found so far is asked for, in milliseconds. */
const PEEK = 10_000;

/** A text that can be looked at: on the shelf, or given by a script, of which only the passes are left. */
export interface TextChoice {
  id: string;
  name: string;
  kept: boolean;
}
export interface Reading {
  dictionary: string;
  text: string;
  /** What reads what, in words. */
  name: string;
  done: number;
  of: number;
  /** `of` is an estimate, from how much of the file has been read. */
  about: boolean;
  /** Tokens a second; undefined until there is something to tell it from. */
  rate?: number;
  secondsLeft?: number;
}

export class Surveys {
  list = $state.raw<SurveyInfo[]>([]);
  reading = $state.raw<Reading | undefined>();
  #problem = $state.raw<(Trouble & { of: string }) | undefined>();
  #chosen = $state<number | undefined>();
  #abort: AbortController | undefined;
  #ticket = 0;

  constructor(
    private readonly lab: Lab,
    private readonly features: FeaturesStore,
    private readonly shelf: Shelf,
  ) {}

  #mine: SurveyInfo[] = $derived(this.list.filter(({ dictionary }) => dictionary === this.features.working?.id));
  choices: TextChoice[] = $derived.by(() => {
    const kept = this.shelf.texts.map(({ id, name }) => ({ id, name, kept: true }));
    const given = new Map(this.#mine.filter(({ text }) => !kept.some(({ id }) => id === text)).map((each) => [each.text, each]));
    return [...kept, ...[...given.values()].map(({ text, name }) => ({ id: text, name, kept: false }))];
  });
  /** The chosen one; without a choice one that the dictionary reads or has read, or the last that came. None for neurons. */
  text: TextChoice | undefined = $derived.by(() => {
    if (isNeurons(this.features.working?.id)) return undefined;
    const find = (id: string | undefined) => this.choices.find((each) => each.id === id);
    const { reading, features, shelf } = this;
    const begun = reading?.dictionary === features.working?.id ? reading?.text : undefined;
    return find(features.text) ?? find(begun) ?? find(this.#mine[0]?.text) ?? find(shelf.texts.at(-1)?.id);
  });
  here: SurveyInfo | undefined = $derived(this.#mine.find(({ text }) => text === this.text?.id));
  /** The pass under way is the one that is looked at. */
  readingHere: boolean = $derived(this.reading !== undefined && this.#key === keyOf(this.reading.dictionary, this.reading.text));
  problem: Trouble | undefined = $derived(this.#problem?.of === this.#key ? this.#problem : undefined);
  /** Tokens to read up to: the person's choice; without one, what was asked for the last time. */
  amount: number = $derived(this.#chosen ?? AMOUNTS.find((each) => each >= (this.here?.of ?? 0) && each >= 1e6) ?? 1e6);

  get #key(): string {
    return keyOf(this.features.working?.id, this.text?.id);
  }

  choose(amount: number): void {
    this.#chosen = amount;
  }

  /** Lists what is kept; a later call overtakes an earlier one. */
  async refresh(): Promise<void> {
    const ticket = ++this.#ticket;
    try {
      const list = await this.lab.surveys();
      if (ticket === this.#ticket) this.list = list;
    } catch (thrown) {
      if (ticket === this.#ticket) this.#failed(thrown, this.#key);
    }
  }

  /** Reads the text, or goes on where it was left; anew where asked. What a cancelled pass has read is kept. */
  async read(again = false): Promise<void> {
    const { text, amount, here } = this;
    const dictionary = this.features.working;
    if (!dictionary || !text || this.reading) return;
    const of = keyOf(dictionary.id, text.id);
    const tokens = !again && here && !here.finished && amount <= here.tokens ? here.of : amount;
    const abort = new AbortController();
    this.#abort = abort;
    this.#problem = undefined;
    const name = `${dictionary.name} reads ${text.name}`;
    const done = again ? 0 : (here?.tokens ?? 0);
    this.reading = { dictionary: dictionary.id, text: text.id, name, done, of: 0, about: false };
    let first: { at: number; done: number } | undefined;
    let peeked = performance.now();
    try {
      await this.lab.survey(
        { dictionary: dictionary.id, text: text.id, tokens, ...(again ? { again } : {}) },
        {
          signal: abort.signal,
          progress: (now, all, detail) => {
            const at = performance.now();
            first ??= { at, done: now };
            const rate = now > first.done ? ((now - first.done) * 1000) / (at - first.at) : undefined;
            this.reading = {
              ...{ dictionary: dictionary.id, text: text.id, name, done: now, of: all, about: all < tokens },
              ...(rate === undefined ? {} : { rate }),
              ...(detail?.secondsLeft === undefined ? {} : { secondsLeft: detail.secondsLeft }),
            };
            if (at - peeked < PEEK) return;
            peeked = at;
            void this.refresh();
          },
        },
      );
    } catch (thrown) {
      this.#failed(thrown, of);
    } finally {
      await this.refresh();
      this.reading = undefined;
    }
  }

  cancel(): void {
    this.#abort?.abort();
  }

  #failed(thrown: unknown, of: string): void {
    const trouble = troubleOf(thrown);
    if (trouble) this.#problem = { ...trouble, of };
  }
}

const keyOf = (dictionary: string | undefined, text: string | undefined): string => `${dictionary}\n${text}`;

export interface OnTexts {
  surveys: Surveys;
  dashboards: Dashboards;
  quality: QualityStore;
}
const made = new WeakMap<Bench, OnTexts>();

/** What Features knows of texts. The same for a bench, however often the instrument is opened. */
export function onTexts(bench: Bench): OnTexts {
  const found = made.get(bench);
  if (found) return found;
  // In a root of their own: what is derived in a component would end with it.
  $effect.root(() => {
    const surveys = new Surveys(bench.lab, bench.features, bench.shelf);
    made.set(bench, { surveys, dashboards: new Dashboards(bench.lab, bench.prompt), quality: new QualityStore(bench.lab) });
  });
  return onTexts(bench);
}
