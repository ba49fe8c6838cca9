/**
 * The shelf: what is kept between visits, and how it gets there without ever being half there.
 *
 * An import writes into a folder of its own, which no record names yet; writing the record last is what makes the model
 * exist. A folder that no record names and no tab is writing is a leftover (cancelled, failed, closed) and is swept.
 */
import type { VectorInfo } from '../api';
import type {
  DictionaryRecord,
  EmbedderRecord,
  FilesStatus,
  LensDraft,
  LensRecord,
  ModelRecord,
  OnProgress,
  StoredFile,
  StoredTensor,
  SurveyRecord,
  TextRecord,
} from '../contract';
import { LabError, throwIfAborted } from '../errors';
import type { ByteStore } from './bytes';
import { modelBusy, storageFull } from './bytes';
import { hashParts, Meter, piecesOf, writeHashed } from './copy';
import { KeptLabels } from './labels';
import { PIECE, readPiece } from '../formats/read';
import type { Locks } from './locks';
import { MemoryRecords, type Kinds, type RecordStore } from './records';

export interface LibraryParts {
  /** Absent: models live in memory. */
  bytes?: ByteStore;
  records?: RecordStore;
  locks: Locks;
  /** Bytes used and allowed, as far as the browser says. */
  estimate(): Promise<{ usage: number; quota: number }>;
  /** Has the browser promised to keep what is stored? Only a page can ask it to. */
  persisted(): Promise<boolean>;
}

/** A model that passed every check, before its bytes are copied. `id`, `files` and `stored` come from the copying. */
export type Draft = Omit<ModelRecord, keyof Shelved>;
export type DraftRecord = Omit<DictionaryRecord, keyof Shelved>;
export type DraftEmbedder = Omit<EmbedderRecord, keyof Shelved>;
export type TextDraft = Omit<TextRecord, keyof Shelved>;
/** What the shelf itself says of whatever has bytes on it. */
type Shelved = Pick<ModelRecord, 'id' | 'files' | 'stored' | 'addedAt'>;
type Bulky = 'models' | 'dictionaries' | 'embedders' | 'texts' | 'surveys' | 'lenses';
const BULKY: readonly Bulky[] = ['dictionaries', 'embedders', 'texts', 'surveys', 'lenses', 'models'];
const PREFIX = {
  models: 'model',
  dictionaries: 'dictionary',
  embedders: 'embedder',
  texts: 'text',
  surveys: 'survey',
  lenses: 'lens',
} as const;
const TITLE = { ...PREFIX, embedders: 'embedding model' } as const;
/** What a survey is of: it goes with any of them. */
const OF: Partial<Record<Bulky, 'model' | 'dictionary' | 'text'>> = { models: 'model', dictionaries: 'dictionary', texts: 'text' };

/** A file on its way to the shelf. Without a `blob` that is these bytes already, one is made where there is no disk. */
export interface Source {
  bytes: number;
  pieces(): AsyncIterable<Uint8Array<ArrayBuffer>>;
  blob?: Blob;
}

export class Library {
  /** Records of what lives in memory, whether or not the rest is kept. */
  readonly #memory = new MemoryRecords();
  readonly #bytes: ByteStore | undefined;
  readonly #kept: RecordStore;
  readonly labels = new KeptLabels(async (id) => this.#home(await this.dictionary(id)));
  #last: Promise<unknown> = Promise.resolve();
  #stamp = 0;

  constructor(readonly parts: LibraryParts) {
    // Tensors without records, or records without tensors, would be half a shelf.
    this.#bytes = parts.records && parts.bytes;
    this.#kept = parts.records ?? this.#memory;
  }

  async status(): Promise<FilesStatus> {
    const [{ usage, quota }, persisted] = await Promise.all([this.parts.estimate(), this.parts.persisted()]);
    return { opfs: this.#bytes !== undefined, persisted, usage, quota };
  }

  models(): Promise<ModelRecord[]> {
    return this.#all('models');
  }

  dictionaries(): Promise<DictionaryRecord[]> {
    return this.#all('dictionaries');
  }

  async model(id: string): Promise<ModelRecord> {
    const record = await this.#get('models', id);
    if (!record) throw new LabError('model-unknown', `No model “${id}” is on the shelf.`, 'Choose one that is, or drop its folder again.');
    return record;
  }

  async dictionary(id: string): Promise<DictionaryRecord> {
    const record = await this.#get('dictionaries', id);
    if (!record)
      throw new LabError('dictionary-unknown', `No dictionary “${id}” is on the shelf.`, 'Choose one that is, or drop its folder again.');
    return record;
  }

  embedders(): Promise<EmbedderRecord[]> {
    return this.#all('embedders');
  }

  async embedder(id: string): Promise<EmbedderRecord> {
    const record = await this.#get('embedders', id);
    if (!record)
      throw new LabError(
        'embedder-unknown',
        `No embedding model “${id}” is on the shelf.`,
        'Choose one of lab.embedders(), or drop its folder again.',
      );
    return record;
  }

  texts(): Promise<TextRecord[]> {
    return this.#all('texts');
  }

  async text(id: string): Promise<TextRecord> {
    const record = await this.#get('texts', id);
    if (!record) throw new LabError('text-unknown', `No text “${id}” is on the shelf.`, 'Choose one that is, or drop its file again.');
    return record;
  }

  lenses(): Promise<LensRecord[]> {
    return this.#all('lenses');
  }

  async lens(id: string): Promise<LensRecord> {
    const record = await this.#get('lenses', id);
    if (!record)
      throw new LabError('lens-unknown', `No lens “${id}” is on the shelf.`, 'Choose one of lab.lenses(), or drop its files again.');
    return record;
  }

  /** Oldest first. */
  surveys(): Promise<SurveyRecord[]> {
    return this.#all('surveys');
  }

  survey(id: string): Promise<SurveyRecord | undefined> {
    return this.#get('surveys', id);
  }

  /** The one file of a text or a survey, to be read in slices. While it is `held` its owner cannot be removed, in any tab. */
  async file(
    { files: [file], stored }: Pick<TextRecord, 'files' | 'stored'>,
    held: 'text' | 'survey',
  ): Promise<{ blob: Blob; release(): void }> {
    if (!file) throw new LabError('internal', 'A record names no file.', 'Please report this.');
    if (stored === 'memory' || !this.#bytes) return { blob: file.blob ?? new Blob(), release: () => undefined };
    const release = await this.parts.locks.take(folderOf(file), 'shared');
    if (!release) throw modelBusy(held);
    try {
      return { blob: await this.#bytes.blob(file.path), release };
    } catch (thrown) {
      release();
      throw thrown;
    }
  }

  async #all<K extends Bulky>(kind: K): Promise<Kinds[K][]> {
    const kept = this.#kept === this.#memory ? [] : await this.#kept.all(kind);
    return [...kept, ...(await this.#memory.all(kind))].sort((a, b) => a.addedAt - b.addedAt);
  }

  async #get<K extends Bulky>(kind: K, id: string): Promise<Kinds[K] | undefined> {
    return (await this.#memory.get(kind, id)) ?? (await this.#kept.get(kind, id));
  }

  /** Records live where their bytes do. */
  #home({ stored }: Pick<ModelRecord, 'stored'>): RecordStore {
    return stored === 'opfs' ? this.#kept : this.#memory;
  }

  /** Refuses before a byte is copied where the browser says that there is no room. */
  async makeRoom(needed: number): Promise<void> {
    if (!this.#bytes) return;
    const { usage, quota } = await this.parts.estimate();
    if (quota > 0 && needed > quota - usage) throw storageFull(needed, Math.max(0, quota - usage));
  }

  /** Copies a model's files and puts it on the shelf. A model that is there already is returned as it is, not `fresh`. */
  keep(draft: Draft, files: readonly File[], meter: Meter, signal?: AbortSignal): Promise<{ record: ModelRecord; fresh: boolean }> {
    const texts = [draft.config, draft.tokenizer, draft.tokenizerConfig, draft.generationConfig].map((each) => JSON.stringify(each));
    if (draft.chatTemplate !== undefined) texts.push(draft.chatTemplate);
    const sources = files.map((file) => ({ bytes: file.size, blob: file, pieces: () => piecesOf(file, file.name, signal) }));
    return this.#shelve('models', sources, texts, (own) => ({ ...draft, ...own, info: { ...draft.info, id: own.id } }), meter, signal);
  }

  /** Likewise a dictionary, whose one file is made as it is written. What it is, and not what it is called, tells it from others. */
  keepDictionary(
    draft: DraftRecord,
    source: Source,
    meter: Meter,
    signal?: AbortSignal,
  ): Promise<{ record: DictionaryRecord; fresh: boolean }> {
    return this.#shelve('dictionaries', [source], [JSON.stringify(draft.spec)], (own) => ({ ...draft, ...own }), meter, signal);
  }

  /** Likewise a sentence encoder, with its ONNX graph. */
  keepEmbedder(draft: DraftEmbedder, file: File, meter: Meter, signal?: AbortSignal): Promise<{ record: EmbedderRecord; fresh: boolean }> {
    const source = { bytes: file.size, blob: file, pieces: () => piecesOf(file, file.name, signal) };
    const texts = [draft.tokenizer, draft.tokenizerConfig, draft.pooling, draft.maxTokens].map((each) => JSON.stringify(each));
    return this.#shelve('embedders', [source], texts, (own) => ({ ...draft, ...own }), meter, signal);
  }

  /** Likewise a text: the dropped file as it is. */
  keepText(draft: TextDraft, file: File, meter: Meter, signal?: AbortSignal): Promise<{ record: TextRecord; fresh: boolean }> {
    const source = { bytes: file.size, blob: file, pieces: () => piecesOf(file, file.name, signal) };
    return this.#shelve('texts', [source], [draft.format], (own) => ({ ...draft, ...own }), meter, signal);
  }

  /** Likewise a lens: the one file that was made of it. */
  keepLens(draft: LensDraft & { tensors: StoredTensor[] }, blob: Blob): Promise<{ record: LensRecord; fresh: boolean }> {
    const source = { bytes: blob.size, blob, pieces: () => blobPieces(blob) };
    return this.#shelve('lenses', [source], [draft.kind], (own) => ({ ...draft, ...own }), copyMeter(blob.size));
  }

  /**
   * Writes a survey over what was kept of it, and what was kept of the same text under another contract goes. Nothing is kept where what it is of
   * has left the shelf meanwhile.
   */
  async keepSurvey(survey: Omit<SurveyRecord, 'stored' | 'files' | 'addedAt'>, state: Blob): Promise<void> {
    const folder = `survey-${crypto.randomUUID()}`;
    const release = await this.parts.locks.take(folder, 'exclusive');
    let kept = false;
    try {
      const source = { bytes: state.size, blob: state, pieces: () => blobPieces(state) };
      const file = await this.#store(folder, 0, source, copyMeter(state.size));
      kept = await this.#inTurn(async () => {
        if (!(await this.#isOfSomething(survey))) return false;
        const all = await this.surveys();
        const outdated = all.filter((each) => each.id === survey.id || (sameReading(each, survey) && each.under !== survey.under));
        const stored = this.#bytes ? 'opfs' : 'memory';
        // In the order of being kept, also within a millisecond.
        const addedAt = Math.max(Date.now(), ...all.map((each) => each.addedAt + 1));
        await (this.#bytes ? this.#kept : this.#memory).put('surveys', { ...survey, stored, files: [file], addedAt });
        for (const each of outdated) await this.#forget(each, each.id !== survey.id);
        return true;
      });
    } finally {
      if (!kept) await this.#bytes?.removeFolder(folder).catch(() => undefined);
      release?.();
    }
  }

  /** A text that was given as strings is nowhere on the shelf and never leaves it. */
  async #isOfSomething({ model, dictionary, text }: Pick<SurveyRecord, 'model' | 'dictionary' | 'text'>): Promise<boolean> {
    const [a, b, c] = await Promise.all([this.#get('models', model), this.#get('dictionaries', dictionary), this.#get('texts', text)]);
    return a !== undefined && b !== undefined && (c !== undefined || !text.startsWith('text-'));
  }

  /** Frees a survey's bytes, and its record where that is not in use for newer ones. What is being read goes at the next sweep. */
  async #forget(record: SurveyRecord, wholly = true): Promise<void> {
    if (wholly) {
      await this.#memory.remove('surveys', record.id);
      await this.#kept.remove('surveys', record.id);
    }
    for (const folder of record.stored === 'opfs' ? foldersOf([record]) : []) {
      const release = await this.parts.locks.take(folder, 'exclusive');
      if (release) await this.#bytes?.removeFolder(folder).catch(() => undefined);
      release?.();
    }
  }

  async forgetSurvey(id: string): Promise<void> {
    await this.#inTurn(async () => {
      const record = await this.survey(id);
      if (record) await this.#forget(record);
    });
  }

  /** Writes a dictionary's record anew, after whatever is being written now. */
  changeDictionary(id: string, change: (record: DictionaryRecord) => DictionaryRecord): Promise<DictionaryRecord> {
    return this.#inTurn(async () => {
      const changed = change(await this.dictionary(id));
      await this.#home(changed).put('dictionaries', changed);
      return changed;
    });
  }

  async #shelve<K extends Bulky>(
    kind: K,
    sources: readonly Source[],
    texts: readonly string[],
    describe: (own: Shelved) => Kinds[K],
    meter: Meter,
    signal?: AbortSignal,
  ): Promise<{ record: Kinds[K]; fresh: boolean }> {
    const before = meter.done;
    const folder = `${PREFIX[kind]}-${crypto.randomUUID()}`;
    const release = await this.parts.locks.take(folder, 'exclusive');
    let fresh = false;
    try {
      const stored: StoredFile[] = [];
      for (const [i, source] of sources.entries()) stored.push(await this.#store(folder, i, source, meter, signal));
      const id = `${PREFIX[kind]}-${(await hashParts([...stored.map((file) => file.sha256), ...texts])).slice(0, 24)}`;
      throwIfAborted(signal);
      const record = describe({ id, stored: this.#bytes ? 'opfs' : 'memory', files: stored, addedAt: Date.now() });
      const there = await this.#commit(kind, record);
      fresh = there === record;
      return { record: there, fresh };
    } catch (thrown) {
      if (!(thrown instanceof LabError) || thrown.code !== 'storage-full') throw thrown;
      await this.#bytes?.removeFolder(folder).catch(() => undefined);
      const { usage, quota } = await this.parts.estimate();
      throw storageFull(
        sources.reduce((sum, source) => sum + source.bytes, 0),
        // What was taken before the disk filled up is a better guide than an estimate that let it come to this.
        Math.max(0, Math.min(quota - usage, meter.done - before)),
      );
    } finally {
      if (!fresh) await this.#bytes?.removeFolder(folder).catch(() => undefined);
      release?.();
    }
  }

  /** Writes a record unless its like is there already, and returns the one that counts. */
  #commit<K extends Bulky>(kind: K, record: Kinds[K]): Promise<Kinds[K]> {
    return this.#inTurn(async () => {
      const there = await this.#intact(kind, record.id);
      if (there) return there;
      await this.#home(record).put(kind, record);
      return record;
    });
  }

  /** One at a time, or twins would both be new. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  async #store(folder: string, index: number, source: Source, meter: Meter, signal?: AbortSignal): Promise<StoredFile> {
    const path = `${folder}/${index}.safetensors`;
    if (!this.#bytes) {
      const parts: Uint8Array<ArrayBuffer>[] = [];
      const sha256 = await writeHashed(
        source.pieces(),
        source.blob ? undefined : { write: (piece) => void parts.push(piece) },
        meter,
        signal,
      );
      return { path, bytes: source.bytes, sha256, blob: source.blob ?? new Blob(parts) };
    }
    const writer = await this.#bytes.create(folder, `${index}.safetensors`);
    let sha256: string;
    try {
      sha256 = await writeHashed(source.pieces(), writer, meter, signal);
    } catch (thrown) {
      await writer.close().catch(() => undefined);
      throw thrown;
    }
    await writer.close();
    return { path, bytes: source.bytes, sha256 };
  }

  /** The record of something whose files are all still there, whole. */
  async #intact<K extends Bulky>(kind: K, id: string): Promise<Kinds[K] | undefined> {
    const record = await this.#get(kind, id);
    if (!record || record.stored === 'memory') return record;
    for (const file of record.files) if ((await this.#bytes?.size(file.path)) !== file.bytes) return undefined;
    return record;
  }

  /** Takes anything off the shelf, with the surveys of it, and frees its bytes. What is being read is left as it is. */
  async remove(id: string): Promise<void> {
    const vector = await this.#kept.get('vectors', id);
    if (vector) return this.#kept.remove('vectors', id);
    if (await this.survey(id)) return this.forgetSurvey(id);
    let kind: Bulky = 'models';
    for (const each of BULKY) if (await this.#get(each, id)) kind = each;
    const record = (await this.#get(kind, id)) ?? (await this.model(id));
    const folders = record.stored === 'opfs' ? foldersOf([record]) : [];
    const held: (() => void)[] = [];
    try {
      for (const folder of folders) {
        const release = await this.parts.locks.take(folder, 'exclusive');
        if (!release) throw modelBusy(TITLE[kind]);
        held.push(release);
      }
      await this.#memory.remove(kind, id);
      await this.#kept.remove(kind, id);
      if (kind === 'dictionaries') await this.labels.forget(this.#home(record), id);
      for (const folder of folders) await this.#bytes?.removeFolder(folder);
    } finally {
      for (const release of held) release();
    }
    const of = OF[kind];
    if (!of) return;
    await this.#inTurn(async () => {
      for (const survey of await this.surveys()) if (survey[of] === id) await this.#forget(survey);
    });
  }

  /** Frees what no record names and no tab is writing. Run at every start. */
  async sweep(): Promise<string[]> {
    const swept: string[] = [];
    for (const folder of (await this.#bytes?.folders()) ?? []) {
      const release = await this.parts.locks.take(folder, 'exclusive');
      if (!release) continue;
      try {
        // Asked anew under the lock: the import that held it may just have written its record.
        const kept: Pick<ModelRecord, 'files'>[] = (await Promise.all(BULKY.map((kind) => this.#kept.all(kind)))).flat();
        if (foldersOf(kept).includes(folder)) continue;
        await this.#bytes?.removeFolder(folder);
        swept.push(folder);
      } catch {
        // Still open somewhere without locks: the next start tries again.
      } finally {
        release();
      }
    }
    return swept;
  }

  async vectors(): Promise<VectorInfo[]> {
    return (await this.#kept.all('vectors')).sort((a, b) => a.addedAt - b.addedAt).map((each) => each.info);
  }

  async vector(id: string): Promise<{ info: VectorInfo; data: Float32Array }> {
    const record = await this.#kept.get('vectors', id);
    if (!record) throw new LabError('vector-unknown', `No vector “${id}” is on the shelf.`, 'Choose one that is, or make it again.');
    return { info: record.info, data: record.data };
  }

  /** The same numbers under the same name at the same hook are the same vector. Its norm is measured here. */
  async keepVector(info: Omit<VectorInfo, 'id'>, data: Float32Array): Promise<VectorInfo> {
    if (data.length === 0 || !data.every(Number.isFinite))
      throw new LabError('vector-garbage', 'A vector must hold numbers, all of them finite.', 'Check where the vector came from.');
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    const id = `vector-${(await hashParts([info.name, info.at, bytes])).slice(0, 24)}`;
    const kept: VectorInfo = { ...info, id, norm: Math.hypot(...chunkNorms(data)) };
    // The shelf shows them as they came, also those of one millisecond.
    this.#stamp = Math.max(this.#stamp + 1, Date.now());
    await this.#kept.put('vectors', { id, info: kept, data: data.slice(), addedAt: this.#stamp });
    return kept;
  }
}

const folderOf = ({ path }: StoredFile): string => path.split('/')[0] ?? '';
const foldersOf = (records: readonly Pick<ModelRecord, 'files'>[]): string[] =>
  [...new Set(records.flatMap((record) => record.files.map(folderOf)))].filter((folder) => folder !== '');

const sameReading = (a: Reading, b: Reading): boolean =>
  a.model === b.model && a.dictionary === b.dictionary && a.text === b.text && a.context === b.context;
type Reading = Pick<SurveyRecord, 'model' | 'dictionary' | 'text' | 'context'>;

async function* blobPieces(blob: Blob): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  for (let at = 0; at < blob.size; at += PIECE) yield await readPiece(blob, at, Math.min(at + PIECE, blob.size), 'A survey');
}

/** A long vector is more arguments than a call takes. */
function chunkNorms(data: Float32Array): number[] {
  const norms: number[] = [];
  for (let at = 0; at < data.length; at += 4096) norms.push(Math.hypot(...data.subarray(at, at + 4096)));
  return norms;
}

export const copyMeter = (bytes: number, progress?: OnProgress): Meter => new Meter('copying', bytes, progress);
