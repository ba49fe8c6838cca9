/**
 * The text being written. A stream is opened from the prompt, or from the text so far: after a rewind to another sampling, a
 * new dial, a reload or a lost GPU, the kept tokens are read again as they are and generation goes on after them. While it
 * runs, dials are live; what was computed stays as it was computed until the person re-reads it.
 */
import type { Generation, Lab, Step } from '../../workers/api';
import type { Ending } from '../../workers/contract';
import { moved, type LiveDial } from './dial';
import type { Dials } from './dials.svelte';
import { labError } from './jobs';
import type { PromptStore } from './prompt.svelte';
import { FIRST_SAMPLING, type Sampling, type ShownStep } from './session';
import type { Toasts } from './toasts.svelte';

export class Stream {
  sampling = $state<Sampling>({ ...FIRST_SAMPLING });
  steps = $state.raw<ShownStep[]>([]);
  /** The prompt the steps belong to. */
  origin = $state.raw<number[]>([]);
  running = $state(false);
  rereading = $state(false);
  ending = $state<Ending | undefined>();
  problem = $state.raw<{ message: string; hint: string; code: string } | undefined>();
  /** Steered tokens a second, over the current stretch. */
  rate = $state(0);
  #stream = $state.raw<Generation | undefined>();
  #key = '';
  #sent: LiveDial[] = [];
  #turn = 0;

  constructor(
    private readonly lab: Lab,
    private readonly prompt: PromptStore,
    private readonly dials: Dials,
    private readonly toasts: Toasts,
    /** The dictionary whose latents are wanted with each token. */
    private readonly watched: () => string | undefined = () => undefined,
  ) {}

  /** The next position to be written. */
  get end(): number {
    return this.origin.length + this.steps.length;
  }

  /** The prompt was edited since; the text below belongs to the old one. */
  get stale(): boolean {
    return this.steps.length > 0 && this.moved;
  }

  /** The prompt is another than the one that was last written from. */
  get moved(): boolean {
    const { ids } = this.prompt;
    return this.origin.length !== ids.length || this.origin.some((id, i) => id !== ids[i]);
  }

  /** Afresh from the prompt. */
  async generate(): Promise<void> {
    await this.stop();
    this.origin = this.prompt.ids;
    this.steps = [];
    await this.#open();
  }

  /** As many tokens again. */
  continue(): Promise<void> {
    return this.rewind(this.end);
  }

  /** Drops the tokens from `position` on and writes them anew. */
  async rewind(position: number): Promise<void> {
    await this.stop();
    const from = Math.max(position, this.origin.length);
    this.steps = this.steps.slice(0, from - this.origin.length);
    if (!this.#stream || this.problem || this.#key !== this.#setup()) return this.#open();
    const stream = this.#stream;
    const rewound = stream.rewind(from, this.sampling.tokens);
    rewound.catch(() => undefined);
    this.#turnDials();
    await this.#read(stream);
  }

  /** Another word than the one that came: it is put there, and the text goes on from it. */
  async branch(position: number, choice: { id: number; piece: string; probability: number }): Promise<void> {
    const at = this.steps.find((step) => step.position === position);
    if (!at) return;
    await this.stop();
    const kept = this.steps.slice(0, position - this.origin.length);
    this.steps = [...kept, { position, steered: { ...choice, top: at.steered.top }, dials: at.dials, chosen: true }];
    await this.#open();
  }

  async stop(): Promise<void> {
    this.#turn++;
    const stream = this.#stream;
    if (!stream || !this.running) return;
    this.running = false;
    this.ending = 'cancelled';
    await stream.stop().catch(() => undefined);
  }

  /** Recomputes every position so far with today's dials. The text stays; what it would say next may not. */
  async reread(): Promise<void> {
    if (!this.#stream || this.problem || this.rereading) return;
    if (this.#key !== this.#setup()) {
      this.toasts.show(
        'note',
        'The bench has changed since this was written.',
        'Continue reads the whole text again, as the bench is now.',
      );
      return;
    }
    this.#turnDials();
    this.rereading = true;
    try {
      await this.#stream.reread();
    } catch (thrown) {
      this.toasts.error(thrown);
    } finally {
      this.rereading = false;
    }
  }

  /** Is there a cache to re-read? After a reload the text is there, its cache is not. */
  get warm(): boolean {
    return this.#stream !== undefined && this.problem === undefined && this.steps.length > 0;
  }

  /** Live numbers go to the running stream at once; a changed set of dials opens it again from the text so far. */
  follow(): void {
    const { structure, live } = this.dials;
    if (!this.#stream || !this.running) return;
    if (structure + this.#baseline !== this.#structure) void this.continue();
    else this.#turnDials(live);
  }

  /** Another model, or none: the text stays to be read, but nothing can go on from its cache. */
  forget(): void {
    void this.stop();
    this.#stream = undefined;
  }

  #structure = '';

  /** Without a dial the two rows would be the same. */
  get #baseline(): boolean {
    return this.dials.compare && this.dials.inForce.length > 0;
  }

  #setup(): string {
    const { temperature, topK, topP, seed, shadow } = this.sampling;
    return JSON.stringify([
      this.dials.structure,
      this.#baseline,
      temperature,
      topK,
      topP,
      seed,
      shadow,
      this.origin,
      this.watched() ?? null,
    ]);
  }

  #turnDials(live = this.dials.live): void {
    for (const { edit, change } of moved(this.#sent, live)) this.#stream?.dial(edit, change);
    this.#sent = live;
  }

  async #open(): Promise<void> {
    const { tokens, temperature, topK, topP, seed, shadow } = $state.snapshot(this.sampling);
    this.problem = undefined;
    // Both rows of a new stream read the kept text, which is the steered one: what the baseline had said before no longer leads to what it says next.
    if (this.#baseline) this.steps = this.steps.map(({ baseline: _said, ...step }) => step);
    this.#key = this.#setup();
    this.#structure = this.dials.structure + this.#baseline;
    this.#sent = this.dials.live;
    const watched = this.watched();
    this.#stream = this.lab.generate({
      ...(watched === undefined ? {} : { watch: [watched] }),
      prompt: [...this.origin, ...this.steps.map((step) => step.steered.id)],
      promptLength: this.origin.length,
      edits: this.dials.edits(),
      baseline: this.#baseline,
      tokens,
      temperature,
      topK,
      topP,
      seed,
      shadow,
    });
    await this.#read(this.#stream);
  }

  async #read(stream: Generation): Promise<void> {
    const turn = ++this.#turn;
    this.running = true;
    this.ending = undefined;
    this.rate = 0;
    const iterator = stream[Symbol.asyncIterator]();
    let begun = 0;
    let taken = 0;
    try {
      for (;;) {
        const { done, value } = await iterator.next();
        if (turn !== this.#turn) return;
        if (done) break;
        // The first token waits for the prompt to be read: the clock starts when it is there.
        if (taken++ === 0) begun = performance.now();
        else if (taken > 4) this.rate = ((taken - 1) * 1000) / (performance.now() - begun);
        this.steps = [...this.steps, shownStep(value)];
      }
      this.ending = await stream.ended;
    } catch (thrown) {
      if (turn !== this.#turn) return;
      const { message, hint, code } = labError(thrown);
      this.problem = { message, hint, code };
    } finally {
      if (turn === this.#turn) this.running = false;
    }
  }
}

/** How many of a token's latents are shown while text is written. */
const LATENTS = 3;

/** A step as it is kept: of its latents the few strongest, because there are hundreds to a token. */
function shownStep({ latents, truncated: _, ...step }: Step): ShownStep {
  const [first] = Object.entries(latents ?? {});
  return first ? { ...step, latents: { dictionary: first[0], top: first[1].slice(0, LATENTS) } } : step;
}
