/** What is on the shelf, and what is on its way there. A failed or cancelled import leaves the shelf as it was. */
import type { DictionaryInfo, Lab, ModelInfo, Opened, TextInfo, VectorInfo } from '../../workers/api';
import type { LabError } from '../../workers/errors';
import { labError } from './jobs';
import type { Loading, Machine } from './machine.svelte';
import type { Toasts } from './toasts.svelte';

export class Shelf {
  models = $state.raw<ModelInfo[]>([]);
  vectors = $state.raw<VectorInfo[]>([]);
  dictionaries = $state.raw<DictionaryInfo[]>([]);
  texts = $state.raw<TextInfo[]>([]);
  importing = $state.raw<Loading | undefined>();
  /** Why the last drop was refused: one entry a reason. */
  problems = $state.raw<LabError | undefined>();
  ignored = $state.raw<Opened['ignored']>([]);
  /** Undefined until known. */
  keeps = $state<boolean | undefined>();
  #abort: AbortController | undefined;

  constructor(
    private readonly lab: Lab,
    private readonly machine: Machine,
    private readonly toasts: Toasts,
    /** Dictionaries or texts were dropped here, the model that came with them is at work. */
    private readonly dropped: (opened: Opened) => void = () => undefined,
  ) {}

  async #tried(work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (thrown) {
      this.toasts.error(thrown);
    }
  }

  refreshModels(): Promise<void> {
    return this.#tried(async () => {
      this.models = await this.lab.models();
      this.keeps = (await this.lab.storage()).opfs;
    });
  }

  refreshDictionaries(): Promise<void> {
    return this.#tried(async () => (this.dictionaries = await this.lab.dictionaries()));
  }

  refreshVectors(): Promise<void> {
    return this.#tried(async () => (this.vectors = await this.lab.vectors()));
  }

  refreshTexts(): Promise<void> {
    return this.#tried(async () => (this.texts = await this.lab.texts()));
  }

  async open(files: readonly { path: string; file: File }[]): Promise<void> {
    if (files.length === 0 || this.importing) return;
    this.problems = undefined;
    this.ignored = [];
    const abort = new AbortController();
    this.#abort = abort;
    const name = files.length === 1 ? (files[0]?.path ?? '') : `${files.length} files`;
    const of = files.reduce((sum, { file }) => sum + file.size, 0);
    this.importing = { name, stage: 'Reading', done: 0, of };
    try {
      const opened = await this.lab.open(files, {
        signal: abort.signal,
        progress: (done, total, detail) => (this.importing = { name, stage: 'Reading', done, of: total, ...detail }),
      });
      this.ignored = opened.ignored;
      this.importing = undefined;
      const [model] = opened.models;
      if (model && this.machine.phase !== 'none') await this.machine.use(model);
      if (opened.dictionaries.length) await this.refreshDictionaries();
      if (opened.texts.length) await this.refreshTexts();
      this.dropped(opened);
      for (const { dictionary, count, source } of opened.labels) {
        const name = this.dictionaries.find(({ id }) => id === dictionary)?.name ?? dictionary;
        this.toasts.show('good', `${count === 1 ? 'One label' : `${count} labels`} for “${name}”, by ${source}.`);
      }
    } catch (thrown) {
      const error = labError(thrown);
      if (error.code !== 'cancelled') this.problems = error;
    } finally {
      this.importing = undefined;
    }
  }

  cancel(): void {
    this.#abort?.abort();
  }

  remove(id: string): Promise<void> {
    return this.#tried(() => this.lab.remove(id));
  }
}
