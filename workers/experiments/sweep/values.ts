/**
 * What a cell puts in the place of what was there: rows of the other run at a hook, laid out as the edit kernel reads them, shared by all cells of that hook;
 * or, for one key of a pattern, a row of its own. And which cells cannot differ, because what they would put there is there already.
 */
import type { Tensor } from '../../api';
import { LabError } from '../../errors';
import type { Cell } from '../../model/causal/grid';
import type { HookInfo } from '../../model/hooks';
import type { Patch } from '../../model/run';

/** A hook's values, a position a row: [positions][units][width]. */
export interface HookRows {
  data: Float32Array;
  units: number;
  width: number;
  /** 1 where one row stands for every position (a mean). */
  count: number;
}

/** From TransformerLens's shape ([pos, …], or [head, query, key]) to rows. */
export function hookRows(tensor: Tensor | undefined, { name, geometry }: HookInfo): HookRows {
  if (!tensor) throw new LabError('internal', `No values came back from ${name}.`, 'Please report this.');
  const { units } = geometry;
  if (!geometry.keys) {
    const count = tensor.shape[0] ?? 0;
    return { data: tensor.data, units, width: tensor.data.length / (count * units), count };
  }
  const [, queries = 0, keys = 0] = tensor.shape;
  const data = new Float32Array(tensor.data.length);
  for (let h = 0; h < units; h++)
    for (let q = 0; q < queries; q++)
      data.set(tensor.data.subarray((h * queries + q) * keys, (h * queries + q + 1) * keys), (q * units + h) * keys);
  return { data, units, width: keys, count: queries };
}

/** The mean over every position of several runs, all positions alike: one row. */
export function meanRows(all: readonly HookRows[]): HookRows {
  const [first] = all;
  if (!first) throw new LabError('internal', 'A mean of nothing.', 'Please report this.');
  const { units, width } = first;
  const words = units * width;
  const sums = new Float64Array(words);
  let seen = 0;
  for (const { data, count } of all) {
    seen += count;
    for (let row = 0; row < count; row++) for (let i = 0; i < words; i++) sums[i] = (sums[i] ?? 0) + (data[row * words + i] ?? 0);
  }
  return { data: Float32Array.from(sums, (sum) => sum / seen), units, width, count: 1 };
}

/** What is put there; undefined: zeros. */
export type Other = HookRows | undefined;

const maps = new Map<string, ReadonlyMap<number, number>>();
/** position → row, one object for each length, so that the records of all cells share it. */
function lined(tokens: number, count: number): ReadonlyMap<number, number> {
  const key = `${tokens} ${count === 1 ? 1 : 0}`;
  const known = maps.get(key) ?? new Map(Array.from({ length: tokens }, (_, i) => [i, count === 1 ? 0 : i]));
  maps.set(key, known);
  return known;
}

export function patchOf(at: string, { position, head, source }: Cell, other: Other, base: HookRows | undefined, tokens: number): Patch {
  const common = { at, where: position === undefined ? ('all' as const) : [position], ...(head === undefined ? {} : { head }) };
  if (source !== undefined && position !== undefined && head !== undefined && base) {
    const from = (position * base.units + head) * base.width;
    const data = base.data.slice(from, from + base.width);
    data[source] = other ? (other.data[(other.count === 1 ? head : position * other.units + head) * other.width + source] ?? 0) : 0;
    return { ...common, source: { data, width: base.width, rowWords: base.width, map: new Map([[position, 0]]) } };
  }
  if (!other) return common;
  const { data, units, width, count } = other;
  const from = head === undefined ? {} : { from: head * width };
  return { ...common, source: { data, width, rowWords: units * width, map: lined(tokens, count), ...from } };
}

/** The first position at which a cell would change what is there; undefined where it changes nothing. */
export function firstChange({ position, head, source }: Cell, other: Other, base: HookRows, tokens: number): number | undefined {
  const { units, width } = base;
  const [unit0, some] = head === undefined ? [0, units] : [head, 1];
  const [from, to] = source === undefined ? [0, width] : [source, source + 1];
  for (let p = position ?? 0; p < (position === undefined ? tokens : position + 1); p++)
    for (let u = unit0; u < unit0 + some; u++)
      for (let i = from; i < to; i++) {
        const there = base.data[(p * units + u) * width + i];
        const put = other ? other.data[((other.count === 1 ? 0 : p) * units + u) * width + i] : 0;
        if (there !== put) return p;
      }
  return undefined;
}
