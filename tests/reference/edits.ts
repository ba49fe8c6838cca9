/**
 * What an edit does: x becomes x + strength·(f(x) − x) at the rows it covers, with
 *   add: f(x) = x + scale·v     project: f(x) = x + (keep − 1)(x·v̂)v̂     cap: f(x) = x − max(0, x·v̂ − cap)v̂
 *   replace: f(x) = the value.
 * A row is one position's values at a hook, flattened unless `head` picks one head; at scores and patterns, one query's
 * values of one head over the keys it can see, number i of a vector being key i. Edits at one hook apply in list order.
 */
import type { Hook } from '../../workers/api';
import type { EngineEdit } from '../../workers/contract';
import { at, dot } from './array';
import type { HookFn } from './forward';

/** What an edit needs to know beside the activation. */
export interface EditContext {
  ids: readonly number[];
  promptLength: number;
  special: ReadonlySet<number>;
  /** Keys that a query sees at a layer; 0 or nothing: all before it. */
  window?(layer: number): number;
  /** An activation of an unedited run. */
  unedited(ids: readonly number[], at: Hook): { shape: number[]; data: Float64Array };
}

const overKeys = (hook: Hook): boolean => hook.endsWith('hook_attn_scores') || hook.endsWith('hook_pattern');

/** f(x) of one row for the three edits along a direction, the row's first number being number `from` of the vector. */
export function alongVector(edit: Extract<EngineEdit, { kind: 'add' | 'project' | 'cap' }>, x: ArrayLike<number>, from = 0): Float64Array {
  const vector = edit.vector.subarray(from);
  if (vector.length < x.length) throw new RangeError(`a vector of ${vector.length} for a row of ${x.length}`);
  if (edit.kind === 'add') return Float64Array.from(x, (value, i) => value + edit.scale * at(vector, i));
  const norm = Math.sqrt(dot(vector, 0, vector, 0, x.length));
  const along = dot(x, 0, vector, 0, x.length) / norm;
  const change = edit.kind === 'project' ? (edit.keep - 1) * along : -Math.max(0, along - edit.cap);
  return Float64Array.from(x, (value, i) => value + (change * at(vector, i)) / norm);
}

/** x + strength·(f(x) − x). */
export function blend(x: ArrayLike<number>, target: ArrayLike<number>, strength: number): Float64Array {
  return Float64Array.from(x, (value, i) => value + strength * (at(target, i) - value));
}

/** Positions that an edit covers. */
export function covered(edit: EngineEdit, { ids, promptLength, special }: EditContext): number[] {
  const { where } = edit;
  const all = ids.map((_, i) => i);
  const rows =
    typeof where === 'string'
      ? all.filter((i) => where === 'all' || (where === 'prompt') === i < promptLength)
      : where.map((i) => (i < 0 ? i + ids.length : i));
  return rows.filter((i) => !(edit.skipSpecial && special.has(at(ids, i))));
}

/** The layer that a hook's name says. */
const layerOf = (hook: Hook): number => Number(/^blocks\.(\d+)\./.exec(hook)?.[1] ?? 0);

interface Run {
  start: number;
  length: number;
  /** Which number of a row is its first: the first key that the query sees. */
  from: number;
}

/** Where a row's values lie in a hook's flat array: one run a head over keys and one otherwise. */
function runs(hook: Hook, shape: readonly number[], row: number, head: number | undefined, window: number): Run[] {
  if (overKeys(hook)) {
    const [heads, queries, keys] = [at(shape, 0), at(shape, 1), at(shape, 2)];
    const which = head === undefined ? Array.from({ length: heads }, (_, h) => h) : [head];
    const from = window > 0 ? Math.max(0, row + 1 - window) : 0;
    return which.map((h) => ({ start: (h * queries + row) * keys + from, length: row + 1 - from, from }));
  }
  const width = shape.slice(1).reduce((product, size) => product * size, 1);
  if (head === undefined) return [{ start: row * width, length: width, from: 0 }];
  const dHead = at(shape, 2);
  return [{ start: row * width + head * dHead, length: dHead, from: 0 }];
}

const windowAt = (hook: Hook, context: EditContext): number => context.window?.(layerOf(hook)) ?? 0;

/** For a replace: (row, run index) → the values that come in. */
function incoming(edit: Extract<EngineEdit, { kind: 'replace' }>, context: EditContext) {
  const { value, head } = edit;
  const pick = (ids: readonly number[], row: number, run: number): Float64Array => {
    const { shape, data } = context.unedited(ids, edit.at);
    const { start, length } = runs(edit.at, shape, row, head, windowAt(edit.at, context))[run] ?? { start: 0, length: 0 };
    return data.subarray(start, start + length);
  };
  return (row: number, run: number, length: number): Float64Array => {
    if (value === 'zero') return new Float64Array(length);
    if ('data' in value) return Float64Array.from(value.data);
    if ('ids' in value) {
      if (!value.from) return pick(value.ids, row, run);
      if (typeof edit.where === 'string') return pick(value.ids, at(value.from, row), run);
      return pick(
        value.ids,
        at(
          value.from,
          edit.where.findIndex((i) => (i < 0 ? i + context.ids.length : i) === row),
        ),
        run,
      );
    }
    const rows = value.mean.flatMap((ids) => (value.over === 'all' ? ids.map((_, i) => pick(ids, i, run)) : [pick(ids, row, run)]));
    return Float64Array.from({ length }, (_, i) => rows.reduce((sum, each) => sum + at(each, i), 0) / rows.length);
  };
}

/** The hook that puts edits in force. A `replace` by a tensor takes one row's values, the same for every row covered. */
export function editHook(edits: readonly EngineEdit[], context: EditContext): HookFn {
  return (name, x, shape) => {
    const mine = edits.filter((edit) => edit.at === name && edit.enabled);
    if (mine.length === 0) return undefined;
    const out = x.slice();
    for (const edit of mine) {
      // Dictionaries have a twin of their own (dictionary.ts).
      if (edit.kind === 'latent' || edit.kind === 'splice') throw new RangeError(`${edit.kind} is not this twin's`);
      const source = edit.kind === 'replace' ? incoming(edit, context) : undefined;
      for (const row of covered(edit, context)) {
        runs(name, shape, row, edit.head, windowAt(name, context)).forEach(({ start, length, from }, run) => {
          const before = out.slice(start, start + length);
          const target = edit.kind === 'replace' ? source?.(row, run, length) : alongVector(edit, before, from);
          if (target) out.set(blend(before, target, edit.strength), start);
        });
      }
    }
    return out;
  };
}
