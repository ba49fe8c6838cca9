/**
 * The demo world on the bench: what a first visit finds there, what is offered where it is missing, and what lay there before the tour needed the place.
 */
import type { Bench } from './bench.svelte';
import type { DemoWorld } from './demo';
import { onShelf, type Dial } from './dial';
import { GIFT, isExample, STORY } from './examples';
import { FIRST_PROMPT, type Aside } from './session';

export class Visit {
  /** Instruments whose example was put on the bench, or put away. */
  tried = $state<string[]>([]);
  /** The demo world is on its way. */
  opening = $state(false);
  /** What the tour took off the bench; what was not put back is offered (bench/PutBack.svelte). */
  asides = $state.raw<readonly Aside[]>([]);
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
    this.#dialDue = this.bench.dials.list.length === 0 && !this.bench.stream.steps.length;
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
    const own = this.bench.shelf.vectors.filter((each) => each.model !== undefined && each.model === this.bench.machine.model?.id);
    const there = this.bench.dials.inForce.find((dial) => own.some(({ id }) => id === dial.vector));
    const [first] = own;
    return there ?? (first && this.bench.dials.add(first));
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

  /**
   * What lies on the bench is the person's own: kept aside while the tour needs the place. What it finds when it begins comes first; what was
   * written in the middle of it comes after.
   */
  setAside(): void {
    const { prompt, stream, dials, machine, tour } = this.bench;
    const example = this.onDemo && isExample(prompt.text) && !prompt.chat.on;
    if (example && (tour.state.open || stream.steps.length === 0)) return;
    const aside: Aside = {
      ...(machine.model ? { model: machine.model.id } : {}),
      using: machine.using,
      prompt: prompt.text,
      chat: { on: prompt.chat.on, turns: $state.snapshot(prompt.chat.messages) },
      instrument: this.bench.instrument,
      origin: stream.origin,
      steps: stream.steps,
      dials: $state.snapshot(dials.list),
      compare: dials.compare,
    };
    this.asides = tour.state.open ? [...this.asides, aside] : [aside, ...this.asides];
  }

  /** On leaving the tour: unless the bench now holds something of the person's own. */
  putBack(): void {
    if (isExample(this.bench.prompt.text)) this.restore();
  }

  /** The first that was set aside comes back; what is on the bench gives way. */
  restore(): void {
    const { prompt, stream, dials, machine, shelf } = this.bench;
    const [aside, ...rest] = this.asides;
    if (!aside) return;
    this.asides = rest;
    void stream.stop();
    prompt.text = aside.prompt;
    prompt.chat.on = aside.chat.on;
    this.bench.instrument = aside.instrument;
    dials.list = onShelf(aside.dials, shelf.vectors, shelf.dictionaries);
    dials.compare = aside.compare;
    stream.origin = aside.origin;
    stream.steps = aside.steps;
    const model = shelf.models.find(({ id }) => id === aside.model);
    if (model && model.id !== machine.model?.id) void machine.use(model, aside.using);
  }

  forget(): void {
    this.asides = this.asides.slice(1);
  }

  /** The page has come to rest: the demo's vectors and then its dictionaries come, if they are due. */
  async settled(): Promise<void> {
    if (!this.onDemo) return;
    const untouched = this.bench.dials.list.length === 0 && !this.bench.stream.running && !this.bench.stream.steps.length;
    if (this.#dialDue && untouched) await this.firstDial();
    else await this.bench.shelf.refreshVectors();
    this.#dialDue = false;
    await this.demo.follow((files) => this.bench.lab.open(files)).catch((thrown: unknown) => this.bench.toasts.error(thrown));
  }
}
