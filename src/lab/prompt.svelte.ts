/** The prompt: its text, its tokens, how likely the model found each, and the position that is selected everywhere. */
import type { Lab } from '../../workers/api';
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
  ids = $state.raw<number[]>([]);
  pieces = $state.raw<string[]>([]);
  problem = $state('');
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

  /** Tokenises the text as it is now; a later call overtakes an earlier one. */
  async read(): Promise<void> {
    const ticket = ++this.#ticket;
    if (!this.machine.model) {
      this.#set([], []);
      return;
    }
    try {
      const { ids, pieces } = await this.lab.tokenize(this.text);
      if (ticket !== this.#ticket) return;
      this.problem = '';
      this.#set(ids, pieces);
    } catch (thrown) {
      if (ticket === this.#ticket) this.problem = labError(thrown).message;
    }
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
