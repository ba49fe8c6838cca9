/**
 * A toy's tensors, stacked by heads, transposed, with two axes of inputs, through the loader itself: every engine matrix and
 * vector is what the rules and place.ts say, in every stored type, with the same answers for norms that the file leaves out.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ModelRecord, StoredDtype } from '../../workers/contract';
import { Pool } from '../../workers/gpu/commands';
import { familyOf } from '../../workers/model/families';
import type { TensorRule } from '../../workers/model/family';
import { layoutOf } from '../../workers/model/layout';
import type { Dtype } from '../../workers/model/matrices';
import { placementOf, rowOf } from '../../workers/model/place';
import { loadWeights } from '../../workers/model/weights';
import { at } from '../reference/array';
import { Rig } from '../support/kernel';
import { noise, rounded, stored } from '../support/numbers';

let rig: Rig;
beforeAll(async () => {
  rig = await Rig.open();
});
afterAll(() => rig.close());

const TOY = {
  n_layers: 2,
  d_model: 14,
  d_head: 6,
  n_heads: 4,
  n_ctx: 8,
  d_vocab: 11,
  d_vocab_out: 9,
  normalization_type: 'LN',
  act_fn: 'gelu',
};
const ROTARY = { ...TOY, positional_embedding_type: 'rotary', rotary_dim: 4, n_key_value_heads: 2, normalization_type: 'RMS' };
const MODELS: [string, Record<string, unknown>, string[]][] = [
  ['a toy', TOY, []],
  ['a toy without what may be missing', TOY, ['ln_final.w', 'blocks.1.ln1.w', 'blocks.0.attn.b_Q', 'unembed.b_U']],
  ['a toy, rotary, grouped', { ...ROTARY, act_fn: 'silu' }, []],
  ['an attention-only toy', { ...ROTARY, attn_only: true, normalization_type: null }, []],
  [
    'Gemma 2: gains kept less 1',
    {
      model_type: 'gemma2',
      hidden_size: 14,
      num_hidden_layers: 2,
      num_attention_heads: 4,
      num_key_value_heads: 2,
      head_dim: 6,
      intermediate_size: 10,
      vocab_size: 9,
    },
    [],
  ],
  [
    'Phi-3: fused',
    {
      model_type: 'phi3',
      hidden_size: 14,
      num_hidden_layers: 1,
      num_attention_heads: 4,
      num_key_value_heads: 2,
      head_dim: 6,
      intermediate_size: 10,
      vocab_size: 9,
    },
    [],
  ],
  [
    'GPT-NeoX: head by head',
    { model_type: 'gpt_neox', hidden_size: 24, num_hidden_layers: 1, num_attention_heads: 3, rotary_pct: 0.5, vocab_size: 9 },
    [],
  ],
];
const TYPES: Record<StoredDtype, Dtype> = { F32: 'f32', F16: 'f16', BF16: 'bf16' };
const sizeOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

describe.each(MODELS)('%s', (_, config, missing) => {
  test.each(['F32', 'F16', 'BF16'] as const)('%s', async (dtype) => {
    rig.clear();
    const family = familyOf(config);
    const spec = family.spec(config);
    const layout = layoutOf(spec);
    const rules = family.tensors(spec).filter((rule) => !missing.includes(rule.name));
    const values = (rule: TensorRule): Float64Array =>
      Float64Array.from({ length: sizeOf(rule.shape) }, (_, i) =>
        rounded(2 * noise(i, rule.name.length + sizeOf(rule.shape)), TYPES[dtype]),
      );
    // One file, a tensor after the other, none at a multiple of four bytes that it could do without.
    let offset = 2;
    const bytes = new Uint8Array(1 << 16);
    const tensors = rules.map((rule) => {
      const size = sizeOf(rule.shape) * (dtype === 'F32' ? 4 : 2);
      bytes.set(new Uint8Array(stored(values(rule), TYPES[dtype]).buffer, 0, size), offset);
      const tensor = { name: rule.name, shape: rule.shape, dtype, file: 0, offset, bytes: size };
      offset += size + 2;
      return tensor;
    });
    const pool = new Pool(rig.gpu);
    const { table } = await loadWeights({
      ...{ gpu: rig.gpu, pool, family, spec, stored: spec, layout, weights: 'stored' },
      record: { tensors } as unknown as ModelRecord,
      reader: { read: (_file, from, into) => into.set(bytes.subarray(from, from + into.length)) },
    });
    const words = async (name: string, count: number): Promise<Uint32Array> => {
      const back = rig.gpu.buffer(4 * count, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST, 'read');
      const encoder = rig.gpu.device.createCommandEncoder();
      encoder.copyBufferToBuffer(pool.get(name), 0, back, 0, 4 * count);
      rig.gpu.submit([encoder.finish()]);
      const data = new Uint32Array(await rig.gpu.read(back, 4 * count));
      rig.gpu.free(back);
      return data;
    };
    const matrices = new Map<string, Float64Array>();
    const vectors = new Float32Array(table.vectorWords);
    for (const [name, from] of table.vectors) if (/ln\w*\.w$/.test(name)) vectors.fill(1, from, from + spec.dModel);
    for (const rule of rules) {
      const to = placementOf(rule.place, spec);
      const data = values(rule);
      if (to.name === 'pos') continue;
      if (to.vector) {
        data.forEach((value, o) => (vectors[(table.vectors.get(to.name) ?? NaN) + to.base + rowOf(to.map, o)] = value + (rule.plus ?? 0)));
        continue;
      }
      const matrix = table.matrices.get(to.name);
      if (!matrix) throw new Error(`no matrix ${to.name}`);
      const rows = matrices.get(to.name) ?? new Float64Array(matrix.n * matrix.k);
      matrices.set(to.name, rows);
      // From the axes' meaning: [stack, in, in within a head, out] or [out, in].
      const slices = rule.stacked ? at(rule.shape, 0) : 1;
      const outs = rule.transposed ? at(rule.shape, rule.shape.length - 1) : at(rule.shape, 0);
      const ins = data.length / slices / outs;
      const headed = to.name.endsWith('attn.out');
      for (let slice = 0; slice < slices; slice++)
        for (let o = 0; o < outs; o++)
          for (let i = 0; i < ins; i++) {
            const column = headed ? Math.floor(i / spec.dHead) * layout.dHead + (i % spec.dHead) : i;
            const row = to.base + rowOf(to.map, slice * outs + o);
            rows[row * matrix.k + column] = at(data, slice * ins * outs + (rule.transposed ? i * outs + o : o * ins + i));
          }
    }
    for (const [name, right] of matrices) {
      const matrix = table.matrices.get(name);
      const expected = stored(right, matrix?.dtype ?? 'f32');
      expect([...(await words(matrix?.pieces[0]?.buffer ?? '', expected.length))], name).toEqual([...expected]);
    }
    expect([...table.matrices.keys()].sort()).toEqual([...matrices.keys()].sort());
    expect(new Float32Array((await words('vecs', table.vectorWords)).buffer)).toEqual(vectors);
    pool.free();
  });
});
