/** A disk in memory for tests: it can fill up, and it remembers what lies on it. */
import { storageFull, type ByteStore, type ByteWriter } from '../../../workers/library/bytes';
import { Library } from '../../../workers/library/library';
import { noLocks, type Locks } from '../../../workers/library/locks';
import { MemoryRecords, type RecordStore } from '../../../workers/library/records';

export class MemoryBytes implements ByteStore {
  readonly files = new Map<string, Uint8Array>();
  constructor(readonly capacity = Infinity) {}

  get used(): number {
    return [...this.files.values()].reduce((sum, bytes) => sum + bytes.length, 0);
  }
  create(folder: string, name: string): Promise<ByteWriter> {
    const path = `${folder}/${name}`;
    this.files.set(path, new Uint8Array(0));
    return Promise.resolve({
      write: (piece) => {
        if (this.used + piece.length > this.capacity) throw storageFull();
        const before = this.files.get(path) ?? new Uint8Array(0);
        const whole = new Uint8Array(before.length + piece.length);
        whole.set(before);
        whole.set(piece, before.length);
        this.files.set(path, whole);
      },
      close: () => Promise.resolve(),
    });
  }
  size(path: string): Promise<number | undefined> {
    return Promise.resolve(this.files.get(path)?.length);
  }
  blob(path: string): Promise<Blob> {
    const bytes = this.files.get(path);
    return bytes ? Promise.resolve(new Blob([bytes.slice()])) : Promise.reject(new Error(`no ${path}`));
  }
  folders(): Promise<string[]> {
    return Promise.resolve([...new Set([...this.files.keys()].map((path) => path.split('/')[0] ?? ''))]);
  }
  removeFolder(folder: string): Promise<void> {
    for (const path of [...this.files.keys()]) if (path.startsWith(`${folder}/`)) this.files.delete(path);
    return Promise.resolve();
  }
}

/** Locks between the tabs of one test. */
export class TestLocks implements Locks {
  readonly held = new Map<string, { mode: 'exclusive' | 'shared'; count: number }>();
  take(folder: string, mode: 'exclusive' | 'shared'): Promise<(() => void) | undefined> {
    const now = this.held.get(folder);
    if (now && (mode === 'exclusive' || now.mode === 'exclusive')) return Promise.resolve(undefined);
    const entry = now ?? { mode, count: 0 };
    entry.count++;
    this.held.set(folder, entry);
    return Promise.resolve(() => {
      if (--entry.count === 0) this.held.delete(folder);
    });
  }
}

export interface Shelf {
  library: Library;
  bytes: MemoryBytes;
  records: RecordStore;
}
export function shelf({
  bytes = new MemoryBytes(),
  records = new MemoryRecords(),
  locks = noLocks,
  quota = 1e12,
}: { bytes?: MemoryBytes; records?: RecordStore; locks?: Locks; quota?: number } = {}): Shelf {
  const estimate = (): Promise<{ usage: number; quota: number }> => Promise.resolve({ usage: bytes.used, quota });
  return { library: new Library({ bytes, records, locks, estimate, persisted: () => Promise.resolve(false) }), bytes, records };
}

/** A browser without OPFS: nothing outlives the tab. */
export const forgetful = (): Library =>
  new Library({ locks: noLocks, estimate: () => Promise.resolve({ usage: 0, quota: 0 }), persisted: () => Promise.resolve(false) });
