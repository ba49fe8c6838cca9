import { describe, expect, it } from 'vitest';
import type { OpenedFile } from '../../../../workers/contract';
import { refusal } from '../../refusal';
import { f32, opened, safetensors } from '../../safetensors-writer';
import { CFG, D, grid, kept, line, M, matrix, O, refused, saelens, STANDARD, turned, vector, without } from './dropped';

/** As before version 6: flat, without a version. */
const old = (cfg: object, tensors = STANDARD, folder = 'old'): OpenedFile[] => [
  opened(`${folder}/cfg.json`, {
    model_name: 'gpt2-small',
    hook_point: 'blocks.1.hook_resid_pre',
    hook_point_layer: 1,
    d_in: D,
    d_sae: M,
    lr: 4e-4,
    ...cfg,
  }),
  opened(`${folder}/sae_weights.safetensors`, safetensors(tensors)),
];

describe('SAELens 6', () => {
  it('standard: W_enc turned, everything else as it lies', async () => {
    const { record, info, values, notes } = await kept(saelens());
    expect(values('W_enc')).toEqual(grid(M, D, 10));
    expect(values('W_dec')).toEqual(grid(M, D, 20));
    expect(values('b_enc')).toEqual(line(M, 30));
    expect(values('b_dec')).toEqual(line(D, 40));
    expect(record).toMatchObject({ format: 'SAELens', model: 'pythia-70m', name: 'dict' });
    expect(info).toMatchObject({
      kind: 'ReLU',
      hookIn: ['blocks.2.hook_resid_post'],
      hookOut: 'blocks.2.hook_resid_post',
      dIn: D,
      dOut: D,
      latents: M,
    });
    expect(info.contract).toMatchObject({
      residual: 'raw',
      normalisation: 'none',
      scale: 1,
      subtractBDec: true,
      reshape: 'none',
      prependBos: true,
    });
    expect(notes).toBe('');
  });
  it('topk, rescaled by the decoder’s norm', async () => {
    const { record } = await kept(
      saelens({ cfg: { architecture: 'topk', k: 2, rescale_acts_by_decoder_norm: true, apply_b_dec_to_input: false } }),
    );
    expect(record.spec).toMatchObject({ kind: 'TopK', activation: 'topk', k: 2 });
    expect(record.spec.contract).toMatchObject({ rescaleByDecoderNorm: true, subtractBDec: false });
  });
  it('jumprelu, by thresholds and by their logarithms', async () => {
    const cfg = { architecture: 'jumprelu' };
    expect((await kept(saelens({ cfg, tensors: [...STANDARD, vector('threshold', M, 1)] }))).values('threshold')).toEqual(line(M, 1));
    const logs = await kept(saelens({ cfg, tensors: [...STANDARD, f32('log_threshold', [M], (i) => Math.log(i + 1))] }));
    for (const [i, value] of logs.values('threshold').entries()) expect(value).toBeCloseTo(i + 1, 5);
  });
  it('batchtopk in training: one threshold for all', async () => {
    const { values, record } = await kept(
      saelens({ cfg: { architecture: 'batchtopk', k: 2 }, tensors: [...STANDARD, f32('topk_threshold', [], () => 0.5)] }),
    );
    expect(values('threshold')).toEqual(Array(M).fill(0.5));
    expect(record.spec).toMatchObject({ kind: 'BatchTopK', activation: 'jumprelu' });
  });
  it('gated', async () => {
    const gates = ['b_gate', 'b_mag', 'r_mag'].map((name, i) => vector(name, M, 100 * i));
    const { record, values } = await kept(saelens({ cfg: { architecture: 'gated' }, tensors: [...without(STANDARD, 'b_enc'), ...gates] }));
    expect(record.tensors.map((each) => each.name)).toEqual(['W_enc', 'W_dec', 'b_dec', 'b_gate', 'b_mag', 'r_mag']);
    expect(values('r_mag')).toEqual(line(M, 200));
  });
  it('skip transcoder: reads one place, writes another, never subtracts', async () => {
    const tensors = [
      turned('W_enc', M, D, 10),
      matrix('W_dec', M, O, 20),
      vector('b_enc', M),
      vector('b_dec', O),
      matrix('W_skip', O, D, 50),
    ];
    const { record, values, notes } = await kept(
      saelens({
        cfg: { architecture: 'skip_transcoder', d_out: O },
        metadata: { hook_name: 'blocks.2.ln2.hook_normalized', hook_name_out: 'blocks.2.hook_mlp_out' },
        tensors,
      }),
    );
    expect(record.spec).toMatchObject({
      hookIn: 'blocks.2.ln2.hook_normalized',
      hookOut: 'blocks.2.hook_mlp_out',
      dIn: D,
      dOut: O,
      skip: true,
    });
    expect(record.spec.contract.subtractBDec).toBe(false);
    expect(values('W_skip')).toEqual(grid(O, D, 50));
    expect(notes).toContain('never');
  });
  it('a square W_enc is read as SAELens writes it, and says so', async () => {
    const tensors = [turned('W_enc', D, D, 10), matrix('W_dec', D, D, 20), vector('b_enc', D), vector('b_dec', D)];
    const { values, notes } = await kept(saelens({ cfg: { d_sae: D }, tensors }));
    expect([values('W_enc'), values('W_dec')]).toEqual([grid(D, D, 10), grid(D, D, 20)]);
    expect(notes).toContain('W_enc is square');
  });
  it('mlp.hook_in is the norm with its gain', async () => {
    const { record } = await kept(
      saelens({
        cfg: { architecture: 'transcoder', d_out: D, apply_b_dec_to_input: false },
        metadata: { hook_name: 'blocks.2.mlp.hook_in', hook_name_out: 'blocks.2.hook_mlp_out' },
      }),
    );
    expect(record.spec).toMatchObject({ hookIn: 'blocks.2.ln2.hook_normalized', contract: { normGain: true } });
  });
  it('its sparsity file promises an L0', async () => {
    const sparsity = opened('dict/sparsity.safetensors', safetensors([f32('sparsity', [M], (i) => [-1, -2, 0, -10, -Infinity][i] ?? 0)]));
    expect((await kept(saelens({}, sparsity))).record.promised.l0).toBeCloseTo(1.11, 5);
  });
});

describe('normalisation', () => {
  it.each([
    ['layer_norm', {}, 'layer_norm', 1],
    [null, {}, 'none', 1],
    ['expected_average_only_in', { norm_scaling_factor: 0.25 }, 'scale', 0.25],
    ['expected_average_only_in', {}, 'none', 1],
  ])('%s %o → %s, %d', async (normalize_activations, more, normalisation, scale) => {
    const { record, notes } = await kept(saelens({ cfg: { normalize_activations, ...more } }));
    expect(record.spec.contract).toMatchObject({ normalisation, scale });
    expect(notes.includes('nothing is scaled')).toBe(normalize_activations === 'expected_average_only_in' && scale === 1);
  });
  it('constant_norm_rescale is refused by name', async () => {
    const error = await refusal(() => refused(saelens({ cfg: { normalize_activations: 'constant_norm_rescale' } })));
    expect([error.code, error.message]).toEqual(['dictionary-unsupported', expect.stringContaining('constant_norm_rescale')]);
  });
});

describe('scaling_factor', () => {
  const ones = f32('scaling_factor', [M], () => 1);
  const twos = f32('scaling_factor', [M], (i) => i + 1);
  it('of ones is dropped', async () => {
    const { record, notes } = await kept(saelens({ tensors: [...STANDARD, ones] }));
    expect(record.tensors).toHaveLength(4);
    expect(notes).toBe('');
  });
  it('of anything else is refused, but where it was finetuned: then it is in W_dec', async () => {
    expect((await refusal(() => refused(saelens({ tensors: [...STANDARD, twos] })))).code).toBe('dictionary-unsupported');
    const { values } = await kept(saelens({ cfg: { finetuning_scaling_factor: true }, tensors: [...STANDARD, twos] }));
    const wanted = grid(M, D, 20).map((x, i) => Math.fround(x * (Math.floor(i / D) + 1)));
    expect(values('W_dec')).toEqual(wanted);
  });
});

describe('SAELens before 6', () => {
  it('leaves out what was usual then', async () => {
    const { record, notes } = await kept(old({ expansion_factor: 2, l1_coefficient: 8e-5 }));
    expect(record.spec).toMatchObject({ kind: 'ReLU', hookIn: 'blocks.1.hook_resid_pre' });
    expect(record.spec.contract).toMatchObject({ subtractBDec: true, prependBos: true, normalisation: 'none', residual: 'raw' });
    expect(notes).toBe('');
  });
  it('TopK is told by its activation function', async () => {
    const { record } = await kept(old({ activation_fn_str: 'topk', activation_fn_kwargs: { k: 3 } }));
    expect(record.spec).toMatchObject({ activation: 'topk', k: 3 });
  });
  it('“true” for normalize_activations is the dataset’s average', async () => {
    expect((await kept(old({ normalize_activations: true }))).notes).toContain('expected_average_only_in');
    expect((await kept(old({ normalize_activations: false }))).notes).toBe('');
  });
  it('hook_z is reshaped', async () => {
    const { record } = await kept(old({ hook_point: 'blocks.1.attn.hook_z', hook_point_head_index: null }));
    expect(record.spec).toMatchObject({ hookIn: 'blocks.1.attn.hook_z', contract: { reshape: 'hook_z' } });
  });
  it('a version below 6 is old as well', async () => {
    expect((await kept(old({ sae_lens_version: '5.10.1', activation_fn: 'topk', activation_fn_kwargs: { k: 2 } }))).record.spec.k).toBe(2);
  });
  it('gpt2-small-res-jb gets centred residuals, and says so', async () => {
    for (const folder of [
      'gpt2-small-res-jb/blocks.1.hook_resid_pre',
      `models--jbloom--GPT2-Small-SAEs-Reformatted/snapshots/${'a'.repeat(40)}/blocks.1.hook_resid_pre`,
    ]) {
      const { record, notes } = await kept(old({}, STANDARD, folder));
      expect(record.spec.contract.residual).toBe('centred');
      expect(notes).toContain('res-jb');
    }
    const said = await kept(old({ model_from_pretrained_kwargs: { center_writing_weights: false } }, STANDARD, 'gpt2-small-res-jb/x'));
    expect(said.record.spec.contract.residual).toBe('raw');
    const kwargs = await kept(saelens({ metadata: { model_from_pretrained_kwargs: { center_writing_weights: true, fold_ln: false } } }));
    expect(kwargs.record.spec.contract.residual).toBe('centred');
    expect(kwargs.notes).toContain('fold_ln=false');
  });
  it('keys without a meaning are noted', async () => {
    expect((await kept(old({ surprising_offset: 3 }))).notes).toContain('surprising_offset: 3');
  });
});

describe('what cannot be read is refused:', () => {
  const cases: [string, string, OpenedFile[]][] = [
    ['a missing tensor', 'tensor-missing', saelens({ tensors: without(STANDARD, 'b_enc') })],
    ['a missing b_dec', 'tensor-missing', saelens({ tensors: without(STANDARD, 'b_dec') })],
    ['a missing threshold', 'tensor-missing', saelens({ cfg: { architecture: 'jumprelu' } })],
    ['other latents in cfg.json', 'tensor-shape', saelens({ cfg: { d_sae: M + 1 } })],
    ['another width in cfg.json', 'tensor-shape', saelens({ cfg: { d_in: D + 1 } })],
    ['an unknown matrix', 'tensor-unknown', saelens({ tensors: [...STANDARD, matrix('W_extra', 2, 2)] })],
    [
      'whole numbers for weights',
      'dtype-unsupported',
      saelens({ tensors: [...without(STANDARD, 'b_enc'), { name: 'b_enc', dtype: 'I32', shape: [M], data: new Uint8Array(4 * M) }] }),
    ],
    ['a NaN', 'tensor-not-finite', saelens({ tensors: [...without(STANDARD, 'b_enc'), f32('b_enc', [M], (i) => (i === 3 ? NaN : 1))] })],
    [
      'an infinity',
      'tensor-not-finite',
      saelens({ tensors: [...without(STANDARD, 'W_dec'), f32('W_dec', [M, D], (i) => (i === 7 ? Infinity : 1))] }),
    ],
    [
      'garbage for cfg.json',
      'dictionary-garbage',
      [opened('d/cfg.json', '{"d_in"'), opened('d/sae_weights.safetensors', safetensors(STANDARD))],
    ],
    ['no cfg.json', 'dictionary-config-missing', [opened('d/sae_weights.safetensors', safetensors(STANDARD))]],
    ['no weights', 'dictionary-weights-missing', [opened('d/cfg.json', CFG)]],
    [
      'weights cut short',
      'file-truncated',
      [opened('d/cfg.json', CFG), opened('d/sae_weights.safetensors', safetensors(STANDARD).slice(0, -4))],
    ],
    ['text for d_in', 'dictionary-value', saelens({ cfg: { d_in: 'three' } })],
    ['TopK without k', 'dictionary-value', saelens({ cfg: { architecture: 'topk' } })],
    ['an unknown architecture', 'dictionary-unsupported', saelens({ cfg: { architecture: 'temporal' } })],
    ['an unknown activation', 'dictionary-unsupported', old({ activation_fn_str: 'tanh-relu' })],
    ['one head of its hook', 'dictionary-unsupported', saelens({ metadata: { hook_head_index: 3 } })],
    ['a crosscoder by name', 'dictionary-crosscoder', saelens({ cfg: { architecture: 'crosscoder' } })],
    ['a crosscoder by shape', 'dictionary-crosscoder', saelens({ tensors: [...without(STANDARD, 'W_dec'), f32('W_dec', [M, 2, D])] })],
    ['no hook', 'dictionary-hook', saelens({ metadata: { hook_name: null } })],
    ['a hook that is none', 'dictionary-hook', saelens({ metadata: { hook_name: 'blocks.2.hook_elsewhere' } })],
  ];
  it.each(cases)('%s → %s', async (_, code, files) => {
    const error = await refusal(() => refused(files));
    expect(error.code).toBe(code);
    expect(error.message.length).toBeGreaterThan(10);
    expect(error.hint.length).toBeGreaterThan(10);
  });
  it('a threshold may be infinite: such a latent never fires', async () => {
    const tensors = [...STANDARD, f32('threshold', [M], (i) => (i === 2 ? Infinity : 0))];
    expect((await kept(saelens({ cfg: { architecture: 'jumprelu' }, tensors }))).values('threshold')).toEqual([0, 0, Infinity, 0, 0]);
  });
});
