/** Bytes, piece by piece, past the hash and into their place: a file of any size costs two pieces of memory. */
import { createSHA256 } from 'hash-wasm';
import type { OnProgress } from '../contract';
import { throwIfAborted } from '../errors';
import { PIECE, readPiece } from '../formats/read';
import type { ByteWriter } from './bytes';

const REPORT_EVERY_MS = 100;

/** Bytes done of bytes to do over a whole import, told at most ten times a second, with the time left at the rate so far. */
export class Meter {
  #done = 0;
  #told = -Infinity;
  #start: number | undefined;
  constructor(
    readonly stage: string,
    readonly of: number,
    readonly progress: OnProgress | undefined,
    readonly now: () => number = () => performance.now(),
  ) {}

  get done(): number {
    return this.#done;
  }

  add(bytes: number): void {
    const now = this.now();
    this.#start ??= now;
    this.#done += bytes;
    if (now - this.#told < REPORT_EVERY_MS && this.#done < this.of) return;
    this.#told = now;
    const seconds = (now - this.#start) / 1000;
    const left = seconds > 0.2 && this.#done > 0 ? ((this.of - this.#done) * seconds) / this.#done : undefined;
    this.progress?.({ stage: this.stage, done: this.#done, of: this.of, ...(left !== undefined && { secondsLeft: left }) });
  }
}

/** A dropped file, a piece at a time. */
export async function* piecesOf(file: File, name: string, signal?: AbortSignal): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  for (let at = 0; at < file.size; at += PIECE) {
    throwIfAborted(signal);
    yield await readPiece(file, at, Math.min(at + PIECE, file.size), name);
  }
}

/** Writes pieces into `writer` (or only hashes them where there is none) and returns their SHA-256. */
export async function writeHashed(
  pieces: AsyncIterable<Uint8Array<ArrayBuffer>>,
  writer: Pick<ByteWriter, 'write'> | undefined,
  meter: Meter,
  signal?: AbortSignal,
): Promise<string> {
  const hash = (await createSHA256()).init();
  for await (const piece of pieces) {
    throwIfAborted(signal);
    hash.update(piece);
    await writer?.write(piece);
    meter.add(piece.length);
  }
  return hash.digest('hex');
}

export const copyHashed = (file: File, name: string, writer: ByteWriter | undefined, meter: Meter, signal?: AbortSignal): Promise<string> =>
  writeHashed(piecesOf(file, name, signal), writer, meter, signal);

/** SHA-256 over several parts, each closed off by its length so that no two lists of parts run together alike. */
export async function hashParts(parts: readonly (string | Uint8Array)[]): Promise<string> {
  const hash = (await createSHA256()).init();
  for (const part of parts) hash.update(`${part.length}:`).update(part);
  return hash.digest('hex');
}
