/** A dictionary on the rig: rows put where a hook would have them, encoded, decoded, measured and edited, and what came back. */
import { expect } from 'vitest';
import type { LoadedDictionary } from '../../workers/dictionary/load';
import { wordOf } from '../../workers/dictionary/load';
import { DictionaryOps, Needs } from '../../workers/dictionary/ops';
import { listWords, readList, type Lying } from '../../workers/kernels/dictionary';
import { compileEdits } from '../../workers/model/edits';
import { hooksOf } from '../../workers/model/hooks';
import { layoutOf } from '../../workers/model/layout';
import { at } from '../reference/array';
import type { LatentEdit } from '../reference/dictionary-edits';
import { VARIANTS, type LinearVariant, type Rig } from './kernel';
import { editOf, SMALL } from './small-model';

export interface Measured {
  /** Of each row, the largest first. */
  pairs: [latent: number, value: number][][];
  truncated: boolean[];
  /** ‖target − y‖ and ‖target‖ of each row. */
  errors: Float32Array;
  /** Reconstructions, [rows, dOut]. */
  y: Float32Array;
}

export interface MeasureOptions {
  /** Pairs a row; every latent, unless told otherwise. */
  room?: number;
  /** What should come out; x itself, unless told otherwise. */
  target?: Float32Array<ArrayBuffer>;
  variant?: LinearVariant;
}

/** `x` [rows, dIn] read at `hook` by a dictionary that was loaded into the rig's pool. */
export async function measure(
  rig: Rig,
  d: LoadedDictionary,
  x: Float32Array<ArrayBuffer>,
  { room = d.spec.latents, target = x, variant = 'register' }: MeasureOptions = {},
): Promise<Measured> {
  const rows = x.length / d.spec.dIn;
  rig.put('x', lying(x, d.spec.dIn, d.input));
  rig.put('target', lying(target, d.spec.dOut, d.output));
  const needs = new Needs();
  const ops = new DictionaryOps(VARIANTS[variant], needs);
  const program = [
    ...ops.measureRead(d, { hook: d.spec.hookIn, buffer: 'x', rows }, '0', room, { to: 'lists', offset: 0 }),
    ...ops.measureTarget(d, { hook: d.spec.hookOut, buffer: 'target', rows }, '0', { to: 'errors', offset: 0 }, { to: 'out', offset: 0 }),
  ];
  for (const [name, bytes] of needs.sizes) rig.reserve(name, bytes);
  rig.reserve('lists', 4 * rows * listWords(room));
  rig.reserve('errors', 8 * rows);
  rig.reserve('out', 4 * rows * d.output.words);
  await rig.run(...program);
  const lists = await rig.words('lists');
  const read = Array.from({ length: rows }, (_, r) => readList(lists, r * listWords(room)));
  return {
    pairs: read.map(({ pairs }) => pairs),
    truncated: read.map(({ truncated }) => truncated),
    errors: await rig.floats('errors'),
    y: rowsFrom(await rig.floats('out'), d.output),
  };
}

/** What a survey asks of rows: lists alone, any of the active latents where there are more than `room`; and how many there are. */
export async function listed(
  rig: Rig,
  d: LoadedDictionary,
  x: Float32Array<ArrayBuffer>,
  room: number,
  variant: LinearVariant,
): Promise<{ pairs: Measured['pairs']; active: number[] }> {
  const rows = x.length / d.spec.dIn;
  rig.put('x', lying(x, d.spec.dIn, d.input));
  const needs = new Needs();
  const here = { hook: d.spec.hookIn, buffer: 'x', rows };
  const program = new DictionaryOps(VARIANTS[variant], needs).watch(d, here, room, { to: 'lists', offset: 0 }, true);
  for (const [name, bytes] of needs.sizes) rig.reserve(name, bytes);
  rig.reserve('lists', 4 * rows * listWords(room));
  await rig.run(...program);
  const lists = await rig.words('lists');
  const at = (r: number): number => r * listWords(room);
  return {
    pairs: Array.from({ length: rows }, (_, r) => readList(lists, at(r)).pairs),
    active: Array.from({ length: rows }, (_, r) => lists[at(r)] ?? NaN),
  };
}

/** `x` [rows, dOut] with latents edited in every row, as a run would edit a dictionary's hook. */
export async function edited(
  rig: Rig,
  d: LoadedDictionary,
  x: Float32Array<ArrayBuffer>,
  edits: readonly LatentEdit[],
): Promise<Float32Array> {
  const { spec } = d;
  const rows = x.length / spec.dIn;
  const model = { ...SMALL, layers: 5, dModel: spec.dOut, heads: 4, kvHeads: 4, dHead: spec.dOut / 4 };
  const placed = edits.map(({ strength, ...edit }) => ({
    edit: editOf(spec.hookOut, { kind: 'latent', dictionary: 'd', ...edit }, { strength }),
    sequence: 0,
    promptLength: rows,
    length: rows,
    end: rows,
  }));
  const compiled = compileEdits(hooksOf(model, layoutOf(model)), placed, rows, [], model.vocab);
  const [segment] = compiled.segments.get(spec.hookOut) ?? [];
  if (segment?.kind !== 'latents') throw new Error('edits of latents come as a segment of their own');
  rig.put('x', lying(x, spec.dIn, d.input));
  rig.rows(Array.from({ length: rows }, (_, position) => ({ position, slot: position })));
  rig.put('edits', compiled.words);
  const needs = new Needs();
  const { first, latents } = segment;
  const made = new DictionaryOps(VARIANTS.register, needs).latentEdits(d, { key: '0', first, latents, rows });
  const here = { hook: spec.hookOut, buffer: 'x', rows };
  const program = [...made.gathered, ...made.read(here), ...made.write(here)];
  for (const [name, bytes] of needs.sizes) rig.reserve(name, bytes);
  await rig.run(...program);
  return rowsFrom(await rig.floats('x'), d.output);
}

/** Rows of numbers as they lie in a hook's buffer, zeros between. */
function lying(x: ArrayLike<number>, d: number, to: Lying): Float32Array<ArrayBuffer> {
  const rows = x.length / d;
  const out = new Float32Array(rows * to.words);
  for (let r = 0; r < rows; r++) for (let i = 0; i < d; i++) out[r * to.words + wordOf(to, i)] = at(x, r * d + i);
  return out;
}

function rowsFrom(words: Float32Array, from: Lying): Float32Array {
  const rows = words.length / from.words;
  return Float32Array.from({ length: rows * from.d }, (_, i) => at(words, Math.floor(i / from.d) * from.words + wordOf(from, i % from.d)));
}

/** Lists against activations [rows, latents]: the same latents, each value within `tolerance` of its row's largest, the largest first. */
export function expectLists(rig: Rig, pairs: Measured['pairs'], expected: ArrayLike<number>, latents: number, tolerance: number): void {
  pairs.forEach((row, r) => {
    const whole = Float64Array.from({ length: latents }, (_, m) => at(expected, r * latents + m));
    const active = [...whole.keys()].filter((m) => at(whole, m) > 0);
    expect(row.map(([m]) => m).sort((a, b) => a - b)).toEqual(active);
    const dense = new Float64Array(latents);
    for (const [m, value] of row) dense[m] = value;
    rig.expectRows('encode', `row ${r}`, dense, whole, latents, tolerance);
    const values = row.map(([, value]) => value);
    expect(values).toEqual([...values].sort((a, b) => b - a));
  });
}

/** ‖target − y‖ and ‖target‖ of each row, within `tolerance` of the latter. */
export function expectErrors(
  errors: Float32Array,
  expected: ArrayLike<number>,
  target: ArrayLike<number>,
  width: number,
  tolerance: number,
): void {
  for (let r = 0; r < target.length / width; r++) {
    const norm = (v: ArrayLike<number>): number => Math.hypot(...Array.from({ length: width }, (_, i) => at(v, r * width + i)));
    expect(Math.abs(at(errors, 2 * r) - norm(expected)) / norm(target), `‖error‖ of row ${r}`).toBeLessThan(tolerance);
    expect(Math.abs(at(errors, 2 * r + 1) / norm(target) - 1), `‖target‖ of row ${r}`).toBeLessThan(tolerance);
  }
}
