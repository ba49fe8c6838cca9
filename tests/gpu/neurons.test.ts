/** Neurons' kernels against their float64 twins: lists of either kind, edits in place, and the products of a matrix's columns. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { listWords, readList } from '../../workers/kernels/dictionary';
import { pieces } from '../../workers/kernels/grid';
import { columnDots, editNeurons, listNeurons, type Listed } from '../../workers/kernels/neurons';
import { compileEdits } from '../../workers/model/edits';
import { hooksOf } from '../../workers/model/hooks';
import { layoutOf, pad4 } from '../../workers/model/layout';
import { at } from '../reference/array';
import type { LatentEdit } from '../reference/dictionary-edits';
import { listed, neuronEdits } from '../reference/neurons';
import { Rig } from '../support/kernel';
import { numbers, rounded, spaced, stored } from '../support/numbers';
import { editOf, SMALL } from '../support/small-model';

const HOOK = 'blocks.0.mlp.hook_post';
let rig: Rig;
beforeAll(async () => {
  rig = await Rig.open();
});
afterEach(() => rig.clear());
afterAll(() => rig.close());

/** Rows of n as they lie in a hook's buffer; what is between must never be seen. */
const spread = (x: ArrayLike<number>, n: number, fill = 0): Float32Array<ArrayBuffer> => spaced(x, n, pad4(n), fill);

describe.each([
  ['positive', false],
  ['positive', true],
  ['signed', false],
  ['signed', true],
] as const)('lists, %s, serial: %s', (kind: Listed, serial) => {
  async function list(
    x: Float32Array,
    n: number,
    room: number,
  ): Promise<{ pairs: [number, number][]; active: number; after: Float32Array }[]> {
    const rows = x.length / n;
    rig.put('x', spread(x, n, 1e9));
    rig.blank('list', rows * listWords(room));
    await rig.run(listNeurons({ listed: kind, rows, neurons: n, stride: pad4(n), room, x: 'x', list: 'list', hook: HOOK, serial }));
    const words = await rig.words('list');
    const after = await rig.floats('x');
    return Array.from({ length: rows }, (_, r) => ({
      pairs: readList(words, r * listWords(room)).pairs,
      active: words[r * listWords(room)] ?? -1,
      after,
    }));
  }

  test.each([
    [1, 1, 4],
    [3, 67, 80],
    [4, 257, 10],
    [2, 3072, 480],
    [1, 14336, 1024],
  ])('%i rows of %i, room for %i', async (rows, n, room) => {
    const x = numbers(rows * n, 3 + n, 2);
    // Rest of every kind: zeros of both signs.
    for (let i = 0; i < x.length; i += 5) x[i] = i % 2 ? 0 : -0;
    const found = await list(x, n, room);
    found.forEach(({ pairs, active }, r) => {
      const wanted = listed(x.subarray(r * n, (r + 1) * n), kind, room);
      expect(active).toBe(wanted.active);
      expect(pairs).toEqual(wanted.pairs);
    });
    expect(found[0]?.after, 'the hook’s rows stay as they are').toEqual(spread(x, n, 1e9));
  });

  test('of equal magnitudes the lowest; nothing active is an empty list', async () => {
    const n = 1000;
    const same = Float32Array.from({ length: 2 * n }, (_, i) => (i >= n ? 0 : i % 2 ? -3 : 3));
    const [full, empty] = await list(same, n, 13);
    expect(full?.pairs).toEqual(listed(same.subarray(0, n), kind, 13).pairs);
    expect(empty).toMatchObject({ pairs: [], active: 0 });
  });
});

test('edits: set, added to, scaled, twice on one neuron, at some rows alone; every other number is what it was, to the bit', async () => {
  const n = 147;
  const rows = 5;
  const edits: LatentEdit[] = [
    { latent: 3, op: 'set', value: -2.5, strength: 1 },
    { latent: 67, op: 'add', value: 1.5, strength: 0.5 },
    { latent: 3, op: 'scale', value: 4, strength: 0.25 },
    { latent: 146, op: 'scale', value: 0, strength: 1 },
    { latent: 9, op: 'set', value: 1e9, strength: 0 },
    { latent: 67, op: 'set', value: 7, strength: 0.75 },
  ];
  const model = { ...SMALL, dMlp: n };
  const placed = edits.map(({ strength, ...edit }) => ({
    edit: editOf(HOOK, { kind: 'latent', dictionary: 'd', ...edit }, { strength, where: [0, 1, 3] }),
    sequence: 0,
    promptLength: rows,
    length: rows,
    end: rows,
  }));
  const compiled = compileEdits(hooksOf(model, layoutOf(model)), placed, rows, [], model.vocab);
  const [segment] = compiled.segments.get(HOOK) ?? [];
  if (segment?.kind !== 'latents') throw new Error('edits of neurons come as a segment of their own');
  const x = numbers(rows * n, 5, 3);
  rig.put('x', spread(x, n, 8));
  rig.rows(Array.from({ length: rows }, (_, position) => ({ position, slot: position })));
  rig.put('edits', compiled.words);
  await rig.run(editNeurons({ rows, stride: pad4(n), first: segment.first, count: edits.length, x: 'x', hook: HOOK }));
  const found = await rig.floats('x');
  const edited = neuronEdits(x, n, edits);
  const wanted = Float64Array.from(x, (value, i) => ([0, 1, 3].includes(Math.floor(i / n)) ? at(edited, i) : value));
  rig.expectRows('neuron-edit', 'all', found, spread(wanted, n, 8), pad4(n), 1e-6);
  const touched = new Set([3, 67, 146]);
  found.forEach((value, i) => {
    const [r, unit] = [Math.floor(i / pad4(n)), i % pad4(n)];
    if (unit >= n || !touched.has(unit) || ![0, 1, 3].includes(r)) expect(value).toBe(unit < n ? x[r * n + unit] : 8);
  });
  for (const r of [0, 1, 3]) expect(Math.abs(found[r * pad4(n) + 146] ?? NaN)).toBe(0);
});

test.each([
  ['f32', 67, 130, 1 << 20],
  ['f16', 33, 52, 1 << 20],
  ['bf16', 48, 64, 1024],
  ['f32', 768, 3072, 1 << 28],
] as const)('columns of a matrix in %s, [%i, %i], bindings of %i bytes', async (dtype, n, k, limit) => {
  const values = numbers(n * k, 9, 0.3);
  const matrix = { n, k: pad4(k), dtype, pieces: pieces('w', n, pad4(k) * (dtype === 'f32' ? 4 : 2), limit) };
  if (limit === 1024) expect(matrix.pieces.length).toBeGreaterThan(3);
  const all = spread(values, k);
  for (const { buffer, row0, rows } of matrix.pieces)
    rig.put(buffer, new Uint32Array(stored(all.slice(row0 * matrix.k, (row0 + rows) * matrix.k), dtype).buffer));
  const v = numbers(n, 10, 1);
  rig.put('v', spread(v, n));
  rig.blank('out', 2 * matrix.k, 5);
  await rig.run(...columnDots({ matrix, v: 'v', out: 'out', hook: HOOK }));
  const wanted = new Float64Array(2 * matrix.k);
  for (let o = 0; o < n; o++)
    for (let i = 0; i < k; i++) {
      const w = rounded(at(values, o * k + i), dtype);
      wanted[i] = at(wanted, i) + at(v, o) * w;
      wanted[matrix.k + i] = at(wanted, matrix.k + i) + w * w;
    }
  rig.expectRows('column-dots', dtype, await rig.floats('out'), wanted, matrix.k, 5e-6);
});
