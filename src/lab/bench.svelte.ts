/**
 * All the stores of the page, and what makes one follow another: a new model reads the prompt anew, a moved dial reaches the
 * stream, the session is kept. Components get it by `useBench()`.
 */
import { getContext, setContext, untrack } from 'svelte';
import type { DictionaryInfo, Lab, ModelInfo, TextInfo, VectorInfo } from '../../workers/api';
import type { AttentionStore } from './attention.svelte';
import type { LabChange } from './client';
import type { DemoWorld } from './demo';
import { onShelf } from './dial';
import { Dials } from './dials.svelte';
import { FeaturesStore } from './features.svelte';
import { followReading } from './follow.svelte';
import { LabelsStore } from './labels.svelte';
import { LensStore } from './lens.svelte';
import { Machine } from './machine.svelte';
import { isNeurons } from './neurons';
import type { PatchStore } from './patch.svelte';
import type { Quiet } from './quiet';
import { PromptStore } from './prompt.svelte';
import { saidIn } from './said';
import { loadSession, saveSession, type Instrument, type Session } from './session';
import { Shelf } from './shelf.svelte';
import { Stream } from './stream.svelte';
import { ThemeStore } from './theme.svelte';
import { Toasts } from './toasts.svelte';
import { Tour } from './tour.svelte';
import { Visit } from './visit.svelte';

/** How long the lab waits for the demo at a first visit, in milliseconds; then it opens without, and the demo comes when it comes. */
const PATIENCE = 15_000;

/** What an instrument with a store of its own shows of it. */
export interface Opened extends Partial<Record<Instrument, { script(): readonly string[] | undefined }>> {
  attention?: AttentionStore;
  patch?: PatchStore;
}

export class Bench {
  readonly toasts = new Toasts();
  readonly theme = new ThemeStore();
  readonly machine: Machine;
  readonly shelf: Shelf;
  readonly prompt: PromptStore;
  readonly dials: Dials;
  readonly stream: Stream;
  readonly lens: LensStore;
  readonly features: FeaturesStore;
  readonly labels: LabelsStore;
  instrument = $state<Instrument>('generate');
  /** Everything is kept for use without a network. */
  offline = $state(false);
  /** The dial being added, so that its slider is set once its residual is measured. */
  fresh: string | undefined;
  /** The dial that was just made from the shelf: its slider takes the focus. */
  freshDial: string | undefined;
  /** The turn that was just added: its field takes the focus. */
  freshTurn: number | undefined;
  /** Instruments that come when they are first opened, as others see them: the tour, and the script of what is on the screen. */
  opened = $state.raw<Opened>({});
  readonly tour: Tour;
  readonly visit: Visit;
  /** A turn is being kept. */
  #keeping = false;
  /** The prompt whose text was kept as a turn last. */
  keptFrom = $state.raw<readonly number[] | undefined>();
  #session: Session = loadSession();
  #restored = false;
  /** The demo's model, where this visit put it on the shelf. */
  #first: ModelInfo | undefined;

  constructor(
    readonly lab: Lab,
    private readonly quiet: Quiet,
    readonly demo: DemoWorld,
    /** May it come by itself at a first visit? */
    private readonly welcomesDemo: boolean,
  ) {
    this.machine = new Machine(lab, this.toasts);
    this.shelf = new Shelf(lab, this.machine, this.toasts, ({ dictionaries: [first], texts: [text] }) => {
      if (first) this.openFeatures(first);
      if (text) this.offer(text);
    });
    this.prompt = new PromptStore(lab, this.machine);
    this.dials = new Dials(
      lab,
      () => this.machine.model?.id,
      () => this.features.dictionaries,
      () => this.prompt.ids.length,
    );
    this.labels = new LabelsStore(lab);
    this.features = new FeaturesStore(lab, this.machine, this.shelf, this.prompt, this.dials, this.labels);
    this.stream = new Stream(lab, this.prompt, this.dials, this.toasts, () => this.features.watched);
    this.lens = new LensStore(lab, this.prompt, this.dials, this.stream);
    this.machine.using = this.#session.using;
    const { prompt, chat, sampling, origin, steps, instrument, features, master, compare } = this.#session;
    this.prompt.text = prompt;
    for (const { role, content } of chat.turns) this.prompt.chat.add(role, content);
    this.prompt.chat.on = chat.on;
    this.stream.sampling = { ...sampling };
    this.stream.origin = origin;
    this.stream.steps = steps;
    this.instrument = instrument;
    this.features.restore(features);
    this.dials.master = master;
    this.dials.compare = compare;
    this.tour = new Tour(this);
    Object.assign(this.tour.state, this.#session.tour);
    this.visit = new Visit(this, demo);
    this.visit.tried = this.#session.tried;
    this.visit.asides = this.#session.asides;
  }

  /** While the engine starts: the shelf is read, and at a first visit the demo world is put on it. */
  async prepare(): Promise<void> {
    const due = this.welcomesDemo && this.#session.model === undefined && !this.demo.state.removed;
    if (due && this.demo.state.model === undefined) void this.demo.fetch().catch(() => undefined);
    await Promise.all([
      this.shelf.refreshModels(),
      this.shelf.refreshVectors(),
      this.shelf.refreshDictionaries(),
      this.shelf.refreshTexts(),
    ]);
    if (!due) return;
    // A visit that was cut short has left it on the shelf.
    this.#first = this.shelf.models.find((model) => this.demo.isDemo(model));
    if (this.shelf.models.length > 0) return;
    this.visit.opening = true;
    const late = { is: false };
    const shelved = this.demo
      .shelve((files) => this.lab.open(files))
      .then((model) => {
        this.#first = model;
        if (late.is && this.#free) return this.#begin(model);
        return undefined;
      })
      .catch((thrown: unknown) => this.toasts.error(thrown))
      .finally(() => (this.visit.opening = false));
    await Promise.race([shelved, new Promise((resolve) => setTimeout(resolve, PATIENCE))]);
    late.is = true;
  }

  /** Nobody has put a model to work, or is about to. */
  get #free(): boolean {
    return !this.lab.model() && !this.machine.coming && !this.shelf.importing;
  }

  /** The demo's model goes to work at a first visit. */
  async #begin(model: ModelInfo): Promise<void> {
    await this.machine.use(model, this.#session.using);
    this.visit.welcome();
  }

  /** Before lab.ready: the session's model is put to work, where it is still there, or the demo's. */
  async restore(): Promise<void> {
    this.dials.list = onShelf(this.#session.dials, this.shelf.vectors, this.shelf.dictionaries);
    this.features.keepOnly(this.shelf.dictionaries);
    const model = this.shelf.models.find(({ id }) => id === this.#session.model);
    // What was dropped, or asked for by a script, while the engine started comes before what was here.
    if (this.#free) {
      if (model) await this.machine.use(model, this.#session.using);
      else if (this.#first) await this.#begin(this.#first);
    }
    this.#restored = true;
  }

  /** A dial from a vector of the shelf. One that says what works well starts there; the focus goes to its slider. */
  dialFrom(vector: VectorInfo): void {
    const dial = this.dials.add(vector);
    this.freshDial = dial.id;
  }

  /** Features, on this dictionary and perhaps this latent. */
  openFeatures({ id }: Pick<DictionaryInfo, 'id'>, latent?: number): void {
    this.features.choose(id);
    if (latent !== undefined) this.features.latent = latent;
    this.instrument = 'features';
  }

  /** The dictionary that would read a text: the one in use, or the first that fits. Neurons read none. */
  get reader(): DictionaryInfo | undefined {
    const { working } = this.features;
    if (working && !isNeurons(working.id)) return working;
    return this.shelf.dictionaries.find((each) => this.features.fits(each));
  }

  /** Features, about to read this text; where no dictionary could, it only lies on the shelf. */
  offer({ id }: Pick<TextInfo, 'id'>): void {
    this.features.text = id;
    const { reader } = this;
    if (!reader) return;
    if (reader.id !== this.features.working?.id) this.features.choose(reader.id);
    this.instrument = 'features';
  }

  /** A dial of a latent, set well above what it is on this prompt; the focus goes to its slider. */
  turnUp(dictionary: DictionaryInfo, latent: number): void {
    this.freshDial = this.dials.addLatent(dictionary, latent, this.features.startOf(latent)).id;
  }

  heard(change: LabChange): void {
    switch (change.kind) {
      case 'shelf':
        void this.shelf.refreshModels();
        void this.shelf.refreshTexts();
        void this.labels.again();
        void this.shelf.refreshDictionaries().then(() => {
          this.dials.keepLatents();
          this.features.keepOnly(this.shelf.dictionaries);
        });
        break;
      case 'vectors':
        void this.shelf.refreshVectors().then(() => this.dials.keepOnly(this.shelf.vectors));
        break;
      case 'labels':
        void this.labels.again(change.dictionaries);
        break;
      case 'device':
        this.machine.heard(change.event);
        break;
      case 'trouble':
        this.toasts.error(change.error);
        break;
      case 'model':
        this.stream.forget();
        if (!change.model && this.tour.state.open) this.tour.leave();
        if (change.model?.id !== this.machine.model?.id) {
          this.prompt.forget();
          this.features.forget();
          if (change.model) void this.lens.trackAgain();
        }
        void this.machine.changed(change.model, change.using).then(() => this.prompt.read());
        break;
    }
  }

  /** What follows what, until the page goes. To be called in a component. */
  follow(): void {
    followReading(this);
    $effect(() => {
      void this.dials.structure;
      void this.dials.live;
      void this.dials.compare;
      untrack(() => this.stream.follow());
    });
    $effect(() => {
      void [this.tour.seen, this.tour.state.open];
      untrack(() => this.tour.watch());
    });
    $effect(() => {
      const session = this.#snapshot();
      if (!this.#restored) return;
      const timer = setTimeout(() => saveSession(session), 400);
      return () => clearTimeout(timer);
    });
    $effect(() => {
      const timer = setInterval(() => document.visibilityState === 'visible' && void this.machine.refresh(), 3000);
      return () => clearInterval(timer);
    });
  }

  /** The page's own reading of the model: after a moment, and not while a script is at work. Gives back how to call it off. */
  whenQuiet(wait: number, work: () => Promise<unknown>): () => void {
    let wanted = true;
    const timer = setTimeout(() => void this.quiet.wait().then(() => (wanted ? work() : undefined)), wait);
    return () => {
      wanted = false;
      clearTimeout(timer);
    };
  }

  /**
   * The text that was written becomes a turn of the conversation; the fresh turn is where the person goes on. Once only, however
   * often it is asked for: until the turns are read again, the text still stands after the prompt it was written for.
   */
  async keepTurn(): Promise<void> {
    if (this.#keeping) return;
    this.#keeping = true;
    const { origin, steps } = this.stream;
    try {
      const said = await saidIn(
        this.lab,
        origin,
        steps.map((step) => step.steered.id),
        this.machine.special,
      );
      this.freshTurn = this.prompt.chat.keep(said).key;
      this.keptFrom = origin;
      await this.prompt.read();
    } catch (thrown) {
      this.toasts.error(thrown);
    } finally {
      this.#keeping = false;
    }
  }

  async measure(ids: readonly number[]): Promise<void> {
    const fresh = this.fresh;
    this.fresh = undefined;
    await this.dials.measure(ids, fresh);
  }

  /** At once, without waiting: the page is being hidden or closed. */
  save(): void {
    if (this.#restored) saveSession(this.#snapshot());
  }

  #snapshot(): Session {
    // A model that could not be loaded this time may be loaded the next: its id is kept.
    const model = this.machine.model?.id ?? this.#session.model;
    return {
      ...(model === undefined ? {} : { model }),
      using: this.machine.using,
      prompt: this.prompt.text,
      chat: { on: this.prompt.chat.on, turns: $state.snapshot(this.prompt.chat.messages) },
      instrument: this.instrument,
      features: this.features.choice(),
      dials: $state.snapshot(this.dials.list),
      master: this.dials.master,
      compare: this.dials.compare,
      sampling: $state.snapshot(this.stream.sampling),
      origin: this.stream.origin,
      steps: this.stream.steps,
      tour: $state.snapshot(this.tour.state),
      tried: $state.snapshot(this.visit.tried),
      asides: $state.snapshot(this.visit.asides),
    };
  }
}

const KEY = Symbol('bench');
export const provideBench = (bench: Bench): Bench => setContext(KEY, bench);
export const useBench = (): Bench => getContext<Bench>(KEY);
