/**
 * Tensor bytes in the origin-private file system, under one folder of ours. Only workers may open the synchronous handles
 * that make this fast; where the browser has none (or forbids them, as some private modes do) there is no OPFS for us.
 */
import { storageError, storageFull, type ByteStore, type ByteWriter } from './bytes';

const ROOT = 'loupe';

async function root(): Promise<FileSystemDirectoryHandle> {
  return (await navigator.storage.getDirectory()).getDirectoryHandle(ROOT, { create: true });
}

/** The handle of a kept file, by the path in its record (`folder/name`). */
export async function fileHandle(path: string): Promise<FileSystemFileHandle> {
  const [folder = '', name = ''] = path.split('/');
  return (await (await root()).getDirectoryHandle(folder)).getFileHandle(name);
}

/** OPFS, tried out by writing a byte; undefined where it cannot be used. */
export async function openOpfs(): Promise<ByteStore | undefined> {
  const probe = `probe-${crypto.randomUUID()}`;
  try {
    const store = new Opfs(await root());
    const writer = await store.create(probe, 'byte');
    writer.write(Uint8Array.of(1));
    await writer.close();
    await store.removeFolder(probe);
    return store;
  } catch {
    return undefined;
  }
}

class Opfs implements ByteStore {
  constructor(readonly root: FileSystemDirectoryHandle) {}

  async create(folder: string, name: string): Promise<OpfsWriter> {
    try {
      const directory = await this.root.getDirectoryHandle(folder, { create: true });
      const handle = await (await directory.getFileHandle(name, { create: true })).createSyncAccessHandle();
      handle.truncate(0);
      return new OpfsWriter(handle);
    } catch (thrown) {
      throw storageError(thrown);
    }
  }

  async size(path: string): Promise<number | undefined> {
    try {
      return (await (await fileHandle(path)).getFile()).size;
    } catch {
      return undefined;
    }
  }

  async blob(path: string): Promise<Blob> {
    try {
      return await (await fileHandle(path)).getFile();
    } catch (thrown) {
      throw storageError(thrown);
    }
  }

  async folders(): Promise<string[]> {
    const names: string[] = [];
    for await (const name of this.root.keys()) names.push(name);
    return names;
  }

  async removeFolder(folder: string): Promise<void> {
    try {
      await this.root.removeEntry(folder, { recursive: true });
    } catch (thrown) {
      if (thrown instanceof DOMException && thrown.name === 'NotFoundError') return;
      throw storageError(thrown);
    }
  }
}

class OpfsWriter implements ByteWriter {
  #at = 0;
  constructor(readonly handle: FileSystemSyncAccessHandle) {}

  write(piece: Uint8Array<ArrayBuffer>): void {
    let written: number;
    try {
      written = this.handle.write(piece, { at: this.#at });
    } catch (thrown) {
      throw storageError(thrown);
    }
    // A disk that fills up may take a part of the piece without throwing.
    if (written < piece.length) throw storageFull();
    this.#at += written;
  }

  async close(): Promise<void> {
    try {
      this.handle.flush();
    } catch (thrown) {
      throw storageError(thrown);
    } finally {
      this.handle.close();
    }
  }
}
