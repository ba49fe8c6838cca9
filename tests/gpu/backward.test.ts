/**
 * The backward kernels against float64, at awkward sizes, in few pipelines: their dimensions are uniforms. Two sequences side by side, so that neither may see the
 * other. What they are together is held to PyTorch in tests/golden/every/gradients.ts.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { klBack } from '../../workers/kernels/kl-back';
import { actBack, attentionBack, linearBack, normBack, ropeBack } from '../../workers/kernels/backward';
import { pad4 } from '../../workers/model/layout';
import type { Activation } from '../../workers/model/spec';
import { ropeTable } from '../../workers/model/runtime';
import { activate } from '../reference/activation';
import { at } from '../reference/array';
import { attentionBack as attentionTwin, linearBack as linearTwin, normBack as normTwin, slopeOf } from '../reference/backward';
import { plainRotary, rope as ropeTwin } from '../reference/rope';
import { Rig } from '../support/kernel';
import { matrixOf, numbers, packed, spaced } from '../support/numbers';

const EPS = 1e-5;
const hook = 'test';
let rig: Rig;
beforeAll(async () => {
  rig = await Rig.open();
});
afterAll(() => rig.close());

const put = (name: string, values: ArrayLike<number>, width: number, stride = pad4(width)): void =>
  rig.put(name, spaced(values, width, stride));

describe('projections', () => {
  const { heads, kvHeads, dHead, rot } = { heads: 4, kvHeads: 2, dHead: 5, rot: 4 };
  const load = ({ buffers }: ReturnType<typeof matrixOf>): void => buffers.forEach(({ name, words }) => rig.put(name, words));

  test.each([
    [1, 131, 35, 'f32', 50],
    [7, 3, 6, 'f32', 2],
    [9, 70, 33, 'f16', Infinity],
    [5, 9, 67, 'bf16', 4],
  ] as const)('%i rows, %i × %i, %s', async (rows, n, k, dtype, most) => {
    rig.clear();
    const matrix = matrixOf('w', numbers(n * k, 1), k, dtype, most);
    load(matrix);
    const dy = numbers(rows * n, 2);
    put('dy', dy, n);
    const before = numbers(rows * pad4(k), 3);
    for (const add of [false, true]) {
      rig.put('dx', before.slice());
      const source = { kind: 'plain' as const, dy: 'dy', stride: pad4(n) };
      await rig.run(...linearBack({ hook, rows, weights: matrix.weights, source, dx: 'dx', add }));
      const old = packed(before, k, pad4(k));
      const right = linearTwin(dy, matrix.values, n, k).map((value, i) => value + (add ? at(old, i) : 0));
      const dx = await rig.floats('dx');
      rig.expectRows('linear-back', `${rows} × ${n} × ${k}`, packed(dx, k, pad4(k)), right, k, 2e-6);
      if (!add) for (let i = 0; i < dx.length; i++) if (i % pad4(k) >= k) expect(dx[i]).toBe(0);
    }
  });

  test('gate and up lie side by side', async () => {
    rig.clear();
    const [rows, d, k] = [6, 7, 10];
    const matrix = matrixOf('w', numbers(2 * d * k, 1), k, 'f32');
    load(matrix);
    const both = numbers(rows * 2 * d, 2);
    const half = (part: number): Float64Array => Float64Array.from({ length: rows * d }, (_, i) => at(both, 2 * i + part));
    const apart = new Float32Array(2 * rows * pad4(d));
    apart.set(spaced(half(0), d, pad4(d)));
    apart.set(spaced(half(1), d, pad4(d)), rows * pad4(d));
    rig.put('dy', apart);
    rig.blank('dx', rows * pad4(k));
    const source = { kind: 'split' as const, dy: 'dy', stride: pad4(d), second: rows * pad4(d) };
    await rig.run(...linearBack({ hook, rows, weights: matrix.weights, source, dx: 'dx', add: false }));
    rig.expectRows(
      'linear-back, split',
      '',
      packed(await rig.floats('dx'), k, pad4(k)),
      linearTwin(both, matrix.values, 2 * d, k),
      k,
      2e-6,
    );
  });

  test('q, k and v, the turned halves in pairs', async () => {
    rig.clear();
    const [rows, k] = [5, 13];
    const all = heads + 2 * kvHeads;
    const matrix = matrixOf('w', numbers(all * dHead * k, 1), k, 'f32', 14);
    load(matrix);
    const dy = numbers(rows * all * dHead, 2);
    const part = (from: number, count: number): Float64Array =>
      Float64Array.from({ length: rows * count * dHead }, (_, i) =>
        at(dy, Math.floor(i / (count * dHead)) * all * dHead + from * dHead + (i % (count * dHead))),
      );
    put('dq', part(0, heads), dHead);
    put('dk', part(heads, kvHeads), dHead);
    put('dv', part(heads + kvHeads, kvHeads), dHead);
    rig.blank('dx', rows * pad4(k));
    const source = { kind: 'qkv' as const, dq: 'dq', dk: 'dk', dv: 'dv', heads, kvHeads, dHead, dHeadPadded: pad4(dHead), rot };
    await rig.run(...linearBack({ hook, rows, weights: matrix.weights, source, dx: 'dx', add: false }));
    // Row n of the matrix is output `natural` of its head.
    const natural = (n: number): number => {
      const [head, i] = [Math.floor(n / dHead), n % dHead];
      return head * dHead + (head < heads + kvHeads && i < rot ? (i >> 1) + (i & 1) * (rot / 2) : i);
    };
    const sorted = Float64Array.from(dy, (_, j) => at(dy, Math.floor(j / (all * dHead)) * all * dHead + natural(j % (all * dHead))));
    rig.expectRows(
      'linear-back, qkv',
      '',
      packed(await rig.floats('dx'), k, pad4(k)),
      linearTwin(sorted, matrix.values, all * dHead, k),
      k,
      2e-6,
    );
  });
});

test.each([
  ['layer', 67, 5],
  ['rms', 257, 3],
] as const)('norm, %s, width %i', async (kind, d, rows) => {
  rig.clear();
  const stride = pad4(d);
  const x = numbers(rows * d, 1, 3).map((value, i) => value + (i === 4 ? 90 : 0));
  const dy = numbers(rows * d, 2);
  const gain = numbers(d, 3).map((value) => value + 1.5);
  const before = numbers(rows * stride, 4, 0.1);
  const scale = numbers(rows, 5).map((value) => value + 3);
  const vecs = new Float32Array(4 + 2 * stride);
  vecs.set(gain, 4);
  put('x', x, d);
  put('dy', dy, d);
  rig.put('vecs', vecs);
  rig.put('edited', scale);
  for (const edited of [undefined, 'edited'])
    for (const add of [true, false]) {
      rig.blank('dn', rows * stride, 7);
      rig.blank('ds', rows, 7);
      rig.put('dx', before.slice());
      const call = { hook, rows, kind, x: 'x', dy: 'dy', dNormalized: 'dn', dScale: 'ds', dx: 'dx', d, stride, gain: 4, eps: EPS, add };
      await rig.run(...normBack({ ...call, ...(edited ? { edited } : {}) }));
      const right = normTwin(x, dy, kind, EPS, gain, edited ? scale : undefined);
      const old = packed(before, d, stride);
      const dx = right.x.map((value, i) => value + (add ? at(old, i) : 0));
      const name = `norm-back ${kind}${edited ? ', edited' : ''}`;
      rig.expectRows(name, 'dx', packed(await rig.floats('dx'), d, stride), dx, d, 5e-6);
      rig.expectRows(name, 'dn', packed(await rig.floats('dn'), d, stride), right.normalized, d, 1e-6);
      // A sum that may cancel: a column is a row.
      rig.expectRows(name, 'ds', await rig.floats('ds'), right.scale, rows, 5e-6);
    }
});

test.each(['gelu_new', 'gelu', 'silu', 'relu'] as const)('%s', async (act: Activation) => {
  const [rows, width] = [2, 67];
  for (const gated of act === 'relu' ? [false] : [false, true]) {
    rig.clear();
    const pre = numbers(rows * width, 1, 6).map((value, i) => (i < 6 ? ([0, -0.5, 12, -12, 60, -60][i] ?? 0) : value));
    const linear = numbers(rows * width, 2);
    const dPost = numbers(rows * width, 3).map((value) => value + 1.5);
    const second = rows * pad4(width);
    put('pre', pre, width);
    put('linear', linear, width);
    put('dpost', dPost, width);
    rig.blank('dpre', 2 * second);
    const call = { hook, rows, act, pre: 'pre', dPost: 'dpost', dPre: 'dpre', second, width, stride: pad4(width) };
    await rig.run(actBack({ ...call, ...(gated ? { linear: 'linear' } : {}) }));
    const out = await rig.floats('dpre');
    const slopes = dPost.map((g, i) => g * (gated ? at(linear, i) : 1) * slopeOf(act, at(pre, i)));
    rig.expectRows(`act-back ${act}`, 'dpre', packed(out.subarray(0, second), width, pad4(width)), slopes, width, 3e-6);
    const other = dPost.map((g, i) => g * activate(act, at(pre, i)));
    if (gated) rig.expectRows(`act-back ${act}`, 'dlinear', packed(out.subarray(second), width, pad4(width)), other, width, 3e-6);
  }
});

describe('attention', () => {
  test.each([
    { heads: 4, kvHeads: 2, dHead: 5, window: 0, cap: 0 },
    { heads: 3, kvHeads: 3, dHead: 8, window: 4, cap: 2 },
    { heads: 3, kvHeads: 1, dHead: 10, window: 3, cap: 0 },
  ])('$heads heads over $kvHeads of $dHead, window $window, cap $cap', async ({ heads, kvHeads, dHead, window, cap }) => {
    rig.clear();
    const lengths = [7, 3];
    const keys = 9;
    const rows = lengths.flatMap((length, slot) => Array.from({ length }, (_, position) => ({ position, slot, sequence: slot })));
    const count = rows.length;
    rig.rows(rows);
    const [q, k, v, dz] = [
      numbers(count * heads * dHead, 1, 1.5),
      numbers(count * kvHeads * dHead, 2, 1.5),
      numbers(count * kvHeads * dHead, 3),
      numbers(count * heads * dHead, 4),
    ];
    const padded = pad4(dHead);
    for (const [name, values] of Object.entries({ q, k, v, dz })) put(name, values, dHead);
    for (const name of ['scores', 'pattern', 'dscores', 'dpattern']) rig.blank(name, count * heads * keys);
    for (const name of ['dq', 'dk', 'dv']) rig.blank(name, count * (name === 'dq' ? heads : kvHeads) * padded, 7);
    const steps = attentionBack(
      { rows: count, heads, kvHeads, dHeadPadded: padded, keys, window, scale: 0.4, cap, hook },
      {
        q: 'q',
        k: 'k',
        v: 'v',
        dz: 'dz',
        scores: 'scores',
        pattern: 'pattern',
        dPattern: 'dpattern',
        dScores: 'dscores',
        dq: 'dq',
        dk: 'dk',
        dv: 'dv',
      },
    );
    await rig.run(steps.again(), steps.pattern(), steps.scores(), steps.q(), steps.kv());
    const square = async (name: string): Promise<Float32Array> => rig.floats(name);
    const [pattern, dPattern, dScores] = [await square('pattern'), await square('dpattern'), await square('dscores')];
    const [dq, dk, dv] = [await rig.floats('dq'), await rig.floats('dk'), await rig.floats('dv')];
    let first = 0;
    for (const length of lengths) {
      const of = (x: Float32Array, units: number): Float32Array => x.subarray(first * units * dHead, (first + length) * units * dHead);
      const shape = { queries: length, keys: length, heads, kvHeads, dHead, window, cap };
      const right = attentionTwin(of(q, heads), of(k, kvHeads), of(v, kvHeads), of(dz, heads), shape, 0.4);
      const there = (x: Float32Array): Float64Array =>
        Float64Array.from({ length: heads * length * length }, (_, i) => {
          const [h, row, t] = [Math.floor(i / length / length), Math.floor(i / length) % length, i % length];
          return at(x, ((first + row) * heads + h) * keys + t);
        });
      rig.expectRows('attention-again', 'pattern', there(pattern), right.pattern, length, 2e-6);
      rig.expectRows('attention-back', 'dpattern', there(dPattern), right.dPattern, length, 2e-6);
      // A first query's softmax cannot move: 0 of 0. So heads are rows.
      rig.expectRows('attention-back', 'dscores', there(dScores), right.dScores, length * length, 2e-6);
      const rowsAt = (x: Float32Array, units: number): Float64Array =>
        packed(x.subarray(first * units * padded, (first + length) * units * padded), dHead, padded);
      rig.expectRows('attention-back', 'dq', rowsAt(dq, heads), right.dq, right.dq.length, 2e-6);
      rig.expectRows('attention-back', 'dk', rowsAt(dk, kvHeads), right.dk, right.dk.length, 2e-6);
      rig.expectRows('attention-back', 'dv', rowsAt(dv, kvHeads), right.dv, right.dv.length, 2e-6);
      first += length;
    }
  });
});

test.each([
  [true, true],
  [true, false],
  [false, true],
])('rotation %s, norms of q and k %s', async (turns, normed) => {
  rig.clear();
  const { heads, kvHeads, dHead, rot } = { heads: 3, kvHeads: 1, dHead: 10, rot: turns ? 6 : 0 };
  const rows = [4, 0, 9].map((position) => ({ position }));
  rig.rows(rows);
  const table = { ...plainRotary(6, 100), scale: 1.3 };
  rig.put('rope', ropeTable(12, table));
  const units = heads + kvHeads;
  const [x, g] = [numbers(rows.length * units * dHead, 1, 2), numbers(rows.length * units * dHead, 2)];
  const vecs = new Float32Array(2 * pad4(dHead));
  const gains = [numbers(dHead, 3).map((value) => value + 1.2), numbers(dHead, 4).map((value) => value + 1.2)];
  gains.forEach((gain, i) => vecs.set(gain, i * pad4(dHead)));
  rig.put('vecs', vecs);
  const part = (values: Float32Array, from: number, many: number): Float32Array =>
    Float32Array.from({ length: rows.length * many * dHead }, (_, i) =>
      at(values, (Math.floor(i / (many * dHead)) * units + from) * dHead + (i % (many * dHead))),
    );
  put('dq', part(g, 0, heads), dHead);
  put('dk', part(g, heads, kvHeads), dHead);
  put('q', part(x, 0, heads), dHead);
  put('k', part(x, heads, kvHeads), dHead);
  const norm = { q: 0, k: pad4(dHead), eps: EPS, rawQ: 'q', rawK: 'k' };
  const call = { hook, rows: rows.length, heads, kvHeads, dHead, dHeadPadded: pad4(dHead), rot, table: 'rope', dq: 'dq', dk: 'dk' };
  await rig.run(ropeBack({ ...call, ...(normed ? { norm } : {}) }));
  for (const [name, from, many] of [
    ['q', 0, heads],
    ['k', heads, kvHeads],
  ] as const) {
    const gain = gains[from === 0 ? 0 : 1] ?? [];
    const right = rows.flatMap(({ position }, r) =>
      Array.from({ length: many }, (_, h) => {
        const here = ((r * many + h) * dHead) as number;
        const down = part(g, from, many).subarray(here, here + dHead);
        // The transposed rotation is the rotation by the opposite angle.
        const back = turns ? ropeTwin(down, { heads: 1, dHead, dims: rot, table, start: -position }) : down;
        const raw = part(x, from, many).subarray(here, here + dHead);
        return [...(normed ? normTwin(raw, back, 'rms', EPS, gain).x : back)];
      }).flat(),
    );
    rig.expectRows('rope-back', name, packed(await rig.floats(`d${name}`), dHead, pad4(dHead)), right, dHead, 3e-6);
  }
});

test('KL by logits: softmax less softmax, through a cap; padding is cleared', async () => {
  const [rows, n] = [3, 131];
  const stride = pad4(n) + 4;
  const logits = numbers(2 * rows * n, 5, 6);
  for (const cap of [0, 7]) {
    rig.clear();
    rig.put('logits', spaced(logits, n, stride, 9));
    await rig.run(klBack({ rows, n, stride, weight: 0.25, cap, logits: 'logits', hook }));
    const softmax = (row: number): Float64Array => {
      const values = Float64Array.from({ length: n }, (_, i) => Math.exp(at(logits, row * n + i)));
      const all = values.reduce((a, b) => a + b, 0);
      return values.map((value) => value / all);
    };
    const expected = Float64Array.from({ length: rows * n }, (_, i) => {
      const [r, k] = [Math.floor(i / n), i % n];
      const through = cap ? 1 - (at(logits, i) / cap) ** 2 : 1;
      return 0.25 * (at(softmax(r), k) - at(softmax(rows + r), k)) * through;
    });
    const found = await rig.floats('logits');
    rig.expectRows('kl-back', `${rows} × ${n}, cap ${cap}`, packed(found.subarray(0, rows * stride), n, stride), expected, n, 5e-6);
    for (let i = 0; i < rows * stride; i++) if (i % stride >= n) expect(found[i]).toBe(0);
  }
});
