/**
 * Looking for a latent: by what it is called, by the token that it promotes, by where it is active, by what its label means. Read with the instrument that shows it;
 * what was found stays while the person is elsewhere.
 */
import type { FindLatents, FoundLatents, Job, Lab } from '../../workers/api';
import type { FeaturesStore } from './features.svelte';
import { labError } from './jobs';
import type { Machine } from './machine.svelte';
import type { PromptStore } from './prompt.svelte';

export type FindMode = 'label' | 'token' | 'where' | 'meaning';

/** What was looked for, as it was then, and what came of it. */
export interface Found extends FoundLatents {
  dictionary: string;
  mode: FindMode;
  /** The token that was taken for what was typed. */
  token?: { piece: string; sign: 1 | -1 };
  /** The mean over the positions, or the smallest. */
  each?: 'min' | 'mean';
}

const TOP = 20;

export class FindStore {
  open = $state(false);
  mode = $state<FindMode>('label');
  label = $state('');
  token = $state('');
  sign = $state<1 | -1>(1);
  /** Two texts, or the selected token and the rest of the prompt. */
  by = $state<'texts' | 'token'>('token');
  /** Undefined until it is written: the prompt, as it stands. */
  here = $state<string | undefined>();
  not = $state('');
  meaning = $state('');
  found = $state.raw<Found | undefined>();
  busy = $state(false);
  progress = $state.raw<{ done: number; of: number } | undefined>();
  problem = $state.raw<{ message: string; hint: string; code: string } | undefined>();
  /** Where no token reads as what was typed: those that it is made of. */
  pieces = $state.raw<readonly string[]>([]);
  /** Sentence encoders on the shelf; undefined until known. */
  encoders = $state.raw<readonly { id: string; name: string }[] | undefined>();
  #abort: AbortController | undefined;

  constructor(
    private readonly lab: Lab,
    private readonly machine: Pick<Machine, 'special'>,
    private readonly features: { readonly working: { id: string } | undefined; readonly position: number },
    private readonly prompt: Pick<PromptStore, 'text' | 'ids' | 'chatting'>,
  ) {}

  /** Of the search in sight, for the dictionary in sight. */
  result: Found | undefined = $derived.by(() => {
    const { found, mode } = this;
    return found?.mode === mode && found.dictionary === this.features.working?.id ? found : undefined;
  });

  get hereText(): string {
    return this.here ?? (this.prompt.chatting ? '' : this.prompt.text);
  }
  /** Is there something to look for? */
  get asks(): boolean {
    if (this.mode === 'label') return this.label.trim() !== '';
    if (this.mode === 'token') return this.token.trim() !== '';
    if (this.mode === 'meaning') return this.meaning.trim() !== '' && Boolean(this.encoders?.length);
    return this.by === 'token' ? this.prompt.ids.length > 1 : this.hereText.trim() !== '';
  }

  async lookForEncoders(): Promise<void> {
    this.encoders = await this.lab.embedders().catch(() => []);
  }

  cancel(): void {
    this.#abort?.abort();
  }

  /** Another search is meant: what the last one said is in the way. */
  clear(): void {
    this.cancel();
    this.problem = undefined;
    this.pieces = [];
  }

  /** A later search calls off an earlier one. */
  async run(): Promise<void> {
    this.clear();
    const dictionary = this.features.working?.id;
    if (dictionary === undefined || !this.asks) {
      this.found = undefined;
      return;
    }
    const abort = (this.#abort = new AbortController());
    const current = () => this.#abort === abort;
    const job: Job = {
      signal: abort.signal,
      progress: (done, of) => {
        if (current()) this.progress = { done, of };
      },
    };
    this.busy = true;
    try {
      const found = await this.#search(dictionary, job);
      if (current()) this.found = { dictionary, ...found };
    } catch (thrown) {
      const { message, hint, code } = labError(thrown);
      if (!current() || code === 'cancelled') return;
      this.found = undefined;
      this.problem = { message, hint, code };
    } finally {
      if (current()) {
        this.busy = false;
        this.progress = undefined;
      }
    }
  }

  async #search(dictionary: string, job: Job): Promise<Omit<Found, 'dictionary'>> {
    const { mode, sign } = this;
    const ask = (request: FindLatents) => this.lab.findLatents(request, job);
    if (mode === 'label') return { mode, ...(await ask({ dictionary, label: this.label, top: TOP })) };
    if (mode === 'token') {
      const { id, piece } = await this.#token(this.token);
      return { mode, token: { piece, sign }, ...(await ask({ dictionary, promotes: id, sign, top: TOP })) };
    }
    if (mode === 'meaning') return { mode, ...(await ask({ dictionary, meaning: this.meaning, top: TOP })) };
    if (this.by === 'texts') {
      const not = this.not.trim() === '' ? {} : { not: { prompt: this.not } };
      return { mode, each: 'mean', ...(await ask({ dictionary, here: { prompt: this.hereText }, ...not, each: 'mean', top: TOP })) };
    }
    const { ids } = this.prompt;
    const { position } = this.features;
    const { special } = this.machine;
    const rest = ids.flatMap((id, at) => (at === position || special.has(id) ? [] : [at]));
    const not = rest.length ? { not: { prompt: ids, positions: rest } } : {};
    return { mode, each: 'min', ...(await ask({ dictionary, here: { prompt: ids, positions: [position] }, ...not, top: TOP })) };
  }

  /** Words are tried with their leading space first, as everywhere on the page; where that is no token, the text as it was typed. */
  async #token(typed: string): Promise<{ id: number; piece: string }> {
    const spaced = typed.startsWith(' ') ? typed : ` ${typed}`;
    try {
      return await this.lab.token(spaced);
    } catch (thrown) {
      const asTyped = spaced === typed ? undefined : await this.lab.token(typed).catch(() => undefined);
      if (asTyped) return asTyped;
      const { pieces } = await this.lab.tokenize(spaced, { bos: false }).catch(() => ({ pieces: [] }));
      this.pieces = [...new Set(pieces)].slice(0, 6);
      throw thrown;
    }
  }
}

const stores = new WeakMap<object, FindStore>();
/** One a bench. */
export function findOf(bench: { lab: Lab; machine: Machine; features: FeaturesStore; prompt: PromptStore }): FindStore {
  const { lab, machine, features, prompt } = bench;
  const there = stores.get(bench);
  if (there) return there;
  // In a root of its own: what is derived in a component would end with it.
  $effect.root(() => {
    stores.set(bench, new FindStore(lab, machine, features, prompt));
  });
  return findOf(bench);
}
