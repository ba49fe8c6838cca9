/** Edits on the GPU against their twin: every kind, on rows, on heads, on keys; where, skipSpecial, and what strength 0 leaves. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { EngineEdit } from '../../workers/contract';
import { edit as editOp } from '../../workers/kernels/rowwise';
import { compileEdits, EVERY, type PlacedEdit } from '../../workers/model/edits';
import { findHook, geometryOf } from '../../workers/model/hooks';
import { sourceOf } from '../../workers/model/sources';
import { at } from '../reference/array';
import { editHook, type EditContext } from '../reference/edits';
import { Rig } from '../support/kernel';
import { numbers, packed, spaced } from '../support/numbers';
import { editOf, HOOKS, SMALL } from '../support/small-model';

const TIGHT = 1e-6;
const LENGTH = 37;
const PROMPT = 20;
const SPECIAL = [7, 40];
const IDS = Array.from({ length: LENGTH }, (_, i) => (i % 9 === 0 ? 7 : i === 33 ? 40 : 8 + (i % 20)));
const OTHER = [...IDS].reverse();

let rig: Rig;
/** A thread a row, or a workgroup. */
let serial: boolean;
beforeAll(async () => {
  rig = await Rig.open();
});
afterAll(() => rig.close());

/** Shape of a hook's values over `length` positions, as TransformerLens has it. */
function shapeOf(hook: string, length: number): number[] {
  const { shape } = findHook(HOOKS, hook);
  return shape.map((word) => (/^\d+$/.test(word) ? Number(word) : length));
}
/** An unedited run's values: any numbers, the same for the same ids. */
const unedited = (ids: readonly number[], hook: string) => {
  const shape = shapeOf(hook, ids.length);
  return {
    shape,
    data: numbers(
      shape.reduce((a, b) => a * b, 1),
      100 + at(ids, 1),
      2,
    ),
  };
};
const CONTEXT: EditContext = {
  ids: IDS,
  promptLength: PROMPT,
  special: new Set(SPECIAL),
  unedited: (ids, hook) => {
    const { shape, data } = unedited(ids, hook);
    return { shape, data: Float64Array.from(data) };
  },
};

/** The engine's rows of a hook that is no attention pattern: sequence 0 edited, sequence 1 beside it, row by row in turn. */
async function onGpu(
  hook: string,
  edits: readonly EngineEdit[],
  x: Float32Array,
  beside: Float32Array,
): Promise<[Float32Array, Float32Array]> {
  const target = { promptLength: PROMPT, length: LENGTH, end: LENGTH, tokens: LENGTH };
  const placed: PlacedEdit[] = [];
  for (const edit of edits) {
    const source = await sourceOf(HOOKS, edit, target, (ids, at) => Promise.resolve(unedited(ids, at)));
    placed.push({ edit, sequence: 0, ...target, ...(source ? { source } : {}) });
  }
  const compiled = compileEdits(HOOKS, placed, LENGTH, SPECIAL, 50);
  const site = compiled.sites.get(hook);
  const { width, units, stride, rowStride } = geometryOf(findHook(HOOKS, hook), LENGTH);
  rig.clear();
  const lay = (rows: Float32Array): Float32Array => spaced(rows, width, stride, 77);
  const [mine, other] = [lay(x), lay(beside)];
  const both = new Float32Array(mine.length + other.length);
  for (let r = 0; r < LENGTH; r++) {
    both.set(mine.subarray(r * rowStride, (r + 1) * rowStride), 2 * r * rowStride);
    both.set(other.subarray(r * rowStride, (r + 1) * rowStride), (2 * r + 1) * rowStride);
  }
  rig.put('x', both);
  rig.rows(IDS.flatMap((token, position) => [0, 1].map((sequence) => ({ token, position, sequence, slot: sequence }))));
  rig.put('edits', compiled.words);
  if (!site) throw new Error(`no edits at ${hook}`);
  await rig.run(editOp({ rows: 2 * LENGTH, hook, x: 'x', site, rowStride, stride, width, units, serial }));
  const found = await rig.floats('x');
  const rows = (which: number): Float32Array =>
    Float32Array.from({ length: LENGTH * rowStride }, (_, i) =>
      at(found, (2 * Math.floor(i / rowStride) + which) * rowStride + (i % rowStride)),
    );
  for (const each of [rows(0), rows(1)]) for (let i = 0; i < each.length; i++) if (i % stride >= width) expect(each[i]).toBe(77);
  return [Float32Array.from(packed(rows(0), width, stride)), Float32Array.from(packed(rows(1), width, stride))];
}

async function check(hook: string, edits: readonly EngineEdit[], twins: readonly EngineEdit[] = edits): Promise<void> {
  const shape = shapeOf(hook, LENGTH);
  const size = shape.reduce((a, b) => a * b, 1);
  const x = numbers(size, 1, 3);
  const beside = numbers(size, 2, 3);
  const [mine, other] = await onGpu(hook, edits, x, beside);
  const expected = editHook(twins, CONTEXT)(hook, Float64Array.from(x), shape);
  const kinds = edits.map(({ kind, head, where }) => `${kind} ${String(head)} ${String(where)}`).join('; ');
  rig.expectRows('edit', `${hook}: ${kinds}`, mine, expected ?? [], size < 8 * LENGTH ? size : size / LENGTH, TIGHT);
  expect(other, 'another sequence').toEqual(beside);
  // The edit did something, somewhere.
  expect(mine).not.toEqual(x);
}

const RESID = 'blocks.0.hook_resid_post';
const Z = 'blocks.0.attn.hook_z';
const PLACES: { where: EngineEdit['where']; skipSpecial: boolean; strength: number }[] = [
  { where: 'all', skipSpecial: false, strength: 1 },
  { where: 'prompt', skipSpecial: true, strength: 0.4 },
  { where: 'generated', skipSpecial: true, strength: -1.5 },
  { where: [0, 31, 32, -1], skipSpecial: false, strength: 2 },
];

describe.each([false, true])('serial: %s', (form) => {
  beforeAll(() => {
    serial = form;
  });

  describe.each([
    ['the stream', RESID, SMALL.dModel],
    ['one number', 'blocks.0.ln2.hook_scale', 1],
    ['more than a workgroup', 'blocks.0.mlp.hook_post', SMALL.dMlp],
    ['all heads as one row', Z, SMALL.heads * SMALL.dHead],
  ])('%s (%s)', (_, hook, width) => {
    test.each(PLACES)('where $where, skipSpecial $skipSpecial, strength $strength', async (place) => {
      const v = numbers(width, 5).map((each) => each + 0.1);
      const edits: EngineEdit[] = [
        editOf(hook, { kind: 'add', vector: v, scale: -2.5 }, place),
        editOf(hook, { kind: 'project', vector: v, keep: 0 }, place),
        editOf(hook, { kind: 'project', vector: v, keep: 1.5 }, place),
        editOf(hook, { kind: 'cap', vector: v, cap: 0.3 }, place),
        editOf(hook, { kind: 'replace', value: 'zero' }, place),
        editOf(hook, { kind: 'replace', value: { ids: OTHER } }, place),
        editOf(hook, { kind: 'replace', value: { mean: [IDS, OTHER], over: 'all' } }, place),
        editOf(hook, { kind: 'replace', value: { mean: [IDS, OTHER], over: 'position' } }, place),
      ];
      for (const each of edits) await check(hook, [each]);
      // In list order, each on what the one before left (of one number, a projection leaves nothing to compare).
      if (width > 1) await check(hook, edits.slice(0, 4));
    });
  });

  describe('heads', () => {
    const v = numbers(SMALL.dHead, 6).map((each) => each + 0.1);
    test.each([0, 1, 2])('head %i alone', async (head) => {
      for (const place of PLACES) {
        await check(Z, [editOf(Z, { kind: 'add', vector: v, scale: 2 }, { ...place, head })]);
        await check(Z, [editOf(Z, { kind: 'project', vector: v, keep: 0.25 }, { ...place, head })]);
        await check(Z, [editOf(Z, { kind: 'cap', vector: v, cap: -0.5 }, { ...place, head })]);
        await check(Z, [editOf(Z, { kind: 'replace', value: { ids: OTHER } }, { ...place, head })]);
        await check(Z, [editOf(Z, { kind: 'replace', value: 'zero' }, { ...place, head })]);
      }
    });
    test('a vector of one head’s width goes to each head by itself', async () => {
      for (const what of [
        { kind: 'add', vector: v, scale: 2 },
        { kind: 'project', vector: v, keep: 0 },
        { kind: 'cap', vector: v, cap: 0.2 },
      ] as const)
        await check(
          Z,
          [editOf(Z, what)],
          Array.from({ length: SMALL.heads }, (_, head) => editOf(Z, what, { head })),
        );
    });
  });

  describe('scores and patterns: only keys that the query can see', () => {
    const hook = 'blocks.0.attn.hook_attn_scores';
    const [head, some] = [1, LENGTH];
    test.each([
      ['add', editOf(hook, { kind: 'add', vector: numbers(LENGTH, 9), scale: 2 })],
      ['add at one head', editOf(hook, { kind: 'add', vector: numbers(LENGTH, 9), scale: 2 }, { head })],
      ['zero at one head', editOf(hook, { kind: 'replace', value: 'zero' }, { head, where: [3, -1] })],
      ['another prompt’s', editOf(hook, { kind: 'replace', value: { ids: OTHER } }, { where: 'prompt' })],
    ])('%s', async (_, each) => {
      const target = { promptLength: PROMPT, length: LENGTH, end: LENGTH, tokens: LENGTH };
      const source = await sourceOf(HOOKS, each, target, (ids, at) => Promise.resolve(unedited(ids, at)));
      const compiled = compileEdits(HOOKS, [{ edit: each, sequence: 0, ...target, ...(source ? { source } : {}) }], some, SPECIAL, 50);
      const { heads } = SMALL;
      const x = numbers(heads * LENGTH * LENGTH, 1, 3);
      rig.clear();
      // The engine keeps [query][head][key], TransformerLens [head][query][key].
      rig.put('x', x);
      rig.rows(IDS.map((token, position) => ({ token, position })));
      rig.put('edits', compiled.words);
      const site = compiled.sites.get(hook) ?? { first: 0, count: 0 };
      const geometry = geometryOf(findHook(HOOKS, hook), LENGTH);
      await rig.run(editOp({ rows: LENGTH, hook, x: 'x', site, ...geometry, causal: true, serial }));
      const swap = (from: ArrayLike<number>, a: number, b: number): Float64Array =>
        Float64Array.from({ length: from.length }, (_, i) => {
          const [row, key] = [Math.floor(i / LENGTH), i % LENGTH];
          return at(from, ((row % a) * b + Math.floor(row / a)) * LENGTH + key);
        });
      const shape = [heads, LENGTH, LENGTH];
      const expected = editHook([each], CONTEXT)(hook, swap(x, LENGTH, heads), shape);
      const found = swap(await rig.floats('x'), LENGTH, heads);
      rig.expectRows('edit, keys', each.kind, found, expected ?? [], LENGTH, TIGHT);
    });
  });

  test('each of many sequences has its own edits, and those of every one', async () => {
    // In another order than the sequences’, some with two edits and some with none: a row must find its own among the others’.
    const [sequences, width] = [41, SMALL.dModel];
    const own = Array.from({ length: sequences }, (_, i) => (7 * i) % sequences).filter((s) => s % 5 !== 0);
    const vector = new Float32Array(width).fill(1);
    const target = { promptLength: 1, length: 1, end: 1, tokens: 1 };
    const added = (scale: number, sequence: number): PlacedEdit => ({
      edit: editOf(RESID, { kind: 'add', vector, scale }),
      sequence,
      ...target,
    });
    const placed = [added(0.5, EVERY), ...own.map((s) => added(s, s)), ...own.filter((s) => s % 3 === 0).map((s) => added(100, s))];
    const compiled = compileEdits(HOOKS, placed, 1, SPECIAL, 50);
    const site = compiled.sites.get(RESID);
    if (!site) throw new Error('no edits');
    const { stride, rowStride } = geometryOf(findHook(HOOKS, RESID), 1);
    rig.clear();
    rig.put('x', new Float32Array(sequences * rowStride));
    rig.rows(Array.from({ length: sequences }, (_, sequence) => ({ token: 9, position: 0, sequence, slot: sequence })));
    rig.put('edits', compiled.words);
    await rig.run(editOp({ rows: sequences, hook: RESID, x: 'x', site, rowStride, stride, width, units: 1, serial }));
    const found = await rig.floats('x');
    for (let s = 0; s < sequences; s++)
      expect(found[s * rowStride], `sequence ${s}`).toBe(0.5 + (s % 5 === 0 ? 0 : s + (s % 3 === 0 ? 100 : 0)));
  });

  test('strength 0, or an edit that is off, leaves the exact bits: −0 and subnormals too', async () => {
    const v = numbers(SMALL.dModel, 5, 1e30);
    const x = numbers(LENGTH * SMALL.dModel, 3, 4);
    new Uint32Array(x.buffer).set([0x80000000, 1, 0x80000001, 0x007fffff, 0x7f7fffff]);
    for (const still of [{ strength: 0 }, { enabled: false }])
      for (const what of [
        { kind: 'add', vector: v, scale: 3e38 },
        { kind: 'project', vector: v, keep: 0 },
        { kind: 'cap', vector: v, cap: -3e38 },
        { kind: 'replace', value: 'zero' },
        { kind: 'replace', value: { ids: OTHER } },
      ] as const) {
        const [mine] = await onGpu(RESID, [editOf(RESID, what, still)], x, x);
        expect(new Uint32Array(mine.buffer), what.kind).toEqual(new Uint32Array(x.buffer));
      }
  });
});
