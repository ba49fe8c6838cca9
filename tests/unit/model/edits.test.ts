/** Edits into words: positions, what is refused, and where each number lies for the kernels and the dials. */
import { describe, expect, test } from 'vitest';
import type { EngineEdit } from '../../../workers/contract';
import { compileEdits, positionsOf, siteOf, unitLength, type PlacedEdit, type Source } from '../../../workers/model/edits';
import { at } from '../../reference/array';
import { editOf, HOOKS, SMALL } from '../../support/small-model';
import { refusal } from '../refusal';

describe('positionsOf', () => {
  test.each<[EngineEdit['where'], number, number, number, number[]]>([
    ['all', 2, 5, 5, [0, 1, 2, 3, 4]],
    ['prompt', 2, 5, 5, [0, 1]],
    ['prompt', 7, 5, 5, [0, 1, 2, 3, 4]],
    ['generated', 2, 5, 5, [2, 3, 4]],
    ['generated', 5, 5, 5, []],
    [[0, 4], 2, 5, 5, [0, 4]],
    [[-1, -5], 2, 5, 5, [4, 0]],
    // In generation: 8 positions may come, and −1 is the last of the prompt.
    [[-1, 7], 5, 8, 5, [4, 7]],
    [[], 2, 5, 5, []],
  ])('%j of a prompt of %i, %i positions, end %i', (where, promptLength, length, end, expected) =>
    expect(positionsOf(where, promptLength, length, end)).toEqual(expected),
  );
  test.each([5, -6, 1.5, NaN])('position %d of 5 is refused', async (position) => {
    expect((await refusal(() => positionsOf([position], 2, 5, 5))).code).toBe('position-range');
  });
});

const RESID = 'blocks.1.hook_resid_pre';
const Z = 'blocks.0.attn.hook_z';
const PATTERN = 'blocks.0.attn.hook_pattern';
const place = (edit: EngineEdit, rest: Partial<PlacedEdit> = {}): PlacedEdit => ({
  edit,
  sequence: 0,
  promptLength: 3,
  length: 40,
  end: 3,
  ...rest,
});
const compile = (...placed: PlacedEdit[]) => compileEdits(HOOKS, placed, 40, [1, 49], 50);
const full = (n: number, value = 1): Float32Array => new Float32Array(n).fill(value);

describe('what is refused', () => {
  test.each<[string, string, EngineEdit]>([
    ['hook-unknown', 'an unknown hook', editOf('blocks.9.hook_resid_pre', { kind: 'add', vector: full(67), scale: 1 })],
    ['edit-shape', 'a vector too short', editOf(RESID, { kind: 'add', vector: full(66), scale: 1 })],
    ['edit-shape', 'a vector too long', editOf(RESID, { kind: 'project', vector: full(68), keep: 1 })],
    ['edit-shape', 'a vector of no head’s width', editOf(Z, { kind: 'cap', vector: full(6), cap: 1 })],
    ['edit-shape', 'all heads’ width for one head', editOf(Z, { kind: 'add', vector: full(15), scale: 1 }, { head: 0 })],
    ['edit-shape', 'a head where there is none', editOf(RESID, { kind: 'add', vector: full(67), scale: 1 }, { head: 0 })],
    ['edit-shape', 'a head too many', editOf(Z, { kind: 'add', vector: full(5), scale: 1 }, { head: 3 })],
    ['edit-shape', 'a head below 0', editOf(Z, { kind: 'add', vector: full(5), scale: 1 }, { head: -1 })],
    ['edit-shape', 'half a head', editOf(Z, { kind: 'add', vector: full(5), scale: 1 }, { head: 0.5 })],
    ['edit-shape', 'a vector with a NaN', editOf(RESID, { kind: 'add', vector: full(67, NaN), scale: 1 })],
    ['edit-shape', 'an infinite vector', editOf(RESID, { kind: 'add', vector: full(67, Infinity), scale: 1 })],
    ['edit-shape', 'a projection along nothing', editOf(RESID, { kind: 'project', vector: full(67, 0), keep: 0 })],
    ['edit-shape', 'a cap along nothing', editOf(RESID, { kind: 'cap', vector: full(67, 0), cap: 0 })],
    ['edit-shape', 'a source that was not computed', editOf(RESID, { kind: 'replace', value: { ids: [1] } })],
    ['position-range', 'a position past the end', editOf(RESID, { kind: 'replace', value: 'zero' }, { where: [40] })],
  ])('%s: %s', async (code, _, edit) => {
    const error = await refusal(() => compile(place(edit)));
    expect(error.code).toBe(code);
    // It says which edit, position or vector is meant.
    expect(error.message).toMatch(new RegExp(`${edit.at}|position 40|vector of zeros`));
  });
});

test('fits: a vector for a head, for each head, for all heads at once; any width over keys', () => {
  const record = (edit: EngineEdit) => {
    const { words, sites } = compile(place(edit));
    const { first } = siteOf({ words, sites, segments: new Map(), dials: [] }, edit.at);
    return { width: words[first + 3], unit0: words[first + 4], units: words[first + 5], joined: words[first + 6] };
  };
  const add = (hook: string, n: number, head?: number): EngineEdit =>
    editOf(hook, { kind: 'add', vector: full(n), scale: 1 }, head === undefined ? {} : { head });
  expect(record(add(Z, 5, 2))).toEqual({ width: 5, unit0: 2, units: 1, joined: 0 });
  expect(record(add(Z, 5))).toEqual({ width: 5, unit0: 0, units: 3, joined: 0 });
  expect(record(add(Z, 15))).toEqual({ width: 15, unit0: 0, units: 3, joined: 1 });
  expect(record(add(RESID, 67))).toEqual({ width: 67, unit0: 0, units: 1, joined: 0 });
  expect(record(add(PATTERN, 7, 1))).toEqual({ width: 7, unit0: 1, units: 1, joined: 0 });
});

test('edits of one hook stand together in list order; dials in the order given', () => {
  const { words, sites, dials } = compile(
    place(editOf(RESID, { kind: 'add', vector: full(67, 2), scale: 3 }, { strength: 0.5 })),
    place(editOf(Z, { kind: 'project', vector: full(5), keep: 0.25 }), { sequence: 4 }),
    place(editOf(RESID, { kind: 'cap', vector: full(67), cap: -7 }, { enabled: false, skipSpecial: true })),
  );
  const floats = new Float32Array(words.buffer);
  expect(siteOf({ words, sites, segments: new Map(), dials }, RESID).count).toBe(2);
  expect(siteOf({ words, sites, segments: new Map(), dials }, Z).count).toBe(1);
  expect(siteOf(undefined, Z)).toEqual({ first: 0, count: 0 });
  const { first } = siteOf({ words, sites, segments: new Map(), dials }, RESID);
  expect([words[first], words[first + 12]]).toEqual([0, 2]);
  expect([words[first + 8], words[first + 20]]).toEqual([0, 1]);
  expect(words[siteOf({ words, sites, segments: new Map(), dials }, Z).first + 1]).toBe(4);
  expect(dials.map((dial) => [floats[dial], floats[dial + 1]])).toEqual([
    [3, 0.5],
    [0.25, 1],
    [-7, 0],
  ]);
  expect([words[first + 11], words[first + 23]]).toEqual([dials[0], dials[2]]);
  // Added as given; directions have length 1.
  expect(floats[at(words, first + 2)]).toBe(2);
  expect(at(floats, at(words, first + 14))).toBeCloseTo(1 / Math.sqrt(67), 7);
});

test('positions and special tokens as bits', () => {
  const { words, sites } = compile(place(editOf(RESID, { kind: 'replace', value: 'zero' }, { where: [0, 31, 32, 39] })));
  const bits = at(words, siteOf({ words, sites, segments: new Map(), dials: [] }, RESID).first + 7);
  const set = (from: number, n: number): number[] =>
    Array.from({ length: n }, (_, i) => i).filter((i) => (at(words, from + (i >> 5)) >>> (i & 31)) & 1);
  expect(set(bits, 64)).toEqual([0, 31, 32, 39]);
  expect(set(at(words, 0), 64)).toEqual([1, 49]);
});

test('a source’s map: rows where there are some, nothing elsewhere; zero needs no source', () => {
  const source: Source = { data: full(134, 9), width: 67, rowWords: 67, map: new Map([[2, 1]]) };
  const given = compile(place(editOf(RESID, { kind: 'replace', value: { ids: [1] } }), { source }));
  const record = given.words.subarray(siteOf(given, RESID).first);
  const map = given.words.subarray(at(record, 9), at(record, 9) + 40);
  expect(map[2]).toBe(1);
  expect([...map].filter((row) => row === 0xffffffff).length).toBe(39);
  expect(record[10]).toBe(67);
  const zero = compile(place(editOf(RESID, { kind: 'replace', value: 'zero' })));
  const none = zero.words.subarray(siteOf(zero, RESID).first);
  expect(none[10]).toBe(0);
  expect(zero.words.subarray(at(none, 9), at(none, 9) + 40).every((row) => row === 0)).toBe(true);
});

test('unitLength', () => {
  expect([...unitLength(Float32Array.of(3, 0, 4))]).toEqual([Math.fround(0.6), 0, Math.fround(0.8)]);
  // Squares of these leave f32.
  expect([...unitLength(Float32Array.of(1e30, 0))]).toEqual([1, 0]);
  expect([...unitLength(Float32Array.of(0, 1e-30))]).toEqual([0, 1]);
  expect(SMALL.dModel).toBe(67);
});
