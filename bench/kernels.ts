/**
 * Our kernel variants against each other, alone, at GPT-2 small's shapes. Each is first held against the first variant's numbers; then all
 * are timed in turn (A, B, C, C, B, A). Weights rotate through more memory than a GPU's cache holds, as the layers of a model do.
 */
import { compareRows } from '../tests/golden/compare';
import { Pool, Program, type Dispatch } from '../workers/gpu/commands';
import type { Gpu } from '../workers/gpu/device';
import { attention } from '../workers/kernels/attention';
import { FEW, linear, type Variants } from '../workers/kernels/linear';
import { CANDIDATES } from '../workers/model/variants';
import { NOBODY, rowWords } from '../workers/model/rows';
import { median } from './numbers';

export interface KernelTime {
  kind: keyof Variants;
  what: string;
  variant: string;
  milliseconds: number;
  /** Time over the fastest variant's. */
  ratio: number;
  bytesPerSecond: number;
  flopsPerSecond: number;
  /** Largest difference from the first variant, of the row's largest value. */
  error: number;
}

interface Case {
  kind: keyof Variants;
  what: string;
  flops: number;
  output: string;
  width: number;
  /** Keys that a single row sees. */
  keys: number;
  /** The buffers it needs, in words; `copies` of the one that carries the traffic. */
  buffers: Record<string, number>;
  traffic: { name: string; words: number; copies: number };
  op(variant: string, copy: number): Dispatch[];
}

const HEADS = 12;
const WIDTH = 64;
const CAP = 1024;
/** More than the last-level cache of the GPUs we know (50 MiB on an H200). */
const BEYOND_CACHE = 160 * 2 ** 20;
const PLENTY = 17;
/** As much work in one submission, about. */
const AIM_MS = 40;
const MOST_REPEATED = 256;

function projection(rows: number, k: number, n: number, normed: boolean, name: string): Case {
  const words = n * k;
  const kind = rows <= FEW ? 'matvec' : 'matmul';
  return {
    kind,
    what: `${name}: ${rows} × ${k} → ${n}`,
    flops: 2 * rows * k * n,
    output: 'y',
    width: n,
    keys: 0,
    buffers: { x: rows * k, y: rows * n, vecs: 2 * k + Math.ceil(n / 4) * 4 },
    traffic: { name: 'w', words, copies: copiesOf(4 * words) },
    op: (variant, copy) =>
      linear({
        name,
        x: 'x',
        rows,
        weights: { n, k, dtype: 'f32', pieces: [{ buffer: `w.${copy}`, row0: 0, rows: n }] },
        bias: 2 * k,
        ...(normed && kind === 'matvec' ? { norm: { kind: 'layer', gain: 0, width: k, eps: 1e-5 } as const } : {}),
        epilogue: { kind: 'plain' },
        y: 'y',
        yStride: n,
        variants: { matvec: 'register', matmul: 'register', attention: 'serial', [kind]: variant },
      }),
  };
}

function attend(rows: number, keys: number): Case {
  const words = 2 * HEADS * CAP * WIDTH;
  const causal = rows === 1 ? keys : (rows + 1) / 2;
  return {
    kind: 'attention',
    what: `attention: ${rows} × ${keys} keys, ${HEADS} heads of ${WIDTH}`,
    flops: 4 * rows * causal * HEADS * WIDTH,
    output: 'z',
    width: WIDTH,
    keys,
    buffers: { q: rows * HEADS * WIDTH, z: rows * HEADS * WIDTH, lse: rows * HEADS, rows: rows * 8 },
    traffic: { name: 'kv', words, copies: 12 },
    op: (variant, copy) => [
      attention({
        rows,
        heads: HEADS,
        kvHeads: HEADS,
        dHeadPadded: WIDTH,
        kv: `kv.${copy}`,
        second: words / 2,
        cap: CAP,
        scale: 0.125,
        hook: 'z',
        q: 'q',
        variant: variant as Variants['attention'],
        length: causal,
      }),
    ],
  };
}

const copiesOf = (bytes: number): number => Math.max(1, Math.min(PLENTY, Math.ceil(BEYOND_CACHE / bytes)));

export const CASES: readonly Case[] = [
  projection(1, 768, 2304, true, 'qkv'),
  projection(1, 768, 3072, true, 'mlp in'),
  projection(1, 3072, 768, false, 'mlp out'),
  projection(1, 768, 50257, true, 'unembed'),
  projection(16, 768, 3072, false, 'mlp in'),
  projection(64, 768, 3072, false, 'mlp in'),
  projection(64, 3072, 768, false, 'mlp out'),
  projection(256, 768, 3072, false, 'mlp in'),
  attend(1, 64),
  attend(1, 1024),
  attend(64, 64),
];

/** Numbers in ±1, the same every time. */
function noise(words: number): Float32Array<ArrayBuffer> {
  const out = new Float32Array(words);
  for (let i = 0; i < words; i++) out[i] = (Math.imul(i + 1, 0x9e3779b1) >> 8) / 2 ** 23;
  return out;
}

export async function kernelTimes(gpu: Gpu, say: (line: string) => void, rounds = 3): Promise<KernelTime[]> {
  const out: KernelTime[] = [];
  for (const each of CASES) {
    const times = await caseTimes(gpu, each, rounds);
    say(`${each.what}: ${times.map(({ variant, milliseconds: t }) => `${variant} ${t.toFixed(3)} ms`).join(', ')}`);
    out.push(...times);
  }
  return out;
}

async function caseTimes(gpu: Gpu, each: Case, rounds: number): Promise<KernelTime[]> {
  const variants = CANDIDATES[each.kind].filter((name) => name !== 'subgroup' || gpu.device.features.has('subgroups'));
  const pool = new Pool(gpu);
  try {
    fill(gpu, pool, each);
    const outputs: Float32Array[] = [];
    const programs: { program: Program; repeated: number; samples: number[] }[] = [];
    for (const variant of variants) {
      const once = await Program.prepare(gpu, each.op(variant, 0), pool);
      once.run();
      outputs.push(await readBack(gpu, pool, each));
      const took = await timed(gpu, once);
      once.free();
      const repeated = Math.max(1, Math.min(MOST_REPEATED, Math.round(AIM_MS / took)));
      const ops = Array.from({ length: repeated }, (_, i) => each.op(variant, i % each.traffic.copies)).flat();
      programs.push({ program: await Program.prepare(gpu, ops, pool), repeated, samples: [] });
    }
    for (const { program } of programs) await timed(gpu, program);
    for (let round = 0; round < rounds; round++)
      for (const order of [programs, [...programs].reverse()])
        for (const { program, repeated, samples } of order) samples.push((await timed(gpu, program)) / repeated);
    for (const { program } of programs) program.free();
    const medians = programs.map(({ samples }) => median(samples));
    const best = Math.min(...medians);
    const bytes = each.op(variants[0] ?? '', 0).reduce((sum, op) => sum + op.bytes, 0);
    return variants.map((variant, i) => {
      const time = medians[i] ?? NaN;
      const { worst } = compareRows(outputs[i] ?? [], outputs[0] ?? [], each.width, Infinity);
      if (!(worst < 1e-4)) throw new Error(`${each.what}: ${variant} differs from ${variants[0] ?? ''} by ${worst} of the row's scale.`);
      const perSecond = 1e3 / time;
      return {
        kind: each.kind,
        what: each.what,
        variant,
        milliseconds: time,
        ratio: time / best,
        bytesPerSecond: bytes * perSecond,
        flopsPerSecond: each.flops * perSecond,
        error: worst,
      };
    });
  } finally {
    pool.free();
  }
}

function fill(gpu: Gpu, pool: Pool, { buffers, traffic, keys }: Case): void {
  for (const [name, words] of Object.entries(buffers)) {
    const data = name === 'rows' ? rowTable(words / 8, keys) : noise(words);
    gpu.write(pool.need(name, data.byteLength), 0, data);
  }
  const data = noise(traffic.words);
  for (let copy = 0; copy < traffic.copies; copy++) gpu.write(pool.need(`${traffic.name}.${copy}`, data.byteLength), 0, data);
}

/** One decoding row at the end of its keys, or a stretch from the start. */
function rowTable(rows: number, keys: number): Uint32Array<ArrayBuffer> {
  return rowWords(
    Array.from({ length: rows }, (_, i) => ({
      token: 0,
      position: rows === 1 ? keys - 1 : i,
      slot: 0,
      prefixSlot: 0,
      prefixLength: 0,
      sequence: 0,
      follow: NOBODY,
    })),
  );
}

async function timed(gpu: Gpu, program: Program): Promise<number> {
  await gpu.device.queue.onSubmittedWorkDone();
  const start = performance.now();
  program.run();
  await gpu.device.queue.onSubmittedWorkDone();
  const took = performance.now() - start;
  await gpu.check();
  return took;
}

async function readBack(gpu: Gpu, pool: Pool, { output, buffers }: Case): Promise<Float32Array> {
  const bytes = 4 * (buffers[output] ?? 0);
  const staging = gpu.buffer(bytes, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST, 'staging');
  try {
    const encoder = gpu.device.createCommandEncoder();
    encoder.copyBufferToBuffer(pool.get(output), 0, staging, 0, bytes);
    gpu.submit([encoder.finish()]);
    return new Float32Array(await gpu.read(staging, bytes));
  } finally {
    gpu.free(staging);
  }
}
