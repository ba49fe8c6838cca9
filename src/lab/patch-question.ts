/**
 * A causal question as the page holds it: a sweep (every cell of a grid, between two texts or between a text and itself noised) or a path to a receiver. What all
 * that shows an answer asks of it is here: its kind, its names in words, and the call that puts it, which “Copy as script” writes.
 */
import type { DictionaryInfo, PathRequest, Receiver, SweepRequest } from '../../workers/api';
import { OVER, type GridKind } from './grids';
import { isNeurons } from './neurons';

interface Texts {
  clean: readonly number[];
  corrupted: readonly number[];
}
export type SweepAsked = SweepRequest & Texts;
export type PathAsked = PathRequest & Texts;
export type Request = SweepAsked | PathAsked;

export const isPath = (request: Request): request is PathAsked => 'receivers' in request;
export const kindOf = (request: Request): GridKind => (isPath(request) ? 'layer-head' : request.grid);
export const noised = (request: Request): boolean => !isPath(request) && request.noise !== undefined;
export const ablationOf = (request: Request): SweepRequest['ablate'] => (isPath(request) ? undefined : request.ablate);

export function titleOf(request: Request): string {
  if (isPath(request)) return 'Path patching';
  return noised(request) ? 'Causal tracing' : 'Activation patching';
}

/** What the other run is called. */
export const otherOf = (request: Request): string => (noised(request) ? 'noised' : 'contrast');

/** “9.6 q”, “MLP 10”, “the logits”. */
export function receiverName(receiver: Receiver): string {
  if (receiver === 'logits') return 'the logits';
  return 'mlp' in receiver ? `MLP ${receiver.layer}` : `${receiver.layer}.${receiver.head} ${receiver.input}`;
}

/** A dictionary as something to patch: by its name, or by its layer where it is the model's own neurons. */
export function latentsName({ id, name, hookOut }: Pick<DictionaryInfo, 'id' | 'name' | 'hookOut'>): string {
  return isNeurons(id) ? `neurons of layer ${/^blocks\.(\d+)\./.exec(hookOut)?.[1] ?? '?'}` : name;
}

/** What is patched, in a few words for a figure's second line. */
export function overSaid(request: Request, dictionary: Pick<DictionaryInfo, 'id' | 'name' | 'hookOut'> | undefined): string {
  if (isPath(request)) return `to ${request.receivers.map(receiverName).join(', ')}`;
  const { over } = request;
  if (typeof over === 'object') return dictionary ? latentsName(dictionary) : 'latents';
  return OVER.find(({ value }) => value === over)?.label ?? over;
}

/** A file's name: what and in which grid. */
export function fileName(request: Request): string {
  if (isPath(request)) return 'path-patching';
  const { over, grid } = request;
  return `${noised(request) ? 'tracing' : 'patch'}-${typeof over === 'object' ? 'latents' : over}-${grid}`;
}

/** Cells that were gathered may be carried over to another grid of the same two runs. */
export function sameRuns(a: Request, b: Request): boolean {
  const of = (request: Request) => {
    const { clean, corrupted, pairs, metric, direction, edits } = request;
    return JSON.stringify([clean, corrupted, pairs, metric, direction, edits, isPath(request) ? 'path' : [request.ablate, request.noise]]);
  };
  return of(a) === of(b);
}
