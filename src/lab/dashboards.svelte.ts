/** One latent on a text that was read: asked for when it is looked at, and kept for when it is looked at again. */
import type { Dashboard, Example, Lab, SurveyInfo } from '../../workers/api';
import { nearestSame } from './concordance';
import type { PromptStore } from './prompt.svelte';
import { troubleOf, type Trouble } from './trouble';

/** Latents that are kept. */
const KEPT = 24;

export class Dashboards {
  /** Undefined until there is one of the latent that is asked for. */
  shown = $state.raw<Dashboard | undefined>();
  busy = $state(false);
  problem = $state.raw<Trouble | undefined>();
  /** The example that stands in the prompt, and what stood there before. */
  lent = $state.raw<{ example: Example; text: string; before: string; chat: boolean } | undefined>();
  #kept = new Map<string, Dashboard>();
  #abort: AbortController | undefined;
  #ticket = 0;

  constructor(
    private readonly lab: Lab,
    private readonly prompt: PromptStore,
  ) {}

  /** A later call overtakes an earlier one, whose work is called off. */
  async look(survey: SurveyInfo | undefined, latent: number | undefined): Promise<void> {
    const ticket = ++this.#ticket;
    this.#abort?.abort();
    this.problem = undefined;
    const key = `${survey?.id} ${survey?.tokens} ${latent}`;
    this.shown = this.#kept.get(key);
    this.busy = false;
    if (!survey || latent === undefined || this.shown) return;
    const abort = new AbortController();
    this.#abort = abort;
    this.busy = true;
    try {
      const { dictionary, text } = survey;
      const found = await this.lab.dashboard({ dictionary, latent, text }, { signal: abort.signal });
      this.#keep(key, found);
      if (ticket === this.#ticket) this.shown = found;
    } catch (thrown) {
      if (ticket === this.#ticket) this.problem = troubleOf(thrown);
    } finally {
      if (ticket === this.#ticket) this.busy = false;
    }
  }

  #keep(key: string, dashboard: Dashboard): void {
    this.#kept.delete(key);
    this.#kept.set(key, dashboard);
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= KEPT) return;
      this.#kept.delete(oldest);
    }
  }

  /** An example becomes the prompt, its peak selected. What stood there can be put back. */
  async open(example: Example, special: ReadonlySet<number>): Promise<void> {
    const { prompt } = this;
    const { chat } = prompt;
    const before = (this.isLent ? this.lent : undefined) ?? { before: prompt.text, chat: chat.on };
    const ids = example.tokens.map(({ id }) => id);
    const written = await this.lab.decode(ids.filter((id) => !special.has(id)));
    chat.on = false;
    prompt.text = written;
    this.lent = { example, text: written, before: before.before, chat: before.chat };
    await prompt.read();
    prompt.selected = nearestSame(prompt.ids, ids[example.position], example.position);
  }

  /** The prompt is still the example. */
  get isLent(): boolean {
    return this.lent !== undefined && this.prompt.text === this.lent.text && !this.prompt.chat.on;
  }

  putBack(): void {
    const { lent, prompt } = this;
    if (!lent) return;
    prompt.text = lent.before;
    prompt.chat.on = lent.chat;
    this.lent = undefined;
  }
}
