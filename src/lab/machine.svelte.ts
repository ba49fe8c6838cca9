/** What does the work: can anything run, which model is in use, which hooks it has, how much of the GPU is taken. */
import type { DeviceInfo, DictionaryInfo, Hook, Lab, ModelInfo } from '../../workers/api';
import type { EngineEvent } from '../../workers/contract';
import type { LabError } from '../../workers/errors';
import { siteOf, SITES } from './dial';
import { labError } from './jobs';
import type { Toasts } from './toasts.svelte';
import type { Using } from './using';

export interface Loading {
  name: string;
  stage: string;
  done: number;
  of: number;
  secondsLeft?: number;
}

export class Machine {
  phase = $state<'starting' | 'ready' | 'none'>('starting');
  failure = $state.raw<LabError | undefined>();
  model = $state.raw<ModelInfo | undefined>();
  /** How the model in use runs, and how the next will. */
  using = $state.raw<Using>({ weights: 'stored' });
  hooks = $state.raw<{ name: Hook; shape: string[] }[]>([]);
  /** The MLP neurons of the model in use, a dictionary a layer. */
  neurons = $state.raw<DictionaryInfo[]>([]);
  device = $state.raw<DeviceInfo | undefined>();
  special = $state.raw<ReadonlySet<number>>(new Set());
  /** Does the model in use have a chat template? Undefined until it has said. */
  chat = $state<boolean | undefined>();
  loading = $state.raw<Loading | undefined>();
  /** The model that is being put to work. */
  coming = $state.raw<ModelInfo | undefined>();
  lost = $state(false);
  #abort: AbortController | undefined;
  /** What `using` goes back to where a load fails. */
  #settled: Using = this.using;

  constructor(
    private readonly lab: Lab,
    private readonly toasts: Toasts,
  ) {}

  /** Sites in the residual stream that this model has, by layer. */
  sites = $derived.by(() => {
    const found = new Set<string>(this.hooks.flatMap(({ name }) => siteOf(name)?.site ?? []));
    return SITES.filter((site) => found.has(site));
  });

  /** Another model keeps what is done to weights; the type they run in is each model's own. */
  async use(model: ModelInfo, using: Using = { ...this.using, weights: 'stored' }): Promise<void> {
    if (!this.coming) this.#settled = this.using;
    this.#abort?.abort();
    const abort = new AbortController();
    this.#abort = abort;
    this.coming = model;
    this.loading = { name: model.name, stage: 'Loading', done: 0, of: model.bytes };
    try {
      this.using = using;
      await this.lab.use(model.id, using, {
        signal: abort.signal,
        progress: (done, of, detail) => {
          if (this.#abort === abort) this.loading = { name: model.name, stage: 'Loading', done, of, ...detail };
        },
      });
    } catch (thrown) {
      if (this.#abort === abort) this.using = this.#settled;
      this.toasts.error(thrown);
    } finally {
      if (this.#abort === abort) this.loading = this.coming = undefined;
    }
  }

  /** What is done to the weights of the model in use, or of the one that comes; without either, of the next. */
  process(using: Using): void {
    const model = this.coming ?? this.model;
    if (model) void this.use(model, using);
    else this.using = using;
  }

  cancelLoading(): void {
    this.#abort?.abort();
  }

  /** The client says that another model, or none, is in use now; a script may have chosen how. */
  async changed(model: ModelInfo | undefined, using: Using = this.using): Promise<void> {
    this.model = model;
    this.using = using;
    this.chat = undefined;
    if (!model) {
      this.hooks = this.neurons = [];
      return this.refresh();
    }
    try {
      const [hooks, special, neurons] = await Promise.all([this.lab.hooks(), this.lab.special(), this.lab.neurons()]);
      if (this.model !== model) return;
      this.hooks = hooks;
      this.neurons = neurons;
      this.special = new Set(special.ids);
      this.chat = special.chat;
    } catch (thrown) {
      if (this.model === model) this.chat = false;
      this.toasts.error(thrown);
    }
    await this.refresh();
  }

  async refresh(): Promise<void> {
    if (this.phase === 'none') return;
    try {
      this.device = await this.lab.device();
    } catch {
      // The meter keeps its last reading; whoever asked for work is told.
    }
  }

  cannotRun(thrown: unknown): void {
    this.phase = 'none';
    this.failure = labError(thrown);
  }

  heard(event: EngineEvent): void {
    if (event.kind === 'lost') {
      this.lost = true;
      this.toasts.show(
        'error',
        'The GPU was lost.',
        `Everything you see is kept; Loupe is asking for the GPU again. (${event.reason})`,
        'gpu-lost',
      );
    } else if (event.kind === 'restored') {
      this.lost = false;
      for (const toast of this.toasts.items) if (toast.code === 'gpu-lost') this.toasts.dismiss(toast.id);
      this.toasts.show('good', 'The GPU is back.', 'The model is loaded again; go on where you were.');
      void this.refresh();
    } else {
      this.lost = false;
      this.toasts.show('error', event.message, event.hint, event.code);
    }
  }
}
