/**
 * Tensor bytes of a kept model or dictionary, read in place: straight from the private file system into a mapped GPU buffer, or from
 * the Blobs of a model that lives in memory. The engine's worker opens this with a record; nothing else is shared with it.
 */
import type { ModelRecord } from '../contract';
import { LabError } from '../errors';
import { readPiece } from '../formats/read';
import { modelBusy, storageError } from './bytes';
import { browserLocks, type Held, type Locks } from './locks';
import { fileHandle } from './opfs';
import { openIndexedDb } from './records';

export interface TensorReader {
  /** Fills `into` with the bytes from `offset` of the record's file number `file`. Never fewer: a short file is an error. */
  read(file: number, offset: number, into: Uint8Array): void | Promise<void>;
  /** Lets go of the files, so that the model can be removed. */
  close(): void;
}

interface Source {
  read(offset: number, into: Uint8Array): void | Promise<void>;
  close(): void;
}

/** Opens every file of a record. While it is open its owner cannot be removed, in any tab. */
export async function openTensors(record: Pick<ModelRecord, 'name' | 'files'>, locks: Locks = browserLocks): Promise<TensorReader> {
  const held: Held[] = [];
  const sources: Source[] = [];
  const close = (): void => {
    for (const source of sources.splice(0)) source.close();
    for (const release of held.splice(0)) release();
  };
  try {
    for (const folder of new Set(record.files.map((file) => file.path.split('/')[0] ?? ''))) {
      const release = await locks.take(folder, 'shared');
      if (!release) throw modelBusy();
      held.push(release);
    }
    for (const file of record.files)
      sources.push(file.blob ? blobSource(file.blob, record.name) : await keptSource(file.path, record.name));
  } catch (thrown) {
    close();
    throw thrown;
  }
  return {
    read(file, offset, into) {
      const source = sources[file];
      if (!source)
        throw new LabError('internal', `File ${file} of ${record.name} is not open.`, 'This is a fault in Loupe. Please report it.');
      return source.read(offset, into);
    },
    close,
  };
}

/** A kept model's record, for a worker that has only its id. */
export async function getRecord(id: string): Promise<ModelRecord | undefined> {
  return (await openIndexedDb())?.get('models', id);
}

const blobSource = (blob: Blob, name: string): Source => ({
  async read(offset, into) {
    into.set(await readPiece(blob, offset, offset + into.length, name));
  },
  close: () => undefined,
});

/** Browsers without the read-only mode ignore it and lock the file; a second reader there falls back to the file's Blob. */
const READ_ONLY = { mode: 'read-only' };
type Opener = { createSyncAccessHandle(options?: { mode: string }): Promise<FileSystemSyncAccessHandle> };

async function keptSource(path: string, name: string): Promise<Source> {
  let file: FileSystemFileHandle;
  try {
    file = await fileHandle(path);
  } catch (thrown) {
    if (thrown instanceof DOMException && thrown.name === 'NotFoundError')
      throw new LabError(
        'model-damaged',
        `Files of ${name} are gone from the browser's storage.`,
        'Remove the model from the shelf and drop its folder again.',
      );
    throw storageError(thrown);
  }
  let handle: FileSystemSyncAccessHandle;
  try {
    handle = await (file as Opener).createSyncAccessHandle(READ_ONLY);
  } catch {
    try {
      return blobSource(await file.getFile(), name);
    } catch (thrown) {
      throw storageError(thrown);
    }
  }
  return {
    read(offset, into) {
      let read: number;
      try {
        read = handle.read(into, { at: offset });
      } catch (thrown) {
        throw storageError(thrown);
      }
      if (read !== into.length)
        throw new LabError(
          'model-damaged',
          `A file of ${name} is shorter than its record says.`,
          'Remove the model from the shelf and drop its folder again.',
        );
    },
    close: () => {
      handle.close();
    },
  };
}
