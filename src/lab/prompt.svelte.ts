/** The prompt: its text or its turns, its tokens, how likely the model found each, and the position that is selected everywhere. */
import type { Lab } from '../../workers/api';
import { ChatStore } from './chat.svelte';
import { labError } from './jobs';
import type { Machine } from './machine.svelte';

export interface PromptToken {
  id: number;
  piece: string;
  /** The unedited model's probability of this token here; NaN where unknown. */
  probability: number;
}

const LONGEST_READ = 512;

export class PromptStore {
  text = $state('');
  readonly chat = new ChatStore();
  ids = $state.raw<number[]>([]);
  pieces = $state.raw<string[]>([]);
  problem = $state.raw<{ message: string; hint: string; code: string } | undefined>();
  selected = $state<number | undefined>();
  #probabilities = $state.raw<number[]>([]);
  #ticket = 0;

  constructor(
    private readonly lab: Lab,
    private readonly machine: Machine,
  ) {}

  tokens: PromptToken[] = $derived(
    this.ids.map((id, i) => ({ id, piece: this.pieces[i] ?? '', probability: this.#probabilities[i] ?? Number.NaN })),
  );

  /** The prompt is its turns, not its text: unless the model in use has said that it cannot read them. */
  get chatting(): boolean {
    return this.chat.on && this.machine.chat !== false;
  }

  /** More tokens than the model in use has positions for: nothing can be written after them. */
  get over(): boolean {
    const { model } = this.machine;
    return model !== undefined && this.ids.length > model.context;
  }

  /** What the tokens are read from, as one value to be watched. */
  source: string = $derived(JSON.stringify(this.chatting ? this.chat.messages : this.text));

  /** Another model is in use: the tokens were those of the one before, and their ids mean nothing to it. */
  forget(): void {
    this.#ticket++;
    this.#set([], []);
  }

  /** Reads the text or the turns as they are now; a later call overtakes an earlier one. */
  async read(): Promise<void> {
    const ticket = ++this.#ticket;
    if (!this.machine.model) {
      this.#set([], []);
      return;
    }
    // A model that has just been put to work has not said yet whether it can chat: its text is not what is asked for.
    if (this.chat.on && this.machine.chat === undefined) return;
    try {
      const { ids, pieces } = await (this.chatting ? this.#chat() : this.lab.tokenize(this.text));
      if (ticket !== this.#ticket) return;
      this.problem = undefined;
      this.#set(ids, pieces);
    } catch (thrown) {
      if (ticket !== this.#ticket) return;
      const { message, hint, code } = labError(thrown);
      this.problem = { message, hint, code };
      // What cannot be read has no tokens: those of an earlier text would be another prompt than the one in sight.
      this.#set([], []);
    }
  }

  #chat(): Promise<{ ids: number[]; pieces: string[] }> {
    const messages = $state.snapshot(this.chat.messages);
    return messages.length ? this.lab.chat(messages) : Promise.resolve({ ids: [], pieces: [] });
  }

  #set(ids: number[], pieces: string[]): void {
    if (ids.length === this.ids.length && ids.every((id, i) => id === this.ids[i])) return;
    this.ids = ids;
    this.pieces = pieces;
    this.#probabilities = [];
    if (this.selected !== undefined && this.selected >= ids.length) this.selected = undefined;
  }

  /** exp(−loss) for every token after the first. Quiet where it fails: shading is an extra. */
  async shade(): Promise<void> {
    const { ids } = this;
    if (ids.length < 2 || ids.length > LONGEST_READ) return;
    try {
      const loss = await this.lab.loss({ prompt: ids });
      if (ids !== this.ids) return;
      const shift = loss.length === ids.length && Number.isNaN(loss[0]) ? 0 : 1;
      this.#probabilities = ids.map((_, i) => (i === 0 ? Number.NaN : Math.exp(-(loss[i - shift] ?? Number.NaN))));
    } catch {
      this.#probabilities = [];
    }
  }
}
