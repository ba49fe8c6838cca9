/**
 * The shelf's records: small things in IndexedDB, tensors by reference. A model exists once its record is written, so that
 * is done last. Records of models that live in memory stay in this tab's memory: their Blobs die with it anyway.
 */
import { openDB, type DBSchema, type IDBPDatabase } from 'idb';
import type { DictionaryRecord, EmbedderRecord, LensRecord, ModelRecord, SurveyRecord, TextRecord } from '../contract';
import type { VectorInfo } from '../api';
import { storageError } from './bytes';
import type { LabelsRecord } from './labels';

export interface VectorRecord {
  id: string;
  info: VectorInfo;
  data: Float32Array;
  addedAt: number;
}

export interface Kinds {
  models: ModelRecord;
  vectors: VectorRecord;
  dictionaries: DictionaryRecord;
  labels: LabelsRecord;
  embedders: EmbedderRecord;
  texts: TextRecord;
  surveys: SurveyRecord;
  lenses: LensRecord;
}
export type Kind = keyof Kinds;

export interface RecordStore {
  all<K extends Kind>(kind: K): Promise<Kinds[K][]>;
  get<K extends Kind>(kind: K, id: string): Promise<Kinds[K] | undefined>;
  put<K extends Kind>(kind: K, record: Kinds[K]): Promise<void>;
  remove(kind: Kind, id: string): Promise<void>;
}

interface Schema extends DBSchema {
  models: { key: string; value: ModelRecord };
  vectors: { key: string; value: VectorRecord };
  dictionaries: { key: string; value: DictionaryRecord };
  labels: { key: string; value: LabelsRecord };
  embedders: { key: string; value: EmbedderRecord };
  texts: { key: string; value: TextRecord };
  surveys: { key: string; value: SurveyRecord };
  lenses: { key: string; value: LensRecord };
}

/** The stores that each version of the database added; what older versions kept stays as it is. */
const ADDED: readonly (readonly Kind[])[] = [
  ['models', 'vectors'],
  ['dictionaries'],
  ['embedders'],
  ['labels'],
  ['texts', 'surveys'],
  ['lenses'],
];
export const DATABASE_VERSION = ADDED.length;

/** Brings a database of any version to today's: it gains what it has not. */
export function upgrade(db: {
  objectStoreNames: { contains(name: Kind): boolean };
  createObjectStore(name: Kind, options: { keyPath: 'id' }): unknown;
}): void {
  for (const kind of ADDED.flat()) if (!db.objectStoreNames.contains(kind)) db.createObjectStore(kind, { keyPath: 'id' });
}

/** The records in IndexedDB; undefined where the browser gives none. */
export async function openIndexedDb(): Promise<RecordStore | undefined> {
  if (typeof indexedDB === 'undefined') return undefined;
  try {
    const db = await openDB<Schema>('loupe', DATABASE_VERSION, {
      upgrade,
      // A newer page in another tab cannot upgrade while this one holds the database.
      blocking: (_current, _blocked, event) => {
        if (event.target instanceof IDBDatabase) event.target.close();
      },
    });
    return new IndexedRecords(db);
  } catch {
    return undefined;
  }
}

class IndexedRecords implements RecordStore {
  constructor(readonly db: IDBPDatabase<Schema>) {}
  async all<K extends Kind>(kind: K): Promise<Kinds[K][]> {
    return (await guarded(this.db.getAll(kind))) as Kinds[K][];
  }
  async get<K extends Kind>(kind: K, id: string): Promise<Kinds[K] | undefined> {
    return (await guarded(this.db.get(kind, id))) as Kinds[K] | undefined;
  }
  async put<K extends Kind>(kind: K, record: Kinds[K]): Promise<void> {
    await guarded(this.db.put(kind, record));
  }
  async remove(kind: Kind, id: string): Promise<void> {
    await guarded(this.db.delete(kind, id));
  }
}

const guarded = <T>(work: Promise<T>): Promise<T> =>
  work.catch((thrown: unknown) => {
    throw storageError(thrown);
  });

export class MemoryRecords implements RecordStore {
  readonly #kinds = {
    models: new Map<string, ModelRecord>(),
    vectors: new Map<string, VectorRecord>(),
    dictionaries: new Map<string, DictionaryRecord>(),
    labels: new Map<string, LabelsRecord>(),
    embedders: new Map<string, EmbedderRecord>(),
    texts: new Map<string, TextRecord>(),
    surveys: new Map<string, SurveyRecord>(),
    lenses: new Map<string, LensRecord>(),
  };
  #of<K extends Kind>(kind: K): Map<string, Kinds[K]> {
    return this.#kinds[kind] as unknown as Map<string, Kinds[K]>;
  }
  all<K extends Kind>(kind: K): Promise<Kinds[K][]> {
    return Promise.resolve([...this.#of(kind).values()]);
  }
  get<K extends Kind>(kind: K, id: string): Promise<Kinds[K] | undefined> {
    return Promise.resolve(this.#of(kind).get(id));
  }
  put<K extends Kind>(kind: K, record: Kinds[K]): Promise<void> {
    this.#of(kind).set(record.id, record);
    return Promise.resolve();
  }
  remove(kind: Kind, id: string): Promise<void> {
    this.#of(kind).delete(id);
    return Promise.resolve();
  }
}
