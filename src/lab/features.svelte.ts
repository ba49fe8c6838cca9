/** What one dictionary finds in the prompt, with the dials in force and, to compare, without them; and the latent that is looked at. */
import type { DictionaryInfo, Edit, Lab, LatentInfo, ModelInfo, SparseRows } from '../../workers/api';
import type { Dials } from './dials.svelte';
import { labError } from './jobs';
import type { LabelsStore } from './labels.svelte';
import { activeAt, along, peak, samePlace, startOf, strongest, tokensOf, type LatentSort } from './latents';
import type { Machine } from './machine.svelte';
import { isNeurons, layerOf, neuronsNear } from './neurons';
import type { PromptStore } from './prompt.svelte';
import type { FeaturesChoice } from './session';
import type { Shelf } from './shelf.svelte';

/** Tokens that are encoded at most, and latents in the overview. */
export const MOST_TOKENS = 512;
export const SHOWN = 10;
const TOP = 8;

export interface Encoded {
  /** Of which dictionary, of which tokens. */
  dictionary: string;
  tokens: { id: number; piece: string }[];
  edited: SparseRows;
  baseline?: SparseRows;
}
export interface Looked {
  dictionary: string;
  latent: number;
  info: LatentInfo;
}

export class FeaturesStore {
  chosen = $state<string | undefined>();
  latent = $state<number | undefined>();
  /** The text that the dictionary is to read; without a choice, one that it has read, or the newest. */
  text = $state<string | undefined>();
  live = $state(true);
  sort = $state<LatentSort>('value');
  /** The dictionary that is read beside it. */
  besideId = $state<string | undefined>();
  /** On what share of a text's tokens each latent of a dictionary is active, where somebody has counted: what “rare” then means. */
  density = $state.raw<{ dictionary: string; of: (latent: number) => number | undefined } | undefined>();
  view = $state<'edited' | 'baseline'>('edited');
  encoded = $state.raw<Encoded | undefined>();
  #looked = $state.raw<Looked | undefined>();
  busy = $state(false);
  problem = $state.raw<{ message: string; hint: string; code: string } | undefined>();
  /** Dictionaries that are on the GPU beside this model, which takes them along when it goes. */
  #ready = $state.raw<{ model: ModelInfo; ids: readonly string[] } | undefined>();
  #ticket = 0;
  #look = 0;

  constructor(
    private readonly lab: Lab,
    private readonly machine: Machine,
    private readonly shelf: Shelf,
    private readonly prompt: PromptStore,
    private readonly dials: Dials,
    private readonly labels?: Pick<LabelsStore, 'text'>,
  ) {}

  /** Those on the shelf, and the neurons of the model in use. */
  dictionaries: readonly DictionaryInfo[] = $derived.by(() => [...this.shelf.dictionaries, ...this.machine.neurons]);
  /** The chosen one; without a choice, the first on the shelf that fits. */
  dictionary: DictionaryInfo | undefined = $derived.by(
    () => this.dictionaries.find(({ id }) => id === this.chosen) ?? this.shelf.dictionaries.find((each) => this.fits(each)),
  );
  /** Are neurons looked at? Then the layer that they are of. */
  layer: number | undefined = $derived(this.dictionary && isNeurons(this.dictionary.id) ? layerOf(this.dictionary.id) : undefined);
  working: DictionaryInfo | undefined = $derived(this.dictionary && this.fits(this.dictionary) ? this.dictionary : undefined);
  /** The dictionary whose latents can be told live: one that the person chose, or the first that fits, once it is on the GPU. */
  heard: string | undefined = $derived.by(() => {
    const { working } = this;
    return working && (working.id === this.chosen || this.#isReady(working)) ? working.id : undefined;
  });
  /** The one to encode live while text is written. */
  watched: string | undefined = $derived(this.live ? this.heard : undefined);

  #here: Encoded | undefined = $derived(this.encoded?.dictionary === this.working?.id ? this.encoded : undefined);
  tokens: Encoded['tokens'] = $derived(this.#here?.tokens ?? []);
  compared: boolean = $derived(this.#here?.baseline !== undefined);
  result: SparseRows | undefined = $derived(this.view === 'baseline' ? (this.#here?.baseline ?? this.#here?.edited) : this.#here?.edited);
  /** Positions of special tokens. */
  special: ReadonlySet<number> = $derived(new Set(this.tokens.flatMap(({ id }, i) => (this.machine.special.has(id) ? [i] : []))));
  #counts: ReadonlyMap<number, number> = $derived(tokensOf(this.result?.rows ?? []));
  /** The selected token; the last where none of these is. */
  position: number = $derived.by(() => {
    const { selected } = this.prompt;
    return selected !== undefined && selected < this.tokens.length ? selected : this.tokens.length - 1;
  });
  active = $derived(
    activeAt(this.result?.rows ?? [], this.position, this.#counts, this.sort, {
      label: (latent) => this.labels?.text(this.working?.id, latent),
      density: (latent) => (this.density?.dictionary === this.working?.id ? this.density?.of(latent) : undefined),
    }),
  );
  overview = $derived(strongest(this.result?.rows ?? [], this.special, SHOWN));
  along: number[] = $derived(this.latent === undefined ? [] : along(this.result?.rows ?? [], this.latent));
  peak: number = $derived(peak(this.along, this.special));
  info: LatentInfo | undefined = $derived(
    this.#looked?.dictionary === this.working?.id && this.#looked?.latent === this.latent ? this.#looked?.info : undefined,
  );

  fits({ fits }: DictionaryInfo): boolean {
    const { model } = this.machine;
    return model !== undefined && fits.includes(model.id);
  }

  #isReady({ id }: DictionaryInfo): boolean {
    return this.#ready !== undefined && this.#ready.model === this.machine.model && this.#ready.ids.includes(id);
  }
  #nowReady(id: string, model: ModelInfo | undefined): void {
    if (!model || model !== this.machine.model) return;
    const ids = this.#ready?.model === model ? this.#ready.ids : [];
    if (!ids.includes(id)) this.#ready = { model, ids: [...ids, id] };
  }

  /** The first that fits is fetched unasked, for its live latents, when nothing waits for the GPU: never before a first token. */
  async bring(): Promise<void> {
    const { working } = this;
    const { model } = this.machine;
    const [first] = this.prompt.tokens;
    if (!working || !this.live || this.heard !== undefined || !first) return;
    // Where it fails, whoever opens it in Features is told why.
    await this.lab.encode({ dictionary: working.id, prompt: [first.id] }).then(
      () => this.#nowReady(working.id, model),
      () => undefined,
    );
  }

  choose(id: string): void {
    if (id === this.chosen) return;
    this.chosen = id;
    this.latent = undefined;
    this.problem = undefined;
  }

  /** The other one of the two that are read side by side takes the front, on this latent. */
  swap(latent: number): void {
    const [front, beside] = [this.working, this.beside];
    if (!front || !beside) return;
    this.choose(beside.id);
    this.besideId = front.id;
    this.latent = latent;
  }

  /** The neurons of a layer; without one, of that which was looked at last, or of the middle. */
  chooseNeurons(layer?: number): void {
    const found = neuronsNear(this.machine.neurons, layer ?? (isNeurons(this.chosen) ? layerOf(this.chosen ?? '') : undefined));
    if (found) this.choose(found.id);
  }

  /** Another model works: what was read of the one before is none of its. */
  forget(): void {
    this.#ticket++;
    this.#look++;
    this.encoded = this.#looked = undefined;
    this.busy = false;
  }

  restore({ dictionary, latent, live, beside }: FeaturesChoice): void {
    this.besideId = beside;
    this.chosen = dictionary;
    this.latent = latent;
    this.live = live;
  }

  choice(): FeaturesChoice {
    const { chosen, latent, live, besideId } = this;
    return {
      ...(chosen === undefined ? {} : { dictionary: chosen }),
      ...(latent === undefined ? {} : { latent }),
      ...(besideId === undefined ? {} : { beside: besideId }),
      live,
    };
  }

  /** A dictionary left the shelf. */
  keepOnly(dictionaries: readonly DictionaryInfo[]): void {
    if (this.chosen === undefined || isNeurons(this.chosen) || dictionaries.some(({ id }) => id === this.chosen)) return;
    this.chosen = this.latent = undefined;
    this.encoded = undefined;
  }

  /** Where a dial of a latent starts on this prompt. */
  startOf(latent: number): number {
    return startOf(this.#here?.edited.rows ?? [], latent, this.special);
  }

  async run(): Promise<void> {
    const ticket = ++this.#ticket;
    const dictionary = this.working?.id;
    const { model } = this.machine;
    const tokens = this.prompt.tokens.slice(0, MOST_TOKENS).map(({ id, piece }) => ({ id, piece }));
    if (dictionary === undefined || tokens.length === 0) {
      this.encoded = undefined;
      return;
    }
    this.busy = true;
    try {
      const ids = tokens.map(({ id }) => id);
      const ask = (edits: Edit[]) => this.lab.encode({ dictionary, prompt: ids, edits });
      const edited = await ask(this.dials.edits());
      const baseline = this.dials.active && this.dials.compare ? await ask([]) : undefined;
      if (ticket !== this.#ticket) return;
      this.#nowReady(dictionary, model);
      this.encoded = { dictionary, tokens, edited, ...(baseline ? { baseline } : {}) };
      this.problem = undefined;
    } catch (thrown) {
      if (ticket === this.#ticket) this.#failed(thrown);
    } finally {
      if (ticket === this.#ticket) this.busy = false;
    }
  }

  /** What the weights of the chosen latent say. */
  async look(): Promise<void> {
    const ticket = ++this.#look;
    const { working, latent } = this;
    if (!working || latent === undefined) return;
    try {
      const info = await this.lab.latent({ dictionary: working.id, latent, top: TOP });
      if (ticket === this.#look) this.#looked = { dictionary: working.id, latent, info };
    } catch (thrown) {
      if (ticket !== this.#look) return;
      // An earlier version of the dictionary may have had more of them.
      if (labError(thrown).code === 'latent-range') this.latent = undefined;
      else this.#failed(thrown);
    }
  }

  #failed(thrown: unknown): void {
    const { message, hint, code } = labError(thrown);
    if (code !== 'cancelled') this.problem = { message, hint, code };
  }
}
