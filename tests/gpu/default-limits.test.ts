/**
 * GPT-2's embedding in f32 under the smallest limits that WebGPU promises: 154 MB where a binding holds 128 MiB, so that it
 * must lie in two buffers. Every number of it is a hash of its place: what is expected needs no second copy.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { attention, openAttention } from '../../workers/kernels/attention';
import { embed } from '../../workers/kernels/embed';
import { linear } from '../../workers/kernels/linear';
import { act, norm, NO_SITE, rope } from '../../workers/kernels/rowwise';
import { sample } from '../../workers/kernels/distribution';
import { weightTable, type Matrix } from '../../workers/model/matrices';
import { at } from '../reference/array';
import { GPT2_SMALL } from '../support/specs';
import { Rig, VARIANTS } from '../support/kernel';
import { noise, numbers } from '../support/numbers';

const { vocab, dModel: d } = GPT2_SMALL;
const value = (token: number, i: number): number => noise(token * d + i, 1);

let rig: Rig;
let table: Matrix;
beforeAll(async () => {
  rig = await Rig.open({ defaultLimits: true });
  const { limits } = rig.gpu;
  expect(limits.maxStorageBufferBindingSize).toBe(128 << 20);
  expect(limits.maxBufferSize).toBe(256 << 20);
  expect(limits.maxStorageBuffersPerShaderStage).toBe(8);
  expect(limits.maxComputeWorkgroupStorageSize).toBe(16 << 10);
  const found = weightTable(GPT2_SMALL, () => 'f32', limits.maxStorageBufferBindingSize).matrices.get('embed');
  if (!found) throw new Error('no embedding');
  table = found;
  const chunk = 2048;
  for (const { buffer, row0, rows } of table.pieces) {
    rig.reserve(buffer, rows * d * 4);
    for (let from = 0; from < rows; from += chunk) {
      const first = (row0 + from) * d;
      const data = Float32Array.from({ length: Math.min(chunk, rows - from) * d }, (_, i) => noise(first + i, 1));
      rig.write(buffer, from * d * 4, data);
    }
    await rig.gpu.check();
  }
});
afterAll(() => rig.close());

test('the embedding is split by rows, each piece inside a binding', () => {
  expect(table.pieces.length).toBeGreaterThanOrEqual(2);
  for (const { rows } of table.pieces) expect(rows * d * 4).toBeLessThanOrEqual(128 << 20);
});

/** The tokens about the edges of the pieces, and a few between. */
const edges = (): number[] => [
  ...table.pieces.flatMap(({ row0, rows }) => [row0, row0 + 1, row0 + rows - 2, row0 + rows - 1]),
  12345,
  49999,
];

test('embed reads from every piece', async () => {
  const tokens = edges();
  rig.rows(tokens.map((token, position) => ({ token, position })));
  rig.put('w.pos', numbers(tokens.length * d, 5));
  rig.blank('y', tokens.length * d, 77);
  await rig.run(...embed({ rows: tokens.length, table, pos: { context: tokens.length }, d, y: 'y', vocab, hook: 'hook_embed' }));
  const y = await rig.floats('y');
  const pos = numbers(tokens.length * d, 5);
  tokens.forEach((token, r) => {
    for (let i = 0; i < d; i++) expect(y[r * d + i]).toBe(Math.fround(value(token, i) + at(pos, r * d + i)));
  });
});

describe.each([
  ['register', 1],
  ['register', 5],
  ['workgroup', 1],
] as const)('unembed, %s, %i rows', (variant, rows) => {
  test('logits of every piece', async () => {
    const stride = Math.ceil(vocab / 4) * 4;
    const x = numbers(rows * d, 9);
    rig.put('x', x);
    rig.blank('logits', rows * stride, 77);
    const ops = linear({
      name: 'unembed',
      x: 'x',
      rows,
      weights: table,
      epilogue: { kind: 'plain' },
      y: 'logits',
      yStride: stride,
      variants: VARIANTS[variant],
    });
    expect(ops.length).toBe(table.pieces.length);
    await rig.run(...ops);
    const logits = await rig.floats('logits');
    const columns = [...edges(), ...Array.from({ length: 500 }, (_, i) => (i * 101) % vocab)];
    for (let r = 0; r < rows; r++) {
      const expected = columns.map((token) => {
        let sum = 0;
        for (let i = 0; i < d; i++) sum += at(x, r * d + i) * value(token, i);
        return sum;
      });
      const found = columns.map((token) => at(logits, r * stride + token));
      rig.expectRows(`unembed-${variant}`, `row ${r}`, found, expected, columns.length, 2e-6);
      for (let i = vocab; i < stride; i++) expect(logits[r * stride + i]).toBe(77);
    }
  });
});

test('every kernel builds under these limits, at its hungriest', async () => {
  const site = { first: 0, count: 1 };
  const sites = { q: site, k: site, v: site, rotQ: site, rotK: site };
  const heads = { heads: 8, kvHeads: 2, dHead: 128, dHeadPadded: 128, rot: 128 };
  const base = { rows: 1, hook: '' };
  const matrix = { n: 64, k: 64, dtype: 'f32', pieces: [{ buffer: 'w', row0: 0, rows: 64 }] } as const;
  const qkv = { kind: 'qkv', ...heads, rope: 'rope.0', second: 0, cap: 1, kv: 'kv', cache: true } as const;
  const open = { scale: 'scale', normalized: 'normalized', scaleSite: site, normalizedSite: site };
  const shape = { ...base, ...heads, kv: 'kv', second: 0, cap: 1, scale: 1, q: 'q', length: 1 };
  const pieces = Array.from({ length: 4 }, (_, i) => ({ buffer: `w#${i}`, row0: i, rows: 1 }));
  const ops = [
    ...[undefined, { sites }].flatMap((open) =>
      [undefined, { q: 0, k: 0, eps: 1e-6 }].map((norm) =>
        rope({ ...base, ...heads, norm, open, table: 'rope.0', kv: 'kv', second: 0, cacheSecond: 0, cap: 1 }),
      ),
    ),
    norm({ ...base, kind: 'layer', x: 'x', out: 'y', d: 64, stride: 64, gain: 0, eps: 1e-5, residual: true, open }),
    act({ ...base, pre: 'a', post: 'b', act: 'gelu', gated: true, width: 8, stride: 8, second: 8, site, linearSite: NO_SITE }),
    attention({ ...shape, variant: 'serial' }),
    attention({ ...shape, variant: 'workgroup' }),
    openAttention({ ...shape, keys: 1, window: 1, softcap: 50, sites: { scores: site, pattern: site } }),
    sample({ sampled: 1, rows: 1, n: 8, stride: 8, k: 1 }),
    ...embed({ rows: 1, d: 64, vocab: 4, y: 'y', hook: '', table: { n: 4, k: 64, dtype: 'f32', pieces }, pos: { context: 1 } }),
    ...(['register', 'workgroup', 'tiled'] as const).flatMap((variant) =>
      [4, 8].flatMap((rows) =>
        linear({ name: '', x: 'x', rows, weights: matrix, bias: 0, epilogue: qkv, y: 'q', yStride: 64, variants: VARIANTS[variant] }),
      ),
    ),
  ];
  for (const op of ops) {
    expect(op.bind.filter((bind) => bind !== null).length, op.file).toBeLessThanOrEqual(8);
    await rig.gpu.kernel(op.file, op.defines, op.constants);
  }
  await rig.gpu.check();
});
