/**
 * Where a replace edit's values come from: zeros, given numbers, an unedited run on another prompt, or the mean of such
 * runs. Brings each into rows that the edit kernel can index.
 */
import { LabError } from '../errors';
import type { EngineEdit } from '../contract';
import type { Tensor } from '../api';
import { positionsOf, type Source } from './edits';
import { findHook, type HookInfo } from './hooks';

/** An unedited run's values at a hook, in TransformerLens's shape. */
export type Read = (ids: readonly number[], hook: string) => Promise<Tensor>;

export interface Target {
  promptLength: number;
  /** Positions that may be edited. */
  length: number;
  end: number;
  /** Tokens of the prompt itself: a source of that length lines up with it. */
  tokens: number;
}

export async function sourceOf(
  hooks: ReadonlyMap<string, HookInfo>,
  edit: EngineEdit,
  target: Target,
  read: Read,
): Promise<Source | undefined> {
  if (edit.kind !== 'replace' || edit.value === 'zero') return undefined;
  const info = findHook(hooks, edit.at);
  const positions = positionsOf(edit.where, target.promptLength, target.length, target.end);
  const { value } = edit;
  if ('ids' in value) {
    const rows = byRow(await read(value.ids, edit.at), info, edit.head);
    if (value.from) {
      const { from } = value;
      const count = value.ids.length;
      // In generation 'all' and 'generated' reach beyond what can be named; elsewhere every position has its own.
      const open = target.length > target.tokens && (edit.where === 'all' || edit.where === 'generated');
      if (open ? from.length > positions.length : from.length !== positions.length)
        throw fault(edit, `\`from\` names ${from.length} positions for ${positions.length}`);
      return {
        ...rows,
        map: new Map(positions.slice(0, from.length).map((position, i) => [position, inRange(edit, from[i] ?? 0, count)])),
      };
    }
    if (value.ids.length !== target.tokens)
      throw fault(
        edit,
        `the other prompt has ${value.ids.length} tokens, this one ${target.tokens}; say which of its positions to take with \`from\``,
      );
    return { ...rows, map: same(positions, rows.count) };
  }
  if ('mean' in value) return mean(info, edit, value, positions, target, read);
  return given(info, edit, value, positions, target);
}

async function mean(
  info: HookInfo,
  edit: EngineEdit,
  value: { mean: number[][]; over: 'all' | 'position' },
  positions: readonly number[],
  target: Target,
  read: Read,
): Promise<Source> {
  if (value.mean.length === 0) throw fault(edit, 'a mean of no texts');
  if (info.geometry.keys) throw fault(edit, 'scores and patterns of different texts have no common keys to average over');
  const all = [];
  for (const ids of value.mean) all.push(byRow(await read(ids, edit.at), info, edit.head));
  const rowWords = all[0]?.rowWords ?? 0;
  const width = all[0]?.width ?? 0;
  const count = value.over === 'all' ? 1 : Math.max(...all.map((each) => each.count));
  const sums = new Float64Array(count * rowWords);
  const seen = new Float64Array(count);
  for (const each of all)
    for (let row = 0; row < each.count; row++) {
      const to = value.over === 'all' ? 0 : row;
      seen[to] = (seen[to] ?? 0) + 1;
      for (let i = 0; i < rowWords; i++) sums[to * rowWords + i] = (sums[to * rowWords + i] ?? 0) + (each.data[row * rowWords + i] ?? 0);
    }
  const data = Float32Array.from(sums, (sum, i) => sum / (seen[Math.floor(i / rowWords)] ?? 1));
  const map = value.over === 'all' ? new Map(positions.map((position) => [position, 0])) : lined(edit, positions, count, target);
  return { data, width, rowWords, map };
}

function given(info: HookInfo, edit: EngineEdit, value: Tensor, positions: readonly number[], target: Target): Source {
  const { units, width, keys } = info.geometry;
  if (keys) {
    const rows = byRow(value, info, edit.head);
    return { ...rows, map: lined(edit, positions, rows.count, target) };
  }
  const some = edit.head === undefined ? units : 1;
  const rowWords = some * width;
  const size = value.data.length;
  const [, second, third] = value.shape;
  // All heads given and one asked for: that one's rows.
  if (edit.head !== undefined && units > 1 && value.shape.length === 3 && second === units && third === width) {
    const rows = byRow(value, info, edit.head);
    return { ...rows, map: lined(edit, positions, rows.count, target) };
  }
  if (value.shape.length === 3 && (second !== some || third !== width))
    throw fault(edit, `the value is [${value.shape.join(', ')}]; [positions, ${some}, ${width}] fits`);
  if (size === rowWords) return { data: value.data, width, rowWords, map: new Map(positions.map((position) => [position, 0])) };
  if (size === 0 || size % rowWords !== 0)
    throw fault(edit, `the value holds ${size} numbers; ${rowWords}, or ${rowWords} for each position, fit`);
  return { data: value.data, width, rowWords, map: lined(edit, positions, size / rowWords, target) };
}

/** [pos, …] (or [head, query, key]) to rows of [units][width], one head's only where asked. */
function byRow(
  tensor: Tensor,
  info: HookInfo,
  head: number | undefined,
): { data: Float32Array; width: number; rowWords: number; count: number } {
  const { units, keys, width: hookWidth } = info.geometry;
  const some = head === undefined ? units : 1;
  if (keys) {
    const [heads = 0, queries = 0, width = 0] = tensor.shape;
    if (heads !== units)
      throw new LabError('edit-shape', `Scores and patterns here have ${units} heads; the value has ${heads}.`, 'Give [head, query, key].');
    const data = new Float32Array(queries * some * width);
    for (let query = 0; query < queries; query++)
      for (let u = 0; u < some; u++) {
        const from = ((u + (head ?? 0)) * queries + query) * width;
        const row = tensor.data.subarray(from, from + width);
        // Masked keys are never visible to the edit; −∞ there would only be noise in the buffer.
        data.set(
          row.map((each, key) => (key > query ? 0 : each)),
          (query * some + u) * width,
        );
      }
    return { data, width, rowWords: some * width, count: queries };
  }
  const rowWords = units * hookWidth;
  const count = tensor.data.length / rowWords;
  if (head === undefined) return { data: tensor.data, width: hookWidth, rowWords, count };
  const data = new Float32Array(count * hookWidth);
  for (let row = 0; row < count; row++)
    data.set(tensor.data.subarray(row * rowWords + head * hookWidth, row * rowWords + (head + 1) * hookWidth), row * hookWidth);
  return { data, width: hookWidth, rowWords: hookWidth, count };
}

/**
 * Rows to positions: by position where there is a row for every token, in order where `where` lists as many positions as
 * there are rows. A position of the prompt without a row is an error: it would be left alone in silence.
 */
function lined(edit: EngineEdit, positions: readonly number[], count: number, target: Target): Map<number, number> {
  if (typeof edit.where !== 'string' && count === positions.length && count < target.tokens)
    return new Map(positions.map((position, i) => [position, i]));
  const bare = positions.find((position) => position < target.tokens && position >= count);
  if (bare !== undefined) throw fault(edit, `it has ${count} rows, and none for position ${bare}`);
  return same(positions, count);
}

const same = (positions: readonly number[], count: number): Map<number, number> =>
  new Map(positions.filter((position) => position < count).map((position) => [position, position]));

function inRange(edit: EngineEdit, given: number, count: number): number {
  const position = given < 0 ? count + given : given;
  if (!Number.isInteger(given) || position < 0 || position >= count) throw fault(edit, `\`from\` names position ${given} of ${count}`);
  return position;
}

const fault = (edit: EngineEdit, what: string): LabError =>
  new LabError('edit-shape', `A replace edit at ${edit.at} does not fit: ${what}.`, 'docs/scripting.md shows the forms of `value`.');
