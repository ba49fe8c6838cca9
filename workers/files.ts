/**
 * The files worker's work, without the worker: drops opened, the shelf read and cleared, text tokenised. What a browser
 * provides (storage, locks, estimates) is handed in, so that every path runs in a plain test.
 */
import type {
  ChatOptions,
  DictionaryInfo,
  EmbedderInfo,
  FoundLatents,
  Label,
  LensInfo,
  ModelInfo,
  Opened,
  TextInfo,
  VectorInfo,
} from './api';
import type {
  DictionaryRecord,
  EmbedderRecord,
  FilesApi,
  FilesStatus,
  LensDraft,
  LensMap,
  LensRecord,
  ModelRecord,
  OnProgress,
  OpenedFile,
  SurveyKey,
  SurveyRecord,
  TokenChunk,
  Vocabulary,
} from './contract';
import { checkLatent, type Contract } from './dictionary/spec';
import { LabError, throwIfAborted } from './errors';
import type { ReadRequest } from './files-texts';
import { chatTemplateOf, namedTokens, renderChat } from './formats/chat';
import { LOOSE_READERS, type LooseReaders } from './formats/loose-readers';
import { collect, listed, throwAll } from './formats/reasons';
import { ModelTokenizer } from './formats/tokenizer';
import { readVectors } from './formats/vectors';
import { changedContract, dictionaryInfo } from './import-dictionary';
import { labelsIn, ownerOf, readLabels, summary, whose } from './import-labels';
import { later } from './later';
import { OWN, searchLabels } from './library/labels';
import type { Library } from './library/library';
import { familyOf } from './model/families';
import { prependsBos } from './model/family';

import { openDrop } from './open-drop';
import { embedderInfo, lensInfo, textInfo } from './infos';

/** Characters of a label that a person writes. */
const LONGEST_LABEL = 10_000;

export class Files implements FilesApi {
  readonly #jobs = new Map<string, AbortController>();
  readonly #tokenizers = new Map<string, Promise<ModelTokenizer>>();
  /** What reads texts: not needed to start. */
  readonly #readings = later(async () => {
    const { TextReadings } = await import('./files-texts');
    return new TextReadings(this.library, (model) => this.#tokenizer(model));
  });

  readonly #lenses = later(() => import('./import-lens'));

  constructor(
    readonly library: Library,
    readonly readers: LooseReaders = LOOSE_READERS,
  ) {}

  status(): Promise<FilesStatus> {
    return this.library.status();
  }

  /** All or nothing: every model, dictionary and label of a drop is checked before the first byte of any is copied. */
  open(files: readonly OpenedFile[], job: string, progress?: OnProgress): Promise<Opened> {
    return this.#job(job, (signal) =>
      openDrop({ library: this.library, readers: this.readers, lenses: this.#lenses }, files, signal, progress),
    );
  }

  async #job<T>(job: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const abort = new AbortController();
    this.#jobs.set(job, abort);
    try {
      return await work(abort.signal);
    } finally {
      this.#jobs.delete(job);
    }
  }

  async lenses(): Promise<LensInfo[]> {
    return (await this.library.lenses()).map(lensInfo);
  }

  lens(id: string): Promise<LensRecord> {
    return this.library.lens(id);
  }

  async keepLens(draft: LensDraft, maps: readonly LensMap[]): Promise<LensInfo> {
    return lensInfo((await (await this.#lenses()).keep(this.library, { draft, maps: [...maps] })).record);
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

  async embedders(): Promise<EmbedderInfo[]> {
    return (await this.library.embedders()).map(embedderInfo);
  }

  embedder(id: string): Promise<EmbedderRecord> {
    return this.library.embedder(id);
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

  async labels(dictionary: string): Promise<Label[]> {
    return this.library.labels.of(dictionary);
  }

  async label(dictionary: string, latent: number, text: string, note?: string): Promise<void> {
    checkLatent((await this.library.dictionary(dictionary)).spec, latent);
    for (const given of [text, note ?? ''] as unknown[])
      if (typeof given !== 'string' || given.length > LONGEST_LABEL)
        throw new LabError(
          'request-invalid',
          'The label is no text that can be kept.',
          `Give a text of at most ${LONGEST_LABEL} characters.`,
        );
    await this.library.labels.write(dictionary, latent, text.trim(), note?.trim());
  }

  /** Labels whose dictionary is said and not told by the files. All or none. */
  openLabels(files: readonly OpenedFile[], dictionary: string, job: string, progress?: OnProgress): Promise<Opened> {
    return this.#job(job, async (signal) => {
      progress?.({ stage: 'checking', done: 0, of: 0 });
      const owner = ownerOf(await this.library.dictionary(dictionary));
      const found = await labelsIn(files);
      const reasons: LabError[] = [];
      const groups = await readLabels(found, reasons, signal);
      throwAll(reasons);
      const names = new Set(groups.flatMap(({ neuronpedia }) => neuronpedia ?? []));
      if (names.size > 1)
        throw new LabError(
          'labels-whose',
          `These are labels of ${names.size} dictionaries: ${listed([...names])}.`,
          'Give the files of one of them.',
        );
      if (found.files.length === 0)
        throw new LabError(
          'nothing-recognised',
          'None of these files holds labels.',
          'docs/dictionaries.md shows the forms that are read.',
        );
      for (const group of groups) await collect(reasons, () => whose(group, [], owner));
      throwAll(reasons);
      throwIfAborted(signal);
      const batches = groups.map(({ labels }) => ({ dictionary, labels }));
      await this.library.labels.add(batches);
      const left = found.rest.map(({ path, file }) => ({ file: path || file.name, why: 'holds no labels' }));
      return {
        models: [],
        dictionaries: [],
        vectors: [],
        texts: [],
        embedders: [],
        labels: summary(batches),
        ignored: [...found.ignored, ...left],
      };
    });
  }

  async exportLabels(dictionary: string): Promise<{ name: string; text: string }> {
    const own = (await this.library.labels.of(dictionary)).filter(({ source }) => source === OWN);
    const labels = own.map(({ latent, text, note }) => ({ latent, label: text, ...(note !== undefined && { note }) }));
    return { name: 'labels.json', text: `${JSON.stringify({ source: OWN, dictionary, labels }, null, 2)}\n` };
  }

  async findLabels(dictionary: string, words: string, top: number): Promise<FoundLatents> {
    return searchLabels(await this.library.labels.of(dictionary), words, top);
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

  async texts(): Promise<TextInfo[]> {
    return (await this.library.texts()).map(textInfo);
  }

  async textOf(text: string | readonly string[]): Promise<{ id: string; name: string }> {
    return (await this.#readings()).textOf(text);
  }

  async readText(request: ReadRequest): Promise<string> {
    return (await this.#readings()).read(request);
  }

  async nextTokens(reading: string, tokens: number): Promise<TokenChunk> {
    return (await this.#readings()).next(reading, tokens);
  }

  async closeText(reading: string): Promise<void> {
    return (await this.#readings()).close(reading);
  }

  async survey(id: string): Promise<{ record: SurveyRecord; state: Blob } | undefined> {
    return (await this.#readings()).survey(id);
  }

  async surveyId(key: SurveyKey): Promise<string> {
    return (await this.#readings()).surveyId(key);
  }

  async surveys(dictionary?: string): Promise<SurveyRecord[]> {
    return (await this.#readings()).surveys(dictionary);
  }

  keepSurvey(record: Omit<SurveyRecord, 'stored' | 'files' | 'addedAt'>, state: Blob): Promise<void> {
    return this.library.keepSurvey(record, state);
  }

  forgetSurvey(id: string): Promise<void> {
    return this.library.forgetSurvey(id);
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
