/**
 * What runs in turns, so that a text that is being written goes on beside it: what the engine lends for that, what makes two turns one work (the same model, as it is run), and a
 * cancel that is heard at once.
 */
import type { AnyDictionary } from './dictionary/neurons';
import { cancelled, LabError } from './errors';
import type { Runtime } from './model/runtime';

/** What the engine lends: its turns, and the dictionaries that are on the GPU. */
export interface Lent {
  turn<T>(work: (model: Runtime) => Promise<T>): Promise<T>;
  dictionary(id: string): AnyDictionary;
}

/** A cancel is heard at once, though the turn that is under way may still end its submission. */
export function heard<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const abort = (): void => reject(cancelled());
    signal.addEventListener('abort', abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
    if (signal.aborted) abort();
  });
}

/** Under another model, or the same otherwise processed, the numbers are others. */
export const keyOf = ({ id, processing, planner }: Runtime, request: object): string =>
  JSON.stringify([id, processing, planner.weights.matrices.get('embed')?.dtype, request], (_, value: unknown) =>
    value instanceof Float32Array ? [...value] : value,
  );

export const changed = (): LabError =>
  new LabError(
    'sweep-changed',
    'The model was changed while the sweep ran.',
    'Ask for the sweep again under the model that is in use now.',
  );
