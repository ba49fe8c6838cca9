/** What was measured on a device, kept per adapter in a small store of its own: losing it costs one measurement, nothing else. */
import { openDB } from 'idb';

export interface Tuning {
  get(key: string): Promise<unknown>;
  set(key: string, value: unknown): Promise<void>;
}

const STORE = 'choices';

/** Storage that fails is no storage: a device is then measured again at every visit. */
export const keptTuning: Tuning = {
  async get(key) {
    try {
      const db = await open();
      const value: unknown = await db.get(STORE, key);
      db.close();
      return value;
    } catch {
      return undefined;
    }
  },
  async set(key, value) {
    try {
      const db = await open();
      await db.put(STORE, value, key);
      db.close();
    } catch {
      // As above.
    }
  },
};

const open = (): ReturnType<typeof openDB> => openDB('loupe-tuning', 1, { upgrade: (db) => void db.createObjectStore(STORE) });
