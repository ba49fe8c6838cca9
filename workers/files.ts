/**
 * The files worker's work, without the worker: drops opened, the shelf read and cleared, text tokenised. What a browser
 * provides (storage, locks, estimates) is handed in, so that every path runs in a plain test.
 */
import type { ChatOptions, DictionaryInfo, ModelInfo, Opened, VectorInfo } from './api';
import type { DictionaryRecord, FilesApi, FilesStatus, ModelRecord, OnProgress, OpenedFile, Vocabulary } from './contract';
import type { Contract } from './dictionary/spec';
import { throwIfAborted } from './errors';
import { chatTemplateOf, namedTokens, renderChat } from './formats/chat';
import { findDictionaries } from './formats/dictionaries';
import { sortDrop } from './formats/huggingface';
import { LOOSE_READERS, type LooseReaders } from './formats/loose-readers';
import { collect, throwAll } from './formats/reasons';
import { ModelTokenizer } from './formats/tokenizer';
import { readVectors } from './formats/vectors';
import { changedContract, dictionaryInfo, shelfDraft } from './import-dictionary';
import { draftModel } from './import-model';
import { copyMeter, type Library } from './library/library';
import { familyOf } from './model/families';
import { prependsBos } from './model/family';

export class Files implements FilesApi {
  readonly #jobs = new Map<string, AbortController>();
  readonly #tokenizers = new Map<string, Promise<ModelTokenizer>>();

  constructor(
    readonly library: Library,
    readonly readers: LooseReaders = LOOSE_READERS,
  ) {}

  status(): Promise<FilesStatus> {
    return this.library.status();
  }

  /** All or nothing: every model and dictionary of a drop is checked before the first byte of any is copied. */
  async open(files: readonly OpenedFile[], job: string, progress?: OnProgress): Promise<Opened> {
    const abort = new AbortController();
    this.#jobs.set(job, abort);
    try {
      return await this.#open(files, abort.signal, progress);
    } finally {
      this.#jobs.delete(job);
    }
  }

  async #open(files: readonly OpenedFile[], signal: AbortSignal, progress?: OnProgress): Promise<Opened> {
    progress?.({ stage: 'checking', done: 0, of: 0 });
    const { candidates, rest, ignored: beside } = await findDictionaries(files, this.readers);
    const { models: folders, ignored, reasons } = await sortDrop(rest, files, candidates.length > 0);
    const checked = [];
    for (const folder of folders) {
      throwIfAborted(signal);
      const draft = await collect(reasons, () => draftModel(folder, signal));
      if (draft) checked.push({ draft, files: folder.weights.map((each) => each.file) });
    }
    const dictionaries = [];
    for (const candidate of candidates) {
      throwIfAborted(signal);
      const draft = await collect(reasons, () => candidate.read());
      if (draft) dictionaries.push(shelfDraft(draft, signal));
    }
    throwAll(reasons);
    const bytes = [...checked.flatMap((each) => each.files.map((file) => file.size)), ...dictionaries.map(({ source }) => source.bytes)];
    const total = bytes.reduce((sum, size) => sum + size, 0);
    await this.library.makeRoom(total);
    const meter = copyMeter(total, progress);
    const models = new Map<string, ModelInfo>();
    const kept = new Map<string, DictionaryRecord>();
    const fresh: string[] = [];
    try {
      for (const each of checked) {
        throwIfAborted(signal);
        const { record, fresh: isNew } = await this.library.keep(each.draft, each.files, meter, signal);
        models.set(record.id, record.info);
        if (isNew) fresh.push(record.id);
      }
      for (const each of dictionaries) {
        throwIfAborted(signal);
        const { record, fresh: isNew } = await this.library.keepDictionary(each.record, each.source, meter, signal);
        kept.set(record.id, record);
        if (isNew) fresh.push(record.id);
      }
    } catch (thrown) {
      for (const id of fresh) await this.library.remove(id).catch(() => undefined);
      throw thrown;
    }
    const shelf = await this.library.models();
    return {
      models: [...models.values()],
      dictionaries: [...kept.values()].map((record) => dictionaryInfo(record, shelf)),
      vectors: [],
      texts: [],
      ignored: [...ignored, ...beside],
    };
  }

  cancel(job: string): Promise<void> {
    this.#jobs.get(job)?.abort();
    return Promise.resolve();
  }

  async models(): Promise<(ModelInfo & { stored: 'opfs' | 'memory' })[]> {
    return (await this.library.models()).map(({ info, stored }) => ({ ...info, stored }));
  }

  record(id: string): Promise<ModelRecord> {
    return this.library.model(id);
  }

  async dictionaries(): Promise<DictionaryInfo[]> {
    const [records, models] = await Promise.all([this.library.dictionaries(), this.library.models()]);
    return records.map((record) => dictionaryInfo(record, models));
  }

  dictionary(id: string): Promise<DictionaryRecord> {
    return this.library.dictionary(id);
  }

  overrideContract(id: string, change: Partial<Contract>): Promise<DictionaryRecord> {
    return this.library.changeDictionary(id, (record) => ({
      ...record,
      read: record.read ?? record.spec.contract,
      spec: { ...record.spec, contract: changedContract(record, change) },
    }));
  }

  async remove(id: string): Promise<void> {
    await this.library.remove(id);
    this.#tokenizers.delete(id);
  }

  async vocabulary(model: string): Promise<Vocabulary> {
    const [{ vocabulary }, record] = await Promise.all([this.#tokenizer(model), this.library.model(model)]);
    return { ...vocabulary, chat: chatTemplateOf(record) !== undefined };
  }

  async tokenize(model: string, text: string, bos?: boolean): Promise<{ ids: number[]; pieces: string[] }> {
    return (await this.#tokenizer(model)).encode(text, bos);
  }

  async chat(model: string, messages: unknown, options?: ChatOptions): Promise<{ ids: number[]; pieces: string[] }> {
    const [tokenizer, record] = await Promise.all([this.#tokenizer(model), this.library.model(model)]);
    const text = await renderChat(chatTemplateOf(record), messages, options, namedTokens(record.tokenizerConfig));
    // Verbatim: a BOS is the template's to write.
    return tokenizer.encode(text, false);
  }

  async decode(model: string, ids: readonly number[]): Promise<string> {
    return (await this.#tokenizer(model)).decode(ids);
  }

  vectors(): Promise<VectorInfo[]> {
    return this.library.vectors();
  }

  vector(id: string): Promise<{ info: VectorInfo; data: Float32Array }> {
    return this.library.vector(id);
  }

  keepVector(info: Omit<VectorInfo, 'id'>, data: Float32Array): Promise<VectorInfo> {
    return this.library.keepVector(info, data);
  }

  async openVectors({ path, file }: OpenedFile, model: string): Promise<VectorInfo[]> {
    const kept: VectorInfo[] = [];
    for (const { info, data } of await readVectors(file, path.split('/').pop()))
      kept.push(await this.library.keepVector({ ...info, model, norm: 0 }, data));
    return kept;
  }

  /** Built once a model: a 50,000-word vocabulary takes tens of milliseconds. */
  #tokenizer(model: string): Promise<ModelTokenizer> {
    const known = this.#tokenizers.get(model);
    if (known) return known;
    const building = this.library.model(model).then((record) => {
      const family = familyOf(record.config);
      const { tokenizer, tokenizerConfig, generationConfig, config } = record;
      const vocab = record.info.dVocab;
      return new ModelTokenizer({ tokenizer, tokenizerConfig, generationConfig, config, vocab, prependBos: prependsBos(family, config) });
    });
    this.#tokenizers.set(model, building);
    building.catch(() => this.#tokenizers.delete(model));
    return building;
  }
}
