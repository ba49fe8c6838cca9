/** The projection to q, k and v against float64: raw or into the cache, rotated or not, grouped heads, odd widths of head. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { linear } from '../../workers/kernels/linear';
import { pad4 } from '../../workers/model/layout';
import type { RowMap } from '../../workers/kernels/repack';
import { rowOf as placed } from '../../workers/model/place';
import { ropeTable } from '../../workers/model/runtime';
import { at } from '../reference/array';
import { linear as linearTwin } from '../reference/linear';
import { norm as normTwin } from '../reference/norm';
import { plainRotary, rope as ropeTwin } from '../reference/rope';
import { Rig, VARIANTS, type LinearVariant } from '../support/kernel';
import { matrixOf, numbers, packed, spaced } from '../support/numbers';

const TIGHT = 4e-6;
const K = 37;
const CAP = 11;
const SLOTS = 3;
let rig: Rig;
beforeAll(async () => {
  rig = await Rig.open();
});
afterAll(() => rig.close());

interface Shape {
  heads: number;
  kvHeads: number;
  dHead: number;
  rot: number;
}
interface Case extends Shape {
  variant: LinearVariant;
  rows: number;
  cache: boolean;
  bias: boolean;
  norm?: 'layer' | 'rms';
  most?: number;
}

async function check({ heads, kvHeads, dHead, rot, variant, rows, cache, bias, norm, most }: Case): Promise<void> {
  const padded = pad4(dHead);
  const n = (heads + 2 * kvHeads) * dHead;
  const seed = n + rows;
  rig.clear();
  const x = numbers(rows * K, seed, 2);
  rig.put('x', spaced(x, K, pad4(K)));
  // Rows of q and k lie in the order in which a rotation wants them.
  const map: RowMap = { kind: rot ? 'rotated' : 'plain', phase: 0, head: dHead, rot, limit: (heads + kvHeads) * dHead };
  const whole = numbers(n * K, seed + 1, 0.2);
  const wholeBias = numbers(n, seed + 2);
  const w = new Float32Array(n * K);
  const b = new Float32Array(n);
  for (let o = 0; o < n; o++) {
    const to = placed(map, o);
    w.set(whole.subarray(o * K, (o + 1) * K), to * K);
    b[to] = at(wholeBias, o);
  }
  const matrix = matrixOf('w', w, K, 'f32', most);
  for (const { name, words } of matrix.buffers) rig.put(name, words);
  const [gain, shift, width] = [numbers(K, seed + 3), numbers(K, seed + 4), pad4(K)];
  const vecs = new Float32Array(2 * width + pad4(n));
  vecs.set(gain);
  vecs.set(shift, width);
  vecs.set(b, 2 * width);
  rig.put('vecs', vecs);
  const placesOf = Array.from({ length: rows }, (_, r) => ({ position: (5 * r + 2) % CAP, slot: (r + 1) % SLOTS }));
  rig.rows(placesOf);
  rig.put('rope', ropeTable(CAP, plainRotary(rot || 2, 10000)));
  rig.blank('q', rows * heads * padded, 77);
  const second = (cache ? SLOTS * kvHeads * CAP : rows * kvHeads) * padded;
  rig.blank('kv', 2 * second, 77);
  await rig.run(
    ...linear({
      name: 'qkv',
      x: 'x',
      rows,
      weights: matrix.weights,
      bias: bias ? 2 * width : undefined,
      norm: norm && { kind: norm, gain: 0, width: K, eps: 1e-5 },
      epilogue: { kind: 'qkv', heads, kvHeads, dHead, dHeadPadded: padded, rot, rope: 'rope', second, cap: CAP, kv: 'kv', cache },
      y: 'q',
      yStride: heads * padded,
      variants: VARIANTS[variant],
    }),
  );
  const seen = norm ? normTwin(x, norm, 1e-5, gain, norm === 'layer' ? shift : undefined).out : x;
  const sums = linearTwin(seen, { weight: whole, inputs: K, outputs: n, ...(bias ? { bias: wholeBias } : {}) });
  const part = (r: number, from: number, many: number, turn: boolean): Float64Array => {
    const flat = sums.slice(r * n + from * dHead, r * n + (from + many) * dHead);
    const start = placesOf[r]?.position ?? 0;
    return turn && rot && cache ? ropeTwin(flat, { heads: many, dHead, dims: rot, table: plainRotary(rot, 10000), start }) : flat;
  };
  const rightQ: number[] = [];
  const rightKv = new Float64Array(2 * second).fill(77);
  placesOf.forEach(({ position, slot }, r) => {
    rightQ.push(...part(r, 0, heads, true));
    const k = part(r, heads, kvHeads, true);
    const v = part(r, heads + kvHeads, kvHeads, false);
    for (let h = 0; h < kvHeads; h++) {
      const to = (cache ? (slot * kvHeads + h) * CAP + position : r * kvHeads + h) * padded;
      rightKv.set(k.subarray(h * dHead, (h + 1) * dHead), to);
      rightKv.set(v.subarray(h * dHead, (h + 1) * dHead), second + to);
    }
  });
  const what = `${variant}, ${rows} rows, ${heads}/${kvHeads} heads of ${dHead}, rot ${rot}, cache ${String(cache)}, norm ${String(norm)}`;
  const q = await rig.floats('q');
  rig.expectRows(`linear-${variant}, q`, what, packed(q, dHead, padded), rightQ, heads * dHead, TIGHT);
  for (let i = 0; i < q.length; i++) if (i % padded >= dHead) expect(q[i]).toBe(77);
  const kv = await rig.floats('kv');
  // What belongs to no row of this run stays to the bit: other positions, other slots, padding.
  rightKv.forEach((value, i) => {
    if (value === 77) expect(kv[i], `${what}: word ${i} of the cache`).toBe(77);
  });
  const mine = (from: ArrayLike<number>): number[] => Array.from(from).filter((_, i) => rightKv[i] !== 77);
  rig.expectRows(`linear-${variant}, kv`, what, mine(kv), mine(rightKv), kvHeads * dHead, TIGHT);
}

const SHAPES: Shape[] = [
  { heads: 1, kvHeads: 1, dHead: 2, rot: 2 },
  { heads: 3, kvHeads: 1, dHead: 6, rot: 6 },
  { heads: 4, kvHeads: 2, dHead: 10, rot: 4 },
  { heads: 3, kvHeads: 3, dHead: 5, rot: 0 },
  { heads: 2, kvHeads: 1, dHead: 7, rot: 0 },
];

describe.each(['register', 'workgroup', 'subgroup', 'tiled'] as const)('%s', (variant) => {
  test.each(SHAPES)('$heads heads over $kvHeads of width $dHead, $rot turned', async (shape) => {
    if (variant === 'subgroup' && !rig.gpu.device.features.has('subgroups')) return;
    const few = variant !== 'tiled';
    const many = variant === 'tiled' || variant === 'register';
    for (const cache of [true, false]) {
      if (few) await check({ ...shape, variant, rows: cache ? 3 : 1, cache, bias: cache, norm: shape.rot ? 'rms' : 'layer' });
      if (many) await check({ ...shape, variant, rows: cache ? 9 : 5, cache, bias: cache });
    }
    // Cut at even rows, in the middle of heads.
    const norm = shape.rot ? ('rms' as const) : ('layer' as const);
    await check({ ...shape, variant, rows: few ? 3 : 8, cache: true, bias: true, most: 4, ...(few ? { norm } : {}) });
  });
});
