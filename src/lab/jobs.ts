/**
 * What crosses the message port and what comes back: job ids, aborts and errors. Every promise of the client goes through
 * `told`, so that a person only ever meets a LabError: a sentence, a hint and a stable code, even when the port has flattened
 * the error into a plain object.
 */
import type { Job } from '../../workers/api';
import { asLabError, LabError, throwIfAborted } from '../../workers/errors';

interface Flattened {
  message: string;
  code: string;
  hint: string;
  causes?: unknown;
}

const isFlattened = (thrown: unknown): thrown is Flattened =>
  typeof thrown === 'object' &&
  thrown !== null &&
  'code' in thrown &&
  typeof thrown.code === 'string' &&
  'hint' in thrown &&
  typeof thrown.hint === 'string' &&
  'message' in thrown &&
  typeof thrown.message === 'string';

/** Gives back a real LabError from whatever a port delivered; anything unknown becomes `internal`. */
export function labError(thrown: unknown): LabError {
  if (thrown instanceof LabError) return thrown;
  if (isFlattened(thrown)) {
    const causes = Array.isArray(thrown.causes) ? thrown.causes.map(labError) : [];
    return new LabError(thrown.code, thrown.message, thrown.hint, causes);
  }
  return asLabError(thrown);
}

export async function told<T>(work: () => Promise<T> | T): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    throw labError(thrown);
  }
}

/**
 * Runs long work under an id and sends the abort to whoever does it. The promise settles when the worker has wound up, not
 * when the button was pressed, so that "cancelled" means nothing is left behind.
 */
export function asJob<T>(job: Job | undefined, cancel: (id: string) => unknown, work: (id: string) => Promise<T>): Promise<T> {
  return told(async () => {
    throwIfAborted(job?.signal);
    const id = crypto.randomUUID();
    const abort = () => void cancel(id);
    job?.signal?.addEventListener('abort', abort, { once: true });
    try {
      return await work(id);
    } finally {
      job?.signal?.removeEventListener('abort', abort);
    }
  });
}

/** What a later release brings: an honest refusal, not a pretence. */
export function notYet(what: string, when: string): LabError {
  return new LabError('not-yet', `${what} is not in this release.`, `It comes with ${when}. See CHANGELOG.md for what works today.`);
}

export interface Deferred<T> {
  promise: Promise<T>;
  resolve(value: T): void;
  reject(reason: unknown): void;
}

/** A promise with its two ends. Nobody has to listen to it: a rejection that is not waited for is not an error of its own. */
export function deferred<T>(): Deferred<T> {
  let resolve: (value: T) => void = () => undefined;
  let reject: (reason: unknown) => void = () => undefined;
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  promise.catch(() => undefined);
  return { promise, resolve, reject };
}
