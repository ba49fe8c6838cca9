/**
 * 65,536 latents on d = 768 under the smallest limits that WebGPU promises: encoders of 100 MB in f16, inside a binding, and of 201 MB in f32, in two. Every
 * number of them is one of 256 that f16 has, picked by a hash of its place, so that what is expected needs no second copy.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { DictionaryRecord, EngineEdit } from '../../workers/contract';
import { SHAPES, type DictionarySpec } from '../../workers/dictionary/spec';
import { Engine } from '../../workers/engine';
import { shaders } from '../../workers/gpu/shaders';
import { at } from '../reference/array';
import { generate, run, steps, VARIANTS } from '../support/engine';
import { f16ToBits, hash } from '../support/numbers';
import { randomModel } from '../support/random-model';
import { compareRows, describeComparison } from './compare';

const D = 768;
const LATENTS = 65_536;
const HOOK = 'blocks.0.hook_resid_pre';
const IDS = [1, 17];
const GOLDEN = 5e-5;

const VALUES = Float64Array.from({ length: 256 }, (_, i) => (i - 128) / 2048);
const F16 = Uint16Array.from(VALUES, f16ToBits);
const SEED = { W_enc: 1, W_dec: 2 } as const;
const weight = (matrix: keyof typeof SEED, latent: number, i: number): number => at(VALUES, hash(latent * D + i, SEED[matrix]) >>> 24);

const model = randomModel({ model_type: 'gpt2', n_layer: 1, n_embd: D, n_head: 12, n_inner: 64, vocab_size: 61, n_positions: 16 });

let x: Float32Array = new Float32Array(0);
let bias = 0;

/** Its bytes come of their places, as they are asked for. */
function wide(dtype: 'F16' | 'F32'): {
  record: DictionaryRecord;
  reader: { read(f: number, o: number, into: Uint8Array): void; close(): void };
} {
  const spec: DictionarySpec = {
    kind: 'ReLU',
    activation: 'relu',
    hookIn: HOOK,
    hookOut: HOOK,
    dIn: D,
    dOut: D,
    latents: LATENTS,
    skip: false,
    contract: {
      residual: 'raw',
      normalisation: 'none',
      scale: 1,
      subtractBDec: false,
      rescaleByDecoderNorm: false,
      reshape: 'none',
      prependBos: false,
    },
  };
  const size = dtype === 'F16' ? 2 : 4;
  let offset = 0;
  const tensors = (['W_enc', 'W_dec', 'b_dec', 'b_enc'] as const).map((name) => {
    const shape = [...(SHAPES[name]?.(spec) ?? [])];
    const own = name.startsWith('W_') ? dtype : 'F32';
    const bytes = shape.reduce((a, b) => a * b, 1) * (own === 'F16' ? 2 : 4);
    const tensor = { name, file: 0, dtype: own, shape, offset, bytes } as const;
    offset += bytes;
    return { ...tensor, shape };
  });
  return {
    record: {
      id: `wide-${dtype}`,
      name: `wide-${dtype}`,
      format: 'made',
      spec,
      stored: 'memory',
      files: [],
      tensors,
      promised: {},
      addedAt: 0,
    },
    reader: {
      close: () => undefined,
      read(_file, from, into) {
        const tensor = tensors.find((each) => from >= each.offset && from < each.offset + each.bytes);
        if (!tensor) throw new RangeError(`byte ${from}`);
        const first = (from - tensor.offset) / (tensor.dtype === 'F16' ? 2 : 4);
        if (tensor.name === 'W_enc' || tensor.name === 'W_dec') {
          const seed = SEED[tensor.name];
          const out =
            dtype === 'F16'
              ? new Uint16Array(into.buffer, into.byteOffset, into.length / size)
              : new Float32Array(into.buffer, into.byteOffset, into.length / size);
          const table = dtype === 'F16' ? F16 : VALUES;
          for (let i = 0; i < out.length; i++) out[i] = table[hash(first + i, seed) >>> 24] ?? NaN;
        } else {
          const out = new Float32Array(into.buffer, into.byteOffset, into.length / 4);
          out.fill(tensor.name === 'b_enc' ? bias : 0.01);
        }
      },
    },
  };
}

const dictionaries = { F16: wide('F16'), F32: wide('F32') };
let engine: Engine;
let pre: Float64Array[];
beforeAll(async () => {
  const readers = new Map([model, ...Object.values(dictionaries)].map(({ record, reader }) => [record.name, reader]));
  engine = new Engine({
    gpu: () => navigator.gpu as GPU | undefined,
    shaders,
    openTensors: ({ name }) => Promise.resolve(readers.get(name) ?? Promise.reject(new Error(`no ${name}`))),
  });
  await engine.start({ variants: VARIANTS[0], limits: 'default' });
  expect((await engine.device()).limits['maxStorageBufferBindingSize']).toBe(128 << 20);
  await engine.use(model.record, { weights: 'stored' }, [], 'use');
  const [seen] = await engine.batch([run(IDS, { taps: [HOOK], logits: 'none' })], 'tap');
  x = seen?.taps?.[HOOK]?.data ?? x;
  // About one latent in a thousand is active.
  const spread = Math.sqrt(x.reduce((sum, each) => sum + each * each, 0) / IDS.length) * 0.036;
  bias = Math.fround(-3.1 * spread);
  pre = IDS.map((_, row) => {
    const own = Float64Array.from(x.subarray(row * D, (row + 1) * D));
    return Float64Array.from({ length: LATENTS }, (__, m) => {
      let sum = bias;
      for (let i = 0; i < D; i++) sum += at(own, i) * (VALUES[hash(m * D + i, SEED.W_enc) >>> 24] ?? NaN);
      return sum;
    });
  });
});
afterAll(() => engine.unload(model.record.id));

describe.each(['F16', 'F32'] as const)('%s', (dtype) => {
  const { record } = dictionaries[dtype];
  const pieces = dtype === 'F16' ? 1 : 2;

  beforeAll(async () => {
    await engine.attach(record, 'attach');
    return () => engine.detach(record.id);
  });

  test('every active latent, its value, and the error', async () => {
    const found = await engine.encode({ dictionary: record.id, ids: IDS, edits: [] }, 'encode');
    expect(found.truncated).toBe(false);
    for (const [row, own] of pre.entries()) {
      const most = own.reduce((a, b) => Math.max(a, b), 0);
      const active = [...own.keys()].filter((m) => at(own, m) > 0);
      const listed = new Map(found.rows[row]);
      expect(active.length).toBeGreaterThan(20);
      expect(active.some((m) => m > 43_690)).toBe(true);
      const far = (m: number): boolean => Math.abs(at(own, m)) > GOLDEN * most;
      expect([...listed.keys()].filter(far).sort((a, b) => a - b)).toEqual(active.filter(far));
      for (const m of active.filter(far)) expect(Math.abs((listed.get(m) ?? NaN) - at(own, m)) / most, `latent ${m}`).toBeLessThan(GOLDEN);
      let error = 0;
      for (let i = 0; i < D; i++) {
        let y = Math.fround(0.01);
        for (const m of active) y += at(own, m) * weight('W_dec', m, i);
        error += (at(x, row * D + i) - y) ** 2;
      }
      expect(at(found.errorNorm, row) / Math.sqrt(error)).toBeCloseTo(1, 4);
    }
  });

  test('live: a product for each piece and one list, a token', async () => {
    const count = async (watch: string[]): Promise<number> =>
      (await engine.explainGenerate(generate(IDS, { watch }))).filter(({ kernel }) => kernel !== 'copy').length;
    expect((await count([record.id])) - (await count([]))).toBe(pieces + 1);
    const request = generate(IDS, { watch: [record.id], tokens: 3 });
    const all = await steps(engine, request);
    const text = [...IDS, ...all.map(({ steered }) => steered.id)];
    const whole = await engine.encode({ dictionary: record.id, ids: text, edits: [] }, 'encode');
    for (const { position, latents } of all) {
      const { pairs, truncated } = latents?.[record.id] ?? { pairs: [], truncated: true };
      expect(truncated).toBe(false);
      const wanted = whole.rows[position - 1] ?? [];
      expect(pairs.map(([m]) => m).sort((a, b) => a - b)).toEqual(wanted.map(([m]) => m).sort((a, b) => a - b));
    }
  });

  test('a latent of the last piece is set', async () => {
    const own = pre[1] ?? new Float64Array(0);
    const latent = [...own.keys()].findLast((m) => at(own, m) > 0) ?? 0;
    expect(latent).toBeGreaterThan(43_690);
    const value = 3 * at(own, latent);
    const rest = { at: HOOK, where: 'all', skipSpecial: false, strength: 1, enabled: true } as const;
    const edit: EngineEdit = { ...rest, kind: 'latent', dictionary: record.id, latent, op: 'set', value };
    const [result] = await engine.batch([run(IDS, { edits: [edit], taps: [HOOK], logits: 'none' })], 'edit');
    const expected = Float64Array.from(x, (each, i) => {
      const before = Math.max(0, at(pre[Math.floor(i / D)] ?? [], latent));
      return each + (value - before) * weight('W_dec', latent, i % D);
    });
    const found = compareRows(result?.taps?.[HOOK]?.data ?? [], expected, D, GOLDEN);
    expect(found.within, describeComparison('edited', found)).toBe(true);
  });
});
