/**
 * One projection on the GPU and in float64. Outputs are laid over numbers that were there before, so that a write into the
 * padding, or an output that was never written, shows.
 */
import { expect } from 'vitest';
import { linear, type Epilogue } from '../../workers/kernels/linear';
import { pad4 } from '../../workers/model/layout';
import { partsOf } from '../../workers/model/pace';
import type { Dtype } from '../../workers/model/matrices';
import type { Activation } from '../../workers/model/spec';
import { activate } from '../reference/activation';
import { at } from '../reference/array';
import { linear as linearTwin } from '../reference/linear';
import { norm as normTwin } from '../reference/norm';
import { softcap } from '../reference/softcap';
import { VARIANTS, type LinearVariant, type Rig } from '../support/kernel';
import { matrixOf, noise, numbers, packed, spaced } from '../support/numbers';

export interface LinearCase {
  variant: LinearVariant;
  rows: number;
  n: number;
  k: number;
  dtype?: Dtype;
  bias?: boolean;
  norm?: 'layer' | 'rms' | undefined;
  epilogue?: 'plain' | 'residual' | 'act' | 'gated' | 'split';
  /** Of a plain epilogue: bends what is large. */
  softcap?: number;
  act?: Activation;
  /** First row of x. */
  row0?: number;
  /** Rows of W a buffer. */
  most?: number;
  /** Size of the products' largest sums: for the far ends of activations. */
  scale?: number;
  /** About so many dispatches each. */
  parts?: number;
  seed?: number;
}

const EPS = 1e-5;

export const title = (each: LinearCase): string =>
  Object.entries(each)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key} ${String(value)}`)
    .join(', ');

/** Numbers of one row's output. */
const outputs = ({ n, epilogue }: LinearCase): number => (epilogue === 'gated' || epilogue === 'split' ? n / 2 : n);

/** x of a row: off centre, of its own scale, one number far above the rest where there is room. */
export const input = (rows: number, k: number, seed: number): Float32Array<ArrayBuffer> =>
  Float32Array.from({ length: rows * k }, (_, i) => {
    const row = Math.floor(i / k);
    return (1 + row) * (noise(i, seed) + 0.5) * (k > 8 && i % k === 3 ? 40 : 1);
  });

/** Runs a case; gives y as it lies, the y before, and the reference of each row. */
export async function runLinear(rig: Rig, each: LinearCase) {
  const { variant, rows, n, k, dtype = 'f32', epilogue = 'plain', act = 'gelu_new', row0 = 0, scale = 1, seed = 1 } = each;
  rig.clear();
  const x = input(rows + row0, k, seed);
  rig.put('x', spaced(x, k, pad4(k)));
  const w = matrixOf('w', numbers(n * k, seed + 1, scale / Math.sqrt(k)), k, dtype, each.most);
  for (const { name, words } of w.buffers) rig.put(name, words);
  const gain = numbers(k, seed + 2).map((value) => value + 1.5);
  const shift = numbers(k, seed + 3);
  const bias = numbers(n, seed + 4, scale);
  const width = pad4(k);
  const vecs = new Float32Array(4 + 2 * width + pad4(n));
  vecs.set(gain, 4);
  vecs.set(shift, 4 + width);
  vecs.set(bias, 4 + 2 * width);
  rig.put('vecs', vecs);
  const many = outputs(each);
  const stride = pad4(many);
  const second = rows * stride;
  const before = numbers(epilogue === 'split' ? 2 * second : second, seed + 5, 3);
  rig.put('y', before);
  const form: Epilogue =
    epilogue === 'split'
      ? { kind: 'split', second }
      : epilogue === 'act' || epilogue === 'gated'
        ? { kind: epilogue, act }
        : epilogue === 'plain'
          ? { kind: 'plain', ...(each.softcap ? { softcap: each.softcap } : {}) }
          : { kind: epilogue };
  const ops = linear({
    name: 'test',
    x: 'x',
    row0,
    rows,
    weights: w.weights,
    bias: each.bias ? 4 + 2 * width : undefined,
    norm: each.norm && { kind: each.norm, gain: 4, width: k, eps: EPS },
    epilogue: form,
    y: 'y',
    yStride: stride,
    variants: VARIANTS[variant],
  });
  for (const op of ops) expect(op.variant).toBe(variant);
  await rig.run(...(each.parts ? ops.flatMap((op) => partsOf(op, each.parts ?? 1)) : ops));
  const y = await rig.floats('y');
  const seen = x.subarray(row0 * k);
  const normed = each.norm ? normTwin(seen, each.norm, EPS, gain, each.norm === 'layer' ? shift : undefined).out : seen;
  const sums = linearTwin(normed, { weight: w.values, inputs: k, outputs: n, ...(each.bias ? { bias } : {}) });
  const expected = new Float64Array(epilogue === 'split' ? 2 * rows * many : rows * many);
  for (let r = 0; r < rows; r++)
    for (let j = 0; j < many; j++) {
      const to = r * many + j;
      const pair = [at(sums, r * n + ((2 * j) % n)), at(sums, r * n + ((2 * j + 1) % n))] as const;
      if (epilogue === 'plain') expected[to] = softcap(at(sums, to), each.softcap ?? 0);
      if (epilogue === 'residual') expected[to] = at(sums, to) + at(before, r * stride + j);
      if (epilogue === 'act') expected[to] = activate(act, at(sums, to));
      if (epilogue === 'gated') expected[to] = activate(act, pair[0]) * pair[1];
      if (epilogue === 'split') {
        expected[to] = pair[0];
        expected[rows * many + to] = pair[1];
      }
    }
  return { y, before, expected, many, stride };
}

export async function checkLinear(rig: Rig, each: LinearCase, tolerance: number): Promise<void> {
  const { y, before, expected, many, stride } = await runLinear(rig, each);
  // A few sums may all cancel to nearly nothing, which tells of the numbers and not of the kernel: such rows share a scale.
  const width = many < 8 ? expected.length : many;
  rig.expectRows(`linear-${each.variant}, ${each.epilogue ?? 'plain'}`, title(each), packed(y, many, stride), expected, width, tolerance);
  for (let i = 0; i < y.length; i++)
    if (i % stride >= many) expect(y[i], `padding of row ${Math.floor(i / stride)}, ${title(each)}`).toBe(before[i]);
}
