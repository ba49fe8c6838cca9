/**
 * Edits made ready for the GPU: one buffer of words that holds every edit's record, vector or source, positions, and dial,
 * and a table from hook to its records. Pure. The record's layout is that of shaders/lib/edit-head.wgsl.
 */
import { LabError } from '../errors';
import type { EngineEdit } from '../contract';
import { NO_SITE, type Site } from '../kernels/rowwise';
import { findHook, type HookInfo } from './hooks';

/** A replace edit's source, resolved: rows of [units][width] numbers, and for each position the row that replaces it. */
export interface Source {
  data: Float32Array;
  /** Numbers a unit. */
  width: number;
  rowWords: number;
  /** position → source row; absent: that position stays. */
  map: ReadonlyMap<number, number>;
  /** Number of a row at which the units begin that the edit takes; 0 unless given. */
  from?: number;
}

/** The sequence of edits that are every sequence's. */
export const EVERY = 0xffffffff;

export interface PlacedEdit {
  edit: EngineEdit;
  /** The sequence (row of the batch) it belongs to, or EVERY. */
  sequence: number;
  promptLength: number;
  /** Positions that the sequence may take: its length, or in generation the capacity. */
  length: number;
  /** What negative positions count from. */
  end: number;
  source?: Source;
}

/** The edits of a hook where dictionaries have a part: plain ones, the latents of one dictionary, a splice, in list order. */
export type Segment =
  | { kind: 'site'; site: Site }
  | { kind: 'latents'; dictionary: string; first: number; latents: number[] }
  | { kind: 'splice'; dictionary: string; record: number };

export interface CompiledEdits {
  words: Uint32Array<ArrayBuffer>;
  /** Of hooks with plain edits alone. */
  sites: ReadonlyMap<string, Site>;
  /** Of hooks where dictionaries have a part. */
  segments: ReadonlyMap<string, readonly Segment[]>;
  /** Word of each edit's dial (value, strength), in the order given. */
  dials: number[];
}

const KINDS = { add: 0, project: 1, cap: 2, replace: 3, latent: 4, splice: 5 } as const;
const OPS = { set: 0, add: 1, scale: 2 } as const;
const RECORD = 12;
const NONE = 0xffffffff;

/** The number that a dial's `value` moves, where the kind has one. */
export function valueOf(edit: EngineEdit): number | undefined {
  if (edit.kind === 'add') return edit.scale;
  if (edit.kind === 'project') return edit.keep;
  if (edit.kind === 'cap') return edit.cap;
  if (edit.kind === 'latent') return edit.value;
  return undefined;
}

export const strengthOf = (edit: { strength: number; enabled: boolean }): number => (edit.enabled ? edit.strength : 0);

export const siteOf = (edits: CompiledEdits | undefined, hook: string): Site => edits?.sites.get(hook) ?? NO_SITE;

/**
 * Positions that an edit's `where` names. Negative ones count from `end`.
 * `length`: positions that exist; in generation, the capacity.
 */
export function positionsOf(where: EngineEdit['where'], promptLength: number, length: number, end: number): number[] {
  if (where === 'all') return range(0, length);
  if (where === 'prompt') return range(0, Math.min(promptLength, length));
  if (where === 'generated') return range(promptLength, length);
  return where.map((given) => {
    const position = given < 0 ? end + given : given;
    if (!Number.isInteger(given) || position < 0 || position >= length)
      throw new LabError(
        'position-range',
        `An edit names position ${given}; there are ${length}.`,
        'Positions count from 0; negative ones from the end.',
      );
    return position;
  });
}
const range = (from: number, to: number): number[] => Array.from({ length: Math.max(0, to - from) }, (_, i) => from + i);

/** `capacity`: the most positions that any sequence may take. */
export function compileEdits(
  hooks: ReadonlyMap<string, HookInfo>,
  placed: readonly PlacedEdit[],
  capacity: number,
  special: readonly number[],
  vocab: number,
): CompiledEdits {
  const order = new Map<string, number[]>();
  placed.forEach(({ edit }, i) => {
    findHook(hooks, edit.at);
    const list = order.get(edit.at);
    if (list) list.push(i);
    else order.set(edit.at, [i]);
  });
  // Sequences in order, those of every one first: a row finds its own without looking at all the others'. Within a sequence the list's order stays.
  const rank = (i: number): number => ((placed[i]?.sequence ?? 0) + 1) >>> 0;
  for (const [hook, list] of order)
    order.set(
      hook,
      together(
        list.sort((a, b) => rank(a) - rank(b)),
        placed,
      ),
    );
  const specialWords = Math.ceil(vocab / 32) + 1;
  const dialsAt = 4;
  const recordsAt = dialsAt + 4 * placed.length;
  const specialAt = recordsAt + RECORD * placed.length;
  const bitsWords = Math.ceil(capacity / 32) + 1;
  const bitsAt = specialAt + specialWords;
  let size = bitsAt + bitsWords * placed.length;
  // Cells of a sweep bring the same numbers, and the same map, by the hundred: each lies there once.
  const known = new Map<unknown, number>();
  const once = (what: unknown, length: number): number => {
    const found = known.get(what);
    if (found !== undefined) return found;
    known.set(what, size);
    size += length;
    return size - length;
  };
  const forms = placed.map((each) => {
    const info = findHook(hooks, each.edit.at);
    const form = formOf(each, info);
    const vectorAt = once(form.numbers, form.numbers.length) + (each.source?.from ?? 0);
    const mapAt = each.edit.kind === 'replace' ? once(each.source?.map ?? 'zero', capacity) : size;
    return { ...form, vectorAt, mapAt };
  });
  const words = new Uint32Array(size);
  const floats = new Float32Array(words.buffer);
  words[0] = specialAt;
  for (const id of special) if (id < vocab) setBit(words, specialAt, id);
  const sites = new Map<string, Site>();
  const segments = new Map<string, readonly Segment[]>();
  let next = recordsAt;
  for (const [hook, list] of order) {
    const edits = list.flatMap((i) => placed[i] ?? []);
    if (edits.some(({ edit }) => isOfDictionary(edit))) segments.set(hook, segmentsOf(edits, next));
    else sites.set(hook, { first: next, count: list.length });
    for (const i of list) {
      const each = placed[i];
      const form = forms[i];
      if (!each || !form) continue;
      const { edit } = each;
      const bits = bitsAt + bitsWords * i;
      const record = [
        KINDS[edit.kind],
        each.sequence,
        form.vectorAt,
        form.vectorWidth,
        form.unit0,
        form.units,
        form.joined ? 1 : 0,
        bits,
        edit.skipSpecial ? 1 : 0,
        form.mapAt,
        form.sourceWidth,
        dialsAt + 4 * i,
      ];
      words.set(record, next);
      next += RECORD;
      for (const position of positionsOf(edit.where, each.promptLength, each.length, each.end)) setBit(words, bits, position);
      const numbersAt = form.vectorAt - (each.source?.from ?? 0);
      if (known.delete(form.numbers)) floats.set(form.numbers, numbersAt);
      if (edit.kind === 'replace' && known.delete(each.source?.map ?? 'zero')) {
        words.fill(each.source ? NONE : 0, form.mapAt, form.mapAt + capacity);
        if (each.source) for (const [position, row] of each.source.map) words[form.mapAt + position] = row;
      }
      floats[dialsAt + 4 * i] = valueOf(edit) ?? 0;
      floats[dialsAt + 4 * i + 1] = strengthOf(edit);
    }
  }
  return { words, sites, segments, dials: placed.map((_, i) => dialsAt + 4 * i) };
}

const isOfDictionary = (edit: EngineEdit): boolean => edit.kind === 'latent' || edit.kind === 'splice';

/** `latent` edits of one dictionary and sequence share one clean encoding: they stand together, where the first of them stood. */
function together(list: readonly number[], placed: readonly PlacedEdit[]): number[] {
  const keyOf = (i: number): string | undefined => {
    const each = placed[i];
    return each?.edit.kind === 'latent' ? `${each.sequence} ${each.edit.dictionary}` : undefined;
  };
  const out: number[] = [];
  for (const i of list) {
    const key = keyOf(i);
    if (out.includes(i)) continue;
    if (key === undefined) out.push(i);
    else out.push(...list.filter((other) => keyOf(other) === key));
  }
  return out;
}

/** Edits in the order of their records, from word `first` on. A splice that keeps its error changes nothing, by what it is: it has no operation. */
function segmentsOf(edits: readonly PlacedEdit[], first: number): Segment[] {
  const segments: Segment[] = [];
  let sequence = -1;
  edits.forEach((each, i) => {
    const { edit } = each;
    const record = first + RECORD * i;
    const last = segments.at(-1);
    if (edit.kind === 'splice') {
      if (!edit.keepError) segments.push({ kind: 'splice', dictionary: edit.dictionary, record });
    } else if (edit.kind === 'latent') {
      if (last?.kind === 'latents' && last.dictionary === edit.dictionary && sequence === each.sequence) last.latents.push(edit.latent);
      else segments.push({ kind: 'latents', dictionary: edit.dictionary, first: record, latents: [edit.latent] });
    } else if (last?.kind === 'site' && last.site.first + RECORD * last.site.count === record) last.site.count++;
    else segments.push({ kind: 'site', site: { first: record, count: 1 } });
    sequence = each.sequence;
  });
  return segments;
}

function setBit(words: Uint32Array, at: number, i: number): void {
  words[at + (i >> 5)] = ((words[at + (i >> 5)] ?? 0) | (1 << (i & 31))) >>> 0;
}

interface Form {
  numbers: Float32Array;
  vectorWidth: number;
  unit0: number;
  units: number;
  joined: boolean;
  sourceWidth: number;
}

/** Which units an edit touches and the numbers it brings, by the shape of its vector and the hook's. */
function formOf(placed: PlacedEdit, info: HookInfo): Form {
  const { edit, source } = placed;
  const { units, headed, width, keys } = info.geometry;
  if (edit.head !== undefined && !headed) throw shape(edit, 'this hook has no heads');
  if (edit.head !== undefined && (!Number.isInteger(edit.head) || edit.head < 0 || edit.head >= units))
    throw shape(edit, `head ${edit.head} of ${units}`);
  if (edit.kind === 'latent' || edit.kind === 'splice') {
    if (edit.head !== undefined) throw shape(edit, 'a dictionary’s edit has no heads');
    const none = { numbers: new Float32Array(0), vectorWidth: 0, joined: false, sourceWidth: 0 };
    // shaders/sae-latents.wgsl reads the operation and the latent here.
    return edit.kind === 'latent' ? { ...none, unit0: OPS[edit.op], units: edit.latent } : { ...none, unit0: 0, units: 0 };
  }
  const unit0 = edit.head ?? 0;
  const some = edit.head === undefined ? units : 1;
  if (edit.kind === 'replace') {
    if (edit.value === 'zero') return { numbers: new Float32Array(0), vectorWidth: 0, unit0, units: some, joined: false, sourceWidth: 0 };
    if (!source) throw shape(edit, 'its source is missing');
    return { numbers: source.data, vectorWidth: source.rowWords, unit0, units: some, joined: false, sourceWidth: source.width };
  }
  const { vector } = edit;
  if (vector.some((each) => !Number.isFinite(each)))
    throw new LabError(
      'edit-shape',
      `The vector of an edit at ${edit.at} holds a number that is not finite.`,
      'Check where the vector comes from.',
    );
  const joined = !keys && units > 1 && vector.length === some * width && some > 1;
  if (!keys && !joined && vector.length !== width)
    throw shape(
      edit,
      `the vector holds ${vector.length} numbers; ${units > 1 && some > 1 ? `${width} (for each head) or ${units * width} (all heads)` : width} fit`,
    );
  const numbers = edit.kind === 'add' ? vector : unitLength(vector);
  return { numbers, vectorWidth: numbers.length, unit0, units: some, joined, sourceWidth: 0 };
}

const shape = (edit: EngineEdit, what: string): LabError =>
  new LabError('edit-shape', `An edit at ${edit.at} does not fit: ${what}.`, 'lab.hooks() gives each hook’s shape.');

/** v̂, normalised in float64. A zero vector has no direction and is refused. */
export function unitLength(v: Float32Array): Float32Array {
  let square = 0;
  for (const each of v) square += each * each;
  if (!(square > 0)) throw new LabError('edit-shape', 'A vector of zeros has no direction.', 'Project and cap need a direction.');
  const inverse = 1 / Math.sqrt(square);
  return v.map((each) => each * inverse);
}
