/**
 * Where tensor bytes are kept, as the library sees it: folders of files, written once from start to end. The browser's
 * private file system is one such place (opfs.ts); a test brings its own.
 */
import { LabError } from '../errors';

export interface ByteWriter {
  write(piece: Uint8Array<ArrayBuffer>): void | Promise<void>;
  /** Everything is on the disk when this resolves. */
  close(): Promise<void>;
}

export interface ByteStore {
  create(folder: string, name: string): Promise<ByteWriter>;
  /** Bytes of a kept file; undefined where there is none. */
  size(path: string): Promise<number | undefined>;
  /** A kept file, to be read in slices. */
  blob(path: string): Promise<Blob>;
  folders(): Promise<string[]>;
  removeFolder(folder: string): Promise<void>;
}

export function storageFull(needed?: number, free?: number): LabError {
  const figures = needed !== undefined && free !== undefined ? `: ${size(needed)} are needed, ${size(free)} are free` : '';
  return new LabError(
    'storage-full',
    `The browser's storage is full${figures}.`,
    'Remove a model or a dictionary from the shelf, or free disk space; browsers give a site a share of what is free. Then drop it again.',
  );
}

const size = (bytes: number): string => (bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`);

/** Raw storage errors, in a person's words. */
export function storageError(thrown: unknown): LabError {
  if (thrown instanceof LabError) return thrown;
  const name = thrown instanceof Error ? thrown.name : '';
  if (name === 'QuotaExceededError') return storageFull();
  if (name === 'NoModificationAllowedError') return modelBusy();
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new LabError(
    'storage-failed',
    `The browser's storage failed (${message}).`,
    'Try again. If it stays so, restart the browser, or leave its private mode.',
  );
}

export const modelBusy = (what: 'model' | 'dictionary' | 'embedding model' | 'text' | 'survey' | 'lens' = 'model'): LabError =>
  new LabError(
    'model-busy',
    `The ${what} is being read, here or in another tab.`,
    'Wait until it is loaded, or close the other tab, then try again.',
  );
