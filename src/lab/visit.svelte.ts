/**
 * The demo world on the bench: what a first visit finds there, what is offered where it is missing, and what lay there before the tour needed the place.
 */
import type { Bench } from './bench.svelte';
import type { DemoWorld } from './demo';
import type { Dial } from './dial';
import { GIFT, isExample, STORY } from './examples';
import { FIRST_PROMPT, type Aside } from './session';

export class Visit {
  /** Instruments whose example was put on the bench, or put away. */
  tried = $state<string[]>([]);
  /** The demo world is on its way. */
  opening = $state(false);
  aside: Aside | undefined;
  /** A dial of the demo's first vector is due, as soon as its vectors are there. */
  #dialDue = false;

  constructor(
    private readonly bench: Bench,
    private readonly demo: DemoWorld,
  ) {}

  get onDemo(): boolean {
    return this.demo.isDemo(this.bench.machine.model);
  }

  /** On the shelf, whether or not it is in use. */
  get kept(): boolean {
    return this.bench.shelf.models.some((model) => this.demo.isDemo(model));
  }

  /** The demo world is on a bench that holds nothing of the person's own: a story to begin with, and a dial to turn. */
  welcome(): void {
    if (!this.onDemo) return;
    if (this.bench.prompt.text === FIRST_PROMPT || this.bench.prompt.text.trim() === '') this.bench.prompt.text = STORY.prompt;
    this.#dialDue = this.bench.dials.list.length === 0;
  }

  /** Asked for by a person: from the site, or from the shelf. */
  async openDemo(): Promise<boolean> {
    if (this.opening) return false;
    this.opening = true;
    try {
      await this.bench.lab.openDemo();
      this.welcome();
      void this.settled();
      return true;
    } catch (thrown) {
      this.bench.toasts.error(thrown);
      return false;
    } finally {
      this.opening = false;
    }
  }

  /** A dial of the demo's first vector. */
  async firstDial(): Promise<Dial | undefined> {
    await this.bench.shelf.refreshVectors();
    const vector = this.bench.shelf.vectors.find((each) => each.model !== undefined && each.model === this.bench.machine.model?.id);
    return vector && (this.bench.dials.list[0] ?? this.bench.dials.add(vector));
  }

  /** An example on the bench, in the instrument that it is for. */
  async tryLens(): Promise<void> {
    this.tried.push('lens');
    this.bench.instrument = 'lens';
    this.bench.prompt.chat.on = false;
    this.bench.prompt.text = GIFT.prompt;
    this.bench.lens.view = 'baseline';
    await this.bench.prompt.read();
    const position = this.bench.prompt.ids.length - 1;
    this.bench.prompt.selected = position;
    this.bench.lens.cell = { layer: this.bench.machine.model?.layers ?? 0, position };
  }

  /** What lies on the bench is the person's own: kept aside while the tour needs the place. */
  setAside(): void {
    const { prompt, stream } = this.bench;
    if (this.aside || (this.onDemo && isExample(prompt.text) && !prompt.chat.on)) return;
    this.aside = {
      ...(this.bench.machine.model ? { model: this.bench.machine.model.id } : {}),
      prompt: prompt.text,
      chat: { on: prompt.chat.on, turns: $state.snapshot(prompt.chat.messages) },
      instrument: this.bench.instrument,
      origin: stream.origin,
      steps: stream.steps,
    };
  }

  putBack(): void {
    const { prompt, stream } = this.bench;
    const aside = this.aside;
    this.aside = undefined;
    if (!aside || !isExample(prompt.text)) return;
    void stream.stop();
    prompt.text = aside.prompt;
    prompt.chat.on = aside.chat.on;
    this.bench.instrument = aside.instrument === 'lens' ? 'lens' : 'generate';
    stream.origin = aside.origin;
    stream.steps = aside.steps;
    const model = this.bench.shelf.models.find(({ id }) => id === aside.model);
    if (model && model.id !== this.bench.machine.model?.id) void this.bench.machine.use(model);
  }

  /** The page has come to rest: the demo's vectors come, if they are due. */
  async settled(): Promise<void> {
    if (!this.onDemo) return;
    if (this.#dialDue && this.bench.dials.list.length === 0) await this.firstDial();
    else await this.bench.shelf.refreshVectors();
    this.#dialDue = false;
  }
}
