/**
 * Configs into specs: what each family makes of a real model's config.json, that the two ways transformers has spelled rotary
 * positions mean the same, which layers slide, and that what the engine does not run is refused and never ignored.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { FAMILIES, familyOf } from '../../../workers/model/families';
import type { Config } from '../../../workers/model/family';
import { attentionScale, firstKey, windowOf, type ModelSpec } from '../../../workers/model/spec';
import { at } from '../../reference/array';
import { CONFIGS, SPECS, type ModelName } from '../../support/specs';
import { refusal } from '../refusal';

const specOf = (config: Config): ModelSpec => familyOf(config).spec(config);
const without = (config: Config, ...names: string[]): Config =>
  Object.fromEntries(Object.entries(config).filter(([key]) => !names.includes(key)));
const rotaryOf = (spec: ModelSpec): Extract<ModelSpec['positions'], { kind: 'rotary' }> => {
  if (spec.positions.kind !== 'rotary') throw new Error('learned positions');
  return spec.positions;
};

describe('real models', () => {
  test.each<[ModelName, Partial<ModelSpec>]>([
    ['gpt2', { family: 'gpt2', dHead: 64, dMlp: 3072, tied: true, positions: { kind: 'learned' } }],
    ['TinyStories-33M', { dHead: 48, dMlp: 3072, tied: true, bias: { qkv: false, out: true, mlpIn: true, mlpOut: true, unembed: false } }],
    ['pythia-160m', { dHead: 64, tied: false, block: { parallel: true, sharedNorm: false, postNorms: false } }],
    ['Llama-3.2-1B', { dHead: 64, kvHeads: 8, tied: true, context: 131072, norm: { kind: 'rms', eps: 1e-5 } }],
    ['Mistral-7B-v0.1', { dHead: 128, kvHeads: 8, tied: false }],
    ['Qwen2.5-0.5B', { dHead: 64, kvHeads: 2, bias: { qkv: true, out: false, mlpIn: false, mlpOut: false, unembed: false } }],
    ['Qwen3-0.6B', { dHead: 128, kvHeads: 8, bias: { qkv: false, out: false, mlpIn: false, mlpOut: false, unembed: false } }],
    ['gemma-2-2b', { embedScale: 48, logitCap: 30, tied: true, block: { parallel: false, sharedNorm: false, postNorms: true } }],
    ['gemma-3-1b-pt', { embedScale: Math.sqrt(1152), logitCap: 0, kvHeads: 1, tied: true, mlp: { gated: true, act: 'gelu_new' } }],
    ['phi-2', { dHead: 80, block: { parallel: true, sharedNorm: true, postNorms: false }, mlp: { gated: false, act: 'gelu_new' } }],
    ['Phi-3-mini-4k-instruct', { dHead: 96, tied: false, context: 4096 }],
    ['starcoder2-3b', { dHead: 128, kvHeads: 2, tied: true, context: 16384, mlp: { gated: false, act: 'gelu_new' } }],
    ['attn-only-2l', { dMlp: 0, tied: false, vocabOut: 48262, norm: { kind: 'layer', eps: 1e-5 } }],
  ])('%s', (name, expected) => expect(SPECS[name]).toMatchObject(expected));

  test('StarCoder 2: what a config leaves out is transformers’ default', () => {
    const needed = { hidden_size: 96, num_hidden_layers: 2, num_attention_heads: 6, intermediate_size: 60, vocab_size: 50 };
    expect(specOf({ model_type: 'starcoder2', ...needed })).toMatchObject({
      ...{ kvHeads: 2, dHead: 16, context: 4096, tied: true, norm: { kind: 'layer', eps: 1e-5 }, mlp: { gated: false, act: 'gelu_new' } },
      bias: { qkv: true, out: true, mlpIn: true, mlpOut: true, unembed: false },
      attention: { windows: [0, 0] },
    });
  });

  test('scales of the scores', () => {
    const scale = (name: ModelName): number => attentionScale(SPECS[name], 3);
    expect(scale('gpt2')).toBe(1 / 8);
    expect(scale('TinyStories-33M')).toBe(1);
    expect(scale('gemma-2-2b')).toBe(1 / 16);
    // 27B: by d_model over heads, not by the width of a head.
    expect(attentionScale(specOf({ ...CONFIGS['gemma-2-2b'], query_pre_attn_scalar: 144 }), 0)).toBe(1 / 12);
    expect(attentionScale(specOf({ ...CONFIGS.gpt2, scale_attn_by_inverse_layer_idx: true }), 3)).toBe(1 / 32);
    expect(attentionScale(specOf({ ...CONFIGS.gpt2, scale_attn_weights: false }), 3)).toBe(1);
  });

  test('turned dimensions', () => {
    const dims = (name: ModelName): number => rotaryOf(SPECS[name]).dims;
    expect(dims('pythia-160m')).toBe(16);
    expect(dims('phi-2')).toBe(32);
    expect(dims('Llama-3.2-1B')).toBe(64);
    expect(dims('gemma-3-1b-pt')).toBe(256);
  });
});

describe('which layers slide', () => {
  const windows = (config: Config): readonly number[] => specOf(config).attention.windows;
  const marks = (config: Config): string =>
    windows(config)
      .map((window) => (window > 0 ? 's' : 'f'))
      .join('');

  test('GPT-Neo: by attention_layers, else by the patterns of attention_types', () => {
    expect(windows(CONFIGS['TinyStories-33M'])).toEqual([0, 256, 0, 256]);
    const patterns = without(CONFIGS['TinyStories-33M'], 'attention_layers');
    expect(windows(patterns)).toEqual([0, 256, 0, 256]);
    expect(
      marks({
        ...patterns,
        attention_types: [
          [['local'], 3],
          [['global'], 1],
        ],
      }),
    ).toBe('sssf');
    expect(windows({ ...patterns, window_size: 7 })[1]).toBe(7);
  });
  test('Mistral: all of them, none where the window is null', () => {
    expect(marks(CONFIGS['Mistral-7B-v0.1'])).toBe('s'.repeat(32));
    expect(windows(CONFIGS['Mistral-7B-v0.1'])[0]).toBe(4096);
    expect(marks({ ...CONFIGS['Mistral-7B-v0.1'], sliding_window: null })).toBe('f'.repeat(32));
  });
  test('Qwen 2 and 3: none unless asked for; then from max_window_layers up, or as layer_types says', () => {
    for (const name of ['Qwen2.5-0.5B', 'Qwen3-0.6B'] as const) {
      const config = { ...CONFIGS[name], num_hidden_layers: 6, max_window_layers: 4, sliding_window: 32 };
      expect(marks(config)).toBe('ffffff');
      expect(marks({ ...config, use_sliding_window: true })).toBe('ffffss');
      expect(windows({ ...config, use_sliding_window: true })[5]).toBe(32);
      expect(marks({ ...config, use_sliding_window: true, max_window_layers: 0 })).toBe('ssssss');
      const types = ['sliding_attention', 'full_attention', 'full_attention', 'sliding_attention', 'full_attention', 'full_attention'];
      expect(marks({ ...config, use_sliding_window: true, layer_types: types })).toBe('sffsff');
      expect(marks({ ...config, use_sliding_window: true, sliding_window: null })).toBe('ffffff');
    }
  });
  test('Gemma 2: the first layer and every other one', () => {
    expect(marks({ ...CONFIGS['gemma-2-2b'], num_hidden_layers: 5 })).toBe('sfsfs');
    expect(windows(CONFIGS['gemma-2-2b'])[0]).toBe(4096);
    const layer_types = ['full_attention', 'sliding_attention'];
    expect(marks({ ...CONFIGS['gemma-2-2b'], num_hidden_layers: 2, layer_types })).toBe('fs');
  });
  test('Gemma 3: five of six, under either name of the period; full layers turn by the other table', () => {
    const config = CONFIGS['gemma-3-1b-pt'];
    expect(marks(config)).toBe('sssssfsssssfsssssfsssssfss');
    expect(windows(config)[0]).toBe(512);
    expect(marks(without(config, 'sliding_window_pattern'))).toBe(marks(config));
    expect(marks({ ...without(config, 'sliding_window_pattern'), _sliding_window_pattern: 2 })).toBe('sf'.repeat(13));
    const { tables, tableOf } = rotaryOf(SPECS['gemma-3-1b-pt']);
    tableOf.forEach((table, layer) => {
      const base = windowOf(SPECS['gemma-3-1b-pt'], layer) > 0 ? 1e4 : 1e6;
      expect(at(tables[table]?.frequencies ?? [], 1)).toBeCloseTo(base ** (-2 / 256), 12);
    });
  });
  test('StarCoder 2: all of them where there is a window', () => {
    expect(windows(CONFIGS['starcoder2-3b'])).toEqual(new Array(30).fill(4096));
    expect(marks({ ...CONFIGS['starcoder2-3b'], sliding_window: null })).toBe('f'.repeat(30));
    expect(marks(without(CONFIGS['starcoder2-3b'], 'sliding_window'))).toBe('f'.repeat(30));
  });
  test('Phi-3: all of them where there is a window', () => {
    expect(windows(CONFIGS['Phi-3-mini-4k-instruct'])).toEqual(new Array(32).fill(2047));
    expect(marks(without(CONFIGS['Phi-3-mini-4k-instruct'], 'sliding_window'))).toBe('f'.repeat(32));
  });
  test('a toy: the layers it calls local', () => {
    const toy = { ...CONFIGS['attn-only-2l'], use_local_attn: true, attn_types: ['global', 'local'], window_size: 16 };
    expect(windows(toy)).toEqual([0, 16]);
    expect(windows({ ...toy, use_local_attn: false })).toEqual([0, 0]);
  });
  test('firstKey: a query sees itself and the window’s other keys', () => {
    expect([0, 1, 2, 3, 9].map((position) => firstKey(3, position))).toEqual([0, 0, 0, 1, 7]);
    expect(firstKey(1, 5)).toBe(5);
    expect(firstKey(0, 5)).toBe(0);
  });
});

describe('old and new spellings of rotary positions are one spec', () => {
  const FLAT = ['rope_theta', 'rope_scaling', 'partial_rotary_factor', 'rotary_pct', 'rotary_emb_base', 'rope_local_base_freq'];
  const llama3 = CONFIGS['Llama-3.2-1B'].rope_scaling;
  const long = { type: 'longrope', short_factor: Array.from({ length: 48 }, (_, i) => 1 + i / 50), long_factor: new Array(48).fill(7) };
  const phi3 = { ...CONFIGS['Phi-3-mini-4k-instruct'], max_position_embeddings: 131072 };
  test.each<[string, Config, unknown]>([
    ['Pythia', CONFIGS['pythia-160m'], { rope_type: 'default', rope_theta: 10000, partial_rotary_factor: 0.25 }],
    ['Llama 3.2', CONFIGS['Llama-3.2-1B'], { ...llama3, rope_theta: 500000 }],
    ['Mistral', { ...CONFIGS['Mistral-7B-v0.1'], rope_theta: 1e6 }, { rope_type: 'default', rope_theta: 1e6 }],
    ['Qwen 2.5', CONFIGS['Qwen2.5-0.5B'], { rope_type: 'default', rope_theta: 1e6 }],
    ['phi-2', CONFIGS['phi-2'], { rope_type: 'default', rope_theta: 10000, partial_rotary_factor: 0.4 }],
    [
      'Llama, linear',
      { ...CONFIGS['Llama-3.2-1B'], rope_scaling: { type: 'linear', factor: 4 } },
      { rope_type: 'linear', factor: 4, rope_theta: 500000 },
    ],
    [
      'Gemma 3, the full layers stretched',
      { ...CONFIGS['gemma-3-1b-pt'], rope_scaling: { rope_type: 'linear', factor: 8 } },
      {
        full_attention: { rope_type: 'linear', factor: 8, rope_theta: 1e6 },
        sliding_attention: { rope_type: 'default', rope_theta: 1e4 },
      },
    ],
    [
      'Phi-3, LongRoPE',
      { ...phi3, rope_scaling: long },
      {
        ...{ rope_type: 'longrope', short_factor: long.short_factor, long_factor: long.long_factor },
        ...{ rope_theta: 10000, partial_rotary_factor: 1, original_max_position_embeddings: 4096 },
      },
    ],
  ])('%s', (_, old, parameters) => {
    const next = { ...without(old, ...FLAT), rope_parameters: parameters };
    expect(specOf(next)).toEqual(specOf(old));
    expect(rotaryOf(specOf(next)).tables).not.toHaveLength(0);
  });

  test('Llama 3 stretches long waves alone; Gemma 3’s scaling leaves the sliding layers', () => {
    const plain = rotaryOf(specOf({ ...CONFIGS['Llama-3.2-1B'], rope_scaling: null })).tables[0]?.frequencies ?? [];
    const scaled = rotaryOf(SPECS['Llama-3.2-1B']).tables[0]?.frequencies ?? [];
    expect(scaled[0]).toBe(plain[0]);
    expect(at(scaled, 31)).toBeCloseTo(at(plain, 31) / 32, 15);
    scaled.forEach((frequency, i) => {
      const wave = (2 * Math.PI) / at(plain, i);
      const ratio = frequency / at(plain, i);
      if (wave < 2048) expect(ratio).toBe(1);
      else if (wave > 8192) expect(ratio).toBeCloseTo(1 / 32, 12);
      else expect(ratio > 1 / 32 && ratio < 1).toBe(true);
    });
    const gemma = (rope_scaling: unknown) => rotaryOf(specOf({ ...CONFIGS['gemma-3-1b-pt'], rope_scaling })).tables;
    const [full, sliding] = gemma({ rope_type: 'linear', factor: 8 });
    expect(full?.frequencies[0]).toBe(1 / 8);
    expect(sliding).toEqual(gemma(null)[1]);
  });

  test('LongRoPE: the short divisors, lengthened, over the original context', () => {
    const spec = specOf({ ...phi3, rope_scaling: long });
    expect(spec.context).toBe(4096);
    const [table] = rotaryOf(spec).tables;
    // √(1 + log(131072/4096)/log 4096)
    expect(table?.scale).toBeCloseTo(1.1902380714238083, 12);
    expect(at(table?.frequencies ?? [], 1)).toBeCloseTo(10000 ** (-2 / 96) / 1.02, 14);
  });

  // Made by tests/golden/make.py from transformers' own code, run in float64.
  const cases = JSON.parse(readFileSync(new URL('../../golden/fixtures/rope.json', import.meta.url), 'utf8')) as RopeCase[];
  const rest = { num_hidden_layers: 6, intermediate_size: 8, vocab_size: 8, max_position_embeddings: 131072 };
  test.each(cases.map((each) => ({ name: each.name, each })))('transformers’ own frequencies: $name', ({ each }) => {
    for (const config of [each.old, each.new]) {
      const { tables, tableOf, dims } = rotaryOf(specOf({ ...rest, ...config }));
      // Of six layers of Gemma 3, the last is full.
      const table = tables[at(tableOf, each.layer_type === 'full_attention' ? 5 : 0)];
      expect(dims).toBe(2 * each.inv_freq.length);
      expect(table?.frequencies).toHaveLength(each.inv_freq.length);
      each.inv_freq.forEach((right, i) => expect(Math.abs(at(table?.frequencies ?? [], i) / right - 1), `pair ${i}`).toBeLessThan(1e-6));
      expect(table?.scale).toBeCloseTo(each.attention_factor, 12);
    }
  });
});

interface RopeCase {
  name: string;
  old: Config;
  new: Config;
  layer_type?: 'sliding_attention' | 'full_attention';
  inv_freq: number[];
  attention_factor: number;
}

describe('the multimodal Gemma 3', () => {
  test('its text part is the model; what it leaves out is the text config’s default', () => {
    const nested = { model_type: 'gemma3', vision_config: { hidden_size: 1152 }, text_config: CONFIGS['gemma-3-1b-pt'] };
    expect(specOf(nested)).toEqual(SPECS['gemma-3-1b-pt']);
    const short = {
      hidden_size: 2560,
      intermediate_size: 10240,
      num_hidden_layers: 34,
      sliding_window: 1024,
      rope_scaling: { factor: 8, rope_type: 'linear' },
    };
    const spec = specOf({ model_type: 'gemma3', text_config: short });
    expect(spec).toMatchObject({ heads: 8, kvHeads: 4, dHead: 256, vocab: 262208, context: 131072, layers: 34 });
    expect(spec.attention.windows.slice(0, 7)).toEqual([1024, 1024, 1024, 1024, 1024, 0, 1024]);
    expect(rotaryOf(spec).tables[0]?.frequencies[0]).toBe(1 / 8);
  });
});

describe('what is not run is refused, with a code and a hint', () => {
  const toy: Config = CONFIGS['attn-only-2l'];
  test.each<[string, string, Config]>([
    ['cross-attention', 'config-unsupported', { ...CONFIGS.gpt2, add_cross_attention: true }],
    ['heads that do not divide the width', 'config-unsupported', { ...CONFIGS.gpt2, n_head: 7 }],
    ['heads that do not share key-value heads evenly', 'config-unsupported', { ...CONFIGS['Llama-3.2-1B'], num_key_value_heads: 5 }],
    ['an unknown activation', 'config-unsupported', { ...CONFIGS['Llama-3.2-1B'], hidden_act: 'mish' }],
    ['YaRN', 'config-unsupported', { ...CONFIGS['Qwen2.5-0.5B'], rope_scaling: { type: 'yarn', factor: 4 } }],
    ['YaRN in the new spelling', 'config-unsupported', { ...CONFIGS['Qwen3-0.6B'], rope_parameters: { rope_type: 'yarn', factor: 4 } }],
    ['rotary over odd heads', 'config-unsupported', { ...CONFIGS['Llama-3.2-1B'], head_dim: 63 }],
    ['linear scaling without a factor', 'config-value', { ...CONFIGS['Llama-3.2-1B'], rope_scaling: { type: 'linear' } }],
    [
      'Llama 3 scaling without its bounds',
      'config-value',
      { ...CONFIGS['Llama-3.2-1B'], rope_scaling: { rope_type: 'llama3', factor: 8 } },
    ],
    [
      'LongRoPE with too few divisors',
      'config-value',
      { ...CONFIGS['Phi-3-mini-4k-instruct'], rope_scaling: { type: 'longrope', short_factor: [1, 2] } },
    ],
    ['layer types of another length', 'config-unsupported', { ...CONFIGS['gemma-2-2b'], layer_types: ['full_attention'] }],
    [
      'layer types of another kind',
      'config-unsupported',
      { ...CONFIGS['gemma-2-2b'], num_hidden_layers: 1, layer_types: ['chunked_attention'] },
    ],
    [
      'attention types that do not cover the layers',
      'config-unsupported',
      { ...without(CONFIGS['TinyStories-33M'], 'attention_layers'), attention_types: [[['global'], 3]] },
    ],
    [
      'attention types of another kind',
      'config-unsupported',
      { ...CONFIGS['TinyStories-33M'], attention_layers: ['global', 'local', 'global', 'sparse'] },
    ],
    ['norms of q and k with a mean', 'config-unsupported', { ...CONFIGS['phi-2'], qk_layernorm: true }],
    ['a StarCoder 2 with another norm', 'config-unsupported', { ...CONFIGS['starcoder2-3b'], norm_type: 'rms_norm' }],
    ['a StarCoder 2 with another MLP', 'config-unsupported', { ...CONFIGS['starcoder2-3b'], mlp_type: 'gated' }],
    ['a Gemma 2 that looks ahead', 'config-unsupported', { ...CONFIGS['gemma-2-2b'], use_bidirectional_attention: true }],
    ['a Gemma 3 that looks ahead', 'config-unsupported', { ...CONFIGS['gemma-3-1b-pt'], use_bidirectional_attention: true }],
    ['a toy that looks ahead', 'config-unsupported', { ...toy, attention_dir: 'bidirectional' }],
    ['a toy with positions of another kind', 'config-unsupported', { ...toy, positional_embedding_type: 'shortformer' }],
    ['a toy that turns adjacent pairs', 'config-unsupported', { ...toy, positional_embedding_type: 'rotary', rotary_adjacent_pairs: true }],
    ['a toy with another norm', 'config-unsupported', { ...toy, normalization_type: 'BatchNorm' }],
    ['a toy with an RMSNorm after LayerNorms', 'config-unsupported', { ...toy, final_rms: true }],
    ['a toy with norms after', 'config-unsupported', { ...toy, use_normalization_before_and_after: true }],
    ['a toy with norms of q and k', 'config-unsupported', { ...toy, use_qk_norm: true }],
    ['a toy with a norm behind its embedding', 'config-unsupported', { ...toy, post_embedding_ln: true }],
    ['a toy with attention sinks', 'config-unsupported', { ...toy, use_attention_sinks: true }],
    ['a toy that clips q, k and v', 'config-unsupported', { ...toy, clip_qkv: 8 }],
    ['a toy whose queries grow with the position', 'config-unsupported', { ...toy, use_logn_attn: true }],
    ['a toy of experts', 'config-unsupported', { ...toy, num_experts: 4 }],
    ...[
      { use_NTK_by_parts_rope: true },
      { use_yarn_rope: true },
      { use_dynamic_ntk_rope: true },
      { rotary_scaling_factor: 8 },
      { rotary_base_local: 1e4 },
    ].map((scaled): [string, string, Config] => [
      `a toy with ${Object.keys(scaled).join()}`,
      'config-unsupported',
      { ...toy, positional_embedding_type: 'rotary', ...scaled },
    ]),
    ['a toy whose heads do not share evenly', 'config-unsupported', { ...toy, n_key_value_heads: 3 }],
    ['no number of layers', 'config-value', without(CONFIGS['Llama-3.2-1B'], 'num_hidden_layers')],
    ['half a layer', 'config-value', { ...CONFIGS['Llama-3.2-1B'], num_hidden_layers: 1.5 }],
    ['an epsilon in words', 'config-value', { ...CONFIGS['Llama-3.2-1B'], rms_norm_eps: '1e-5' }],
    ['a family nobody knows', 'family-unknown', { model_type: 'mamba' }],
    ['no family', 'family-unknown', { hidden_size: 8 }],
  ])('%s', async (_, code, config) => {
    const error = await refusal(() => specOf(config));
    expect(error.code).toBe(code);
    expect(error.hint.length).toBeGreaterThan(10);
  });

  test('what TransformerLens writes of it where it is off is no reason', () => {
    const off = { use_attention_sinks: false, clip_qkv: null, use_logn_attn: false, num_experts: null, rotary_base_local: null };
    const rest = { use_NTK_by_parts_rope: false, use_yarn_rope: false, use_dynamic_ntk_rope: false, rotary_scaling_factor: 1 };
    const rotary = { ...toy, positional_embedding_type: 'rotary' };
    expect(specOf({ ...rotary, ...off, ...rest })).toEqual(specOf(rotary));
  });

  test('every family names its types once, and reads a config of its own', () => {
    const types = FAMILIES.flatMap((family) => family.types);
    expect(new Set(types).size).toBe(types.length);
    for (const family of FAMILIES) for (const type of family.types) expect(familyOf({ model_type: type })).toBe(family);
  });
});
