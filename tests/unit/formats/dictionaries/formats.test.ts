import { describe, expect, it } from 'vitest';
import type { OpenedFile } from '../../../../workers/contract';
import { refusal } from '../../refusal';
import { f32, gpt2Folder, opened, safetensors, type Given } from '../../safetensors-writer';
import { D, grid, kept, keptAll, line, M, matrix, O, refused, saelens, scalarOf, turned, vector, without, wrapped } from './dropped';

/** The canonical form of every dictionary below, whatever its format writes. */
async function same(files: readonly OpenedFile[], out = D): Promise<void> {
  const { values } = await kept(files);
  expect(values('W_enc')).toEqual(grid(M, D, 10));
  expect(values('W_dec')).toEqual(grid(M, out, 20));
  expect(values('b_enc')).toEqual(line(M, 30));
  expect(values('b_dec')).toEqual(line(out, 40));
}
const code = async (files: readonly OpenedFile[]): Promise<string> => (await refusal(() => refused(files))).code;

describe('Gemma Scope', () => {
  const PARAMS = [
    turned('W_enc', M, D, 10),
    matrix('W_dec', M, D, 20),
    vector('b_enc', M, 30),
    vector('b_dec', D, 40),
    vector('threshold', M, 1),
  ];
  const scope = (folder: string, tensors = PARAMS): OpenedFile[] => [wrapped(`${folder}/params.npz`, tensors)];

  it('reads layer, place, model and L0 off its path', async () => {
    const files = scope('gemma-scope-2b-pt-res/layer_12/average_l0_82');
    await same(files);
    const { record, values } = await kept(files);
    expect(record).toMatchObject({ format: 'Gemma Scope', model: 'google/gemma-2-2b', promised: { l0: 82 } });
    expect(record.name).toBe('gemma-scope-2b-pt-res/layer_12/average_l0_82');
    expect(record.spec).toMatchObject({
      kind: 'JumpReLU',
      hookIn: 'blocks.12.hook_resid_post',
      contract: { subtractBDec: false, prependBos: true },
    });
    expect(values('threshold')).toEqual(line(M, 1));
  });
  it.each([
    ['gemma-scope-9b-it-res', 'google/gemma-2-9b-it', 'hook_resid_post', 'none'],
    ['gemma-scope-2b-pt-mlp', 'google/gemma-2-2b', 'hook_mlp_out', 'none'],
    ['gemma-scope-2b-pt-att', 'google/gemma-2-2b', 'attn.hook_z', 'hook_z'],
  ])('%s', async (repo, model, hook, reshape) => {
    const { record } = await kept(scope(`models--google--${repo}/snapshots/${'0'.repeat(40)}/layer_3`));
    expect(record).toMatchObject({ model, spec: { hookIn: `blocks.3.${hook}`, hookOut: `blocks.3.${hook}`, contract: { reshape } } });
    expect(record.name).toBe(`${repo}/layer_3`);
  });
  it('transcoders read the bare norm and write the MLP’s output', async () => {
    const { record } = await kept(scope('gemma-scope-2b-pt-transcoders/layer_3/average_l0_5'));
    expect(record.spec).toMatchObject({
      kind: 'JumpReLU transcoder',
      hookIn: 'blocks.3.ln2.hook_normalized',
      hookOut: 'blocks.3.hook_mlp_out',
    });
    expect(record.spec.contract.normGain).toBeUndefined();
  });
  it('of the embedding: scaled by √d', async () => {
    const { record, values, notes } = await kept(scope('gemma-scope-2b-pt-res/embedding/average_l0_6'));
    expect(record.spec.hookIn).toBe('hook_embed');
    expect(values('W_enc')).toEqual(grid(M, D, 10).map((x) => Math.fround(x / Math.sqrt(D))));
    expect(values('W_dec')).toEqual(grid(M, D, 20).map((x) => Math.fround(x * Math.sqrt(D))));
    expect(values('b_dec')).toEqual(line(D, 40));
    expect(notes).toContain('√d_model');
  });
  it('2: small letters, modules for hooks, an affine connection', async () => {
    const small = [
      turned('w_enc', M, D, 10),
      matrix('w_dec', M, D, 20),
      vector('b_enc', M, 30),
      vector('b_dec', D, 40),
      vector('threshold', M),
    ];
    const config = {
      hf_hook_point_in: 'model.layers.5.pre_feedforward_layernorm.output',
      hf_hook_point_out: 'model.layers.5.post_feedforward_layernorm.output',
      width: M,
      model_name: 'google/gemma-3-4b-it',
      architecture: 'jump_relu',
      l0: 20,
      affine_connection: true,
      type: 'transcoder',
    };
    const folder = 'gemma-scope-2-4b-it/transcoder_all/layer_5_l0_big_affine';
    const files = [
      opened(`${folder}/config.json`, config),
      opened(`${folder}/params.safetensors`, safetensors([...small, turned('affine_skip_connection', D, D, 50)])),
      opened(`${folder}/examples.safetensors`, safetensors([f32('x', [2])])),
    ];
    await same(files);
    const { record, values, ignored } = await kept(files);
    expect(record).toMatchObject({ format: 'Gemma Scope 2', model: 'google/gemma-3-4b-it', promised: { l0: 20 } });
    expect(record.spec).toMatchObject({
      kind: 'JumpReLU skip transcoder',
      hookIn: 'blocks.5.ln2.hook_normalized',
      hookOut: 'blocks.5.hook_mlp_out',
      contract: { normGain: true },
    });
    expect(values('W_skip')).toEqual(grid(D, D, 50));
    expect(ignored).toEqual([`${folder}/examples.safetensors`]);
    const bare = 'gemma-scope-2-1b-pt/resid_post/layer_13_width_0k_l0_medium';
    const { record: post } = await kept([opened(`${bare}/params.safetensors`, safetensors(small))]);
    expect(post).toMatchObject({ model: 'google/gemma-3-1b-pt', spec: { hookIn: 'blocks.13.hook_resid_post' } });
  });
  it('refuses a width that is not the path’s, a place that nothing names, a crosscoder', async () => {
    expect(await code(scope('gemma-scope-2b-pt-res/layer_12/width_16k/average_l0_82'))).toBe('dictionary-value');
    expect(await code(scope('layer_12/average_l0_82'))).toBe('dictionary-hook');
    expect(await code(scope('gemma-scope-2b-pt-res/average_l0_82'))).toBe('dictionary-hook');
    expect(await code(scope('gemma-scope-2-1b-pt/crosscoder/layer_12'))).toBe('dictionary-crosscoder');
    expect(await code(scope('gemma-scope-2b-pt-res/layer_12', without(PARAMS, 'threshold')))).toBe('tensor-missing');
  });
  it('is read below the folder of its model, which stays a model', async () => {
    const [dictionary, ...more] = await keptAll([...gpt2Folder('m'), ...saelens({ folder: 'm/sae' }), opened('m/sae/README.md', 'x')]);
    expect(more).toEqual([]);
    expect(dictionary?.info.name).toBe('m/sae');
    expect(dictionary?.ignored).toEqual(['m/sae/README.md']);
  });
});

describe('sparsify', () => {
  const TENSORS = [matrix('encoder.weight', M, D, 10), matrix('W_dec', M, D, 20), vector('encoder.bias', M, 30), vector('b_dec', D, 40)];
  const CFG = {
    activation: 'topk',
    expansion_factor: 32,
    normalize_decoder: true,
    num_latents: M,
    k: 2,
    multi_topk: false,
    skip_connection: false,
    transcode: false,
    d_in: D,
  };
  const drop = (hookpoint: string, cfg: object = {}, tensors: readonly Given[] = TENSORS): OpenedFile[] => [
    opened(`run/${hookpoint}/cfg.json`, { ...CFG, ...cfg }),
    opened(`run/${hookpoint}/sae.safetensors`, safetensors(tensors)),
    opened('run/config.json', { model: 'EleutherAI/pythia-160m', hookpoints: [hookpoint] }),
  ];
  it('TopK at the output of a block', async () => {
    await same(drop('layers.5'));
    const { record, ignored } = await kept(drop('layers.5'));
    expect(record).toMatchObject({ format: 'sparsify', model: 'EleutherAI/pythia-160m', name: 'run/layers.5' });
    expect(record.spec).toMatchObject({ activation: 'topk', k: 2, hookIn: 'blocks.5.hook_resid_post', contract: { subtractBDec: true } });
    expect(ignored).toEqual([]);
  });
  it.each([
    ['layers.5.mlp', 'blocks.5.hook_mlp_out'],
    ['gpt_neox.layers.5.attention', 'blocks.5.hook_attn_out'],
    ['h.3', 'blocks.3.hook_resid_post'],
    ['embed_tokens', 'hook_embed'],
  ])('%s → %s', async (hookpoint, hook) => {
    expect((await kept(drop(hookpoint))).record.spec.hookIn).toBe(hook);
  });
  it('a transcoder with a skip connection reads what the MLP reads', async () => {
    const { record, values } = await kept(
      drop('layers.5.mlp', { transcode: true, skip_connection: true }, [...TENSORS, matrix('W_skip', D, D, 50)]),
    );
    expect(record.spec).toMatchObject({
      kind: 'TopK skip transcoder',
      hookIn: 'blocks.5.ln2.hook_normalized',
      hookOut: 'blocks.5.hook_mlp_out',
    });
    expect(record.spec.contract).toMatchObject({ normGain: true, subtractBDec: false });
    expect(values('W_skip')).toEqual(grid(D, D, 50));
  });
  it('several hookpoints are several dictionaries', async () => {
    const both = await keptAll([...drop('layers.5'), ...drop('layers.6').slice(0, 2)]);
    expect(both.map((each) => each.info.hookOut)).toEqual(['blocks.5.hook_resid_post', 'blocks.6.hook_resid_post']);
  });
  it('square weights are read as sparsify writes them', async () => {
    const tensors = [matrix('encoder.weight', D, D, 10), matrix('W_dec', D, D, 20), vector('encoder.bias', D), vector('b_dec', D)];
    const { values } = await kept(drop('layers.5', { num_latents: D }, tensors));
    expect([values('W_enc'), values('W_dec')]).toEqual([grid(D, D, 10), grid(D, D, 20)]);
  });
  it('refuses groupmax, other latents, an unknown place, a missing cfg.json', async () => {
    expect(await code(drop('layers.5', { activation: 'groupmax' }))).toBe('dictionary-unsupported');
    expect(await code(drop('layers.5', { num_latents: M + 1 }))).toBe('dictionary-value');
    expect(await code(drop('layers.5', { num_latents: 0, expansion_factor: 2 }))).toBe('dictionary-value');
    expect(await code(drop('somewhere'))).toBe('dictionary-hook');
    expect(await code(drop('layers.5').slice(1))).toBe('dictionary-config-missing');
  });
});

describe('dictionary_learning', () => {
  const LINEAR = [matrix('encoder.weight', M, D, 10), turned('decoder.weight', M, D, 20), vector('encoder.bias', M, 30)];
  const BARE = [turned('W_enc', M, D, 10), matrix('W_dec', M, D, 20), vector('b_enc', M, 30), vector('b_dec', D, 40)];
  const config = (trainer: object): object => ({
    trainer: {
      activation_dim: D,
      dict_size: M,
      lm_name: 'EleutherAI/pythia-70m-deduped',
      submodule_name: 'resid_post_layer_3',
      layer: 3,
      ...trainer,
    },
    buffer: { ctx_len: 128, io: 'out' },
  });
  const drop = (trainer: object, tensors: readonly Given[], folder = 'dl'): OpenedFile[] => [
    wrapped(`${folder}/ae.pt`, tensors),
    opened(`${folder}/config.json`, config(trainer)),
  ];
  it('AutoEncoder', async () => {
    const files = drop({ dict_class: 'AutoEncoder' }, [...LINEAR, vector('bias', D, 40)]);
    await same(files);
    const { record } = await kept(files);
    expect(record).toMatchObject({ format: 'dictionary_learning', model: 'EleutherAI/pythia-70m-deduped' });
    expect(record.spec).toMatchObject({ kind: 'ReLU', hookIn: 'blocks.3.hook_resid_post', contract: { subtractBDec: true } });
  });
  it('AutoEncoderNew subtracts nothing', async () => {
    const files = drop({ dict_class: 'AutoEncoderNew' }, [...LINEAR, vector('decoder.bias', D, 40)]);
    await same(files);
    expect((await kept(files)).record.spec.contract.subtractBDec).toBe(false);
  });
  it('TopK keeps k, BatchTopK its threshold', async () => {
    const tensors = [...LINEAR, vector('b_dec', D, 40), scalarOf('k', 2, 'I32'), scalarOf('threshold', 0.25)];
    const [topk, batch] = [drop({ dict_class: 'AutoEncoderTopK' }, tensors), drop({ dict_class: 'BatchTopKSAE' }, tensors)];
    await same(topk);
    await same(batch);
    expect((await kept(topk)).record.spec).toMatchObject({ activation: 'topk', k: 2, contract: { subtractBDec: true } });
    const { record, values } = await kept(batch);
    expect(record.spec).toMatchObject({ kind: 'BatchTopK', activation: 'jumprelu' });
    expect(record.spec.k).toBeUndefined();
    expect(values('threshold')).toEqual(Array(M).fill(0.25));
  });
  it('Matryoshka notes its groups', async () => {
    const groups: Given = { name: 'group_sizes', dtype: 'I64', shape: [2], data: new Uint8Array(BigInt64Array.of(2n, 3n).buffer) };
    const files = drop({ dict_class: 'MatryoshkaBatchTopKSAE' }, [...BARE, groups, scalarOf('k', 2, 'I32'), scalarOf('threshold', 0.5)]);
    await same(files);
    const { notes, record } = await kept(files);
    expect(notes).toContain('groups of 2, 3 latents');
    expect(record.spec.kind).toBe('BatchTopK (Matryoshka)');
  });
  it('JumpReLU and gated', async () => {
    const jump = drop({ dict_class: 'JumpReluAutoEncoder' }, [...BARE, vector('threshold', M, 7)]);
    await same(jump);
    expect((await kept(jump)).values('threshold')).toEqual(line(M, 7));
    const gates = ['r_mag', 'gate_bias', 'mag_bias'].map((name, i) => vector(name, M, 100 * i));
    const { values } = await kept(
      drop({ dict_class: 'GatedAutoEncoder' }, [...without(LINEAR, 'encoder.bias'), ...gates, vector('decoder_bias', D, 40)]),
    );
    expect([values('r_mag')[0], values('b_gate')[0], values('b_mag')[0]]).toEqual([0, 100, 200]);
    expect(values('b_dec')).toEqual(line(D, 40));
  });
  it.each([
    [{ submodule_name: 'mlp_out_layer_1' }, 'blocks.1.hook_mlp_out'],
    [{ submodule_name: 'attention_out_layer_1' }, 'blocks.1.hook_attn_out'],
    [{ submodule_name: 'resid_pre_layer_1' }, 'blocks.1.hook_resid_pre'],
  ])('%o → %s', async (trainer, hook) => {
    expect((await kept(drop({ dict_class: 'AutoEncoder', ...trainer }, [...LINEAR, vector('bias', D)]))).record.spec.hookIn).toBe(hook);
  });
  it('without a configuration: by tensors and path, where they suffice', async () => {
    const lone = (tensors: readonly Given[], folder: string): OpenedFile[] => [wrapped(`${folder}/ae.pt`, tensors)];
    const { record } = await kept(lone([...LINEAR, vector('bias', D)], 'pythia-70m-deduped/resid_out_layer3/10_32768'));
    expect(record.spec.hookIn).toBe('blocks.3.hook_resid_post');
    expect((await kept(lone([...LINEAR, vector('bias', D)], 'x/embed/10_32768'))).record.spec.hookIn).toBe('hook_embed');
    expect((await kept(lone([...LINEAR, vector('bias', D)], 'blocks.2.hook_mlp_out'))).record.spec.hookIn).toBe('blocks.2.hook_mlp_out');
    expect(await code(lone([...LINEAR, vector('bias', D)], 'x'))).toBe('dictionary-hook');
    expect(await code(lone([...LINEAR, vector('b_dec', D), scalarOf('k', 2, 'I32')], 'mlp_out_layer3'))).toBe('dictionary-config-missing');
  });
  it('refuses another class, a crosscoder, other sizes', async () => {
    const tensors = [...LINEAR, vector('bias', D)];
    expect(await code(drop({ dict_class: 'IdentityDict' }, tensors))).toBe('dictionary-unsupported');
    expect(await code(drop({ dict_class: 'CrossCoder' }, tensors))).toBe('dictionary-crosscoder');
    expect(await code(drop({ dict_class: 'AutoEncoder', dict_size: M + 1 }, tensors))).toBe('dictionary-value');
  });
});

describe('OpenAI', () => {
  const TENSORS = [
    matrix('encoder.weight', M, D, 10),
    turned('decoder.weight', M, D, 20),
    vector('latent_bias', M, 30),
    vector('pre_bias', D, 40),
    vector('stats_last_nonzero', M),
  ];
  const TOPK = { activation: 'TopK', 'activation_state_dict.k': 2, 'activation_state_dict.postact_fn': 'ReLU' };
  const PATH = 'gpt2-small/resid_post_mlp_v5_32k/autoencoders/8.pt';
  it('TopK normalises its input', async () => {
    await same([wrapped(PATH, TENSORS, TOPK)]);
    const { record } = await kept([wrapped(PATH, TENSORS, TOPK)]);
    expect(record).toMatchObject({
      format: 'OpenAI',
      model: 'gpt2',
      spec: { activation: 'topk', k: 2, hookIn: 'blocks.8.hook_resid_post' },
    });
    expect(record.spec.contract).toMatchObject({ normalisation: 'layer_norm', subtractBDec: true });
  });
  it.each([
    ['mlp_post_act', 'mlp.hook_post'],
    ['resid_delta_mlp', 'hook_mlp_out'],
    ['resid_post_attn', 'hook_resid_mid'],
    ['resid_delta_attn', 'hook_attn_out'],
  ])('%s → %s, with a ReLU as it comes', async (place, hook) => {
    const { record } = await kept([wrapped(`${place}/autoencoders/6.pt`, TENSORS, { activation: 'ReLU' })]);
    expect(record.spec).toMatchObject({ activation: 'relu', hookIn: `blocks.6.${hook}`, contract: { normalisation: 'none' } });
  });
  it('tied: the decoder is the encoder', async () => {
    expect((await kept([wrapped(PATH, without(TENSORS, 'decoder.weight'), TOPK)])).values('W_dec')).toEqual(grid(M, D, 10));
  });
  it('refuses what it cannot place or compute', async () => {
    expect(await code([wrapped('8.pt', TENSORS, TOPK)])).toBe('dictionary-hook');
    expect(await code([wrapped(PATH, TENSORS, { activation: 'Identity' })])).toBe('dictionary-unsupported');
    expect(await code([wrapped(PATH, TENSORS, { ...TOPK, 'activation_state_dict.postact_fn': 'Identity' })])).toBe(
      'dictionary-unsupported',
    );
    expect(await code([wrapped(PATH, TENSORS, { activation: 'TopK' })])).toBe('dictionary-value');
  });
});

describe('Llama Scope', () => {
  const TENSORS = [
    matrix('encoder.weight', M, D, 10),
    turned('decoder.weight', M, D, 20),
    vector('encoder.bias', M, 30),
    vector('decoder.bias', D, 40),
  ];
  const HYPER = {
    ...{ hook_point_in: 'blocks.8.hook_resid_post', hook_point_out: 'blocks.8.hook_resid_post', d_model: D, d_sae: M, act_fn: 'jumprelu' },
    ...{ jump_relu_threshold: 0.5, norm_activation: 'dataset-wise', dataset_average_activation_norm: { in: 0.5, out: 0.5 }, top_k: 50 },
    ...{ use_decoder_bias: true, apply_decoder_bias_to_pre_encoder: false, sparsity_include_decoder_norm: false },
  };
  const drop = (hyper: object, tensors: readonly Given[] = TENSORS): OpenedFile[] => [
    opened('Llama3_1-8B-Base-L8R-8x/hyperparams.json', { ...HYPER, ...hyper }),
    opened('Llama3_1-8B-Base-L8R-8x/checkpoints/final.safetensors', safetensors(tensors)),
    opened('Llama3_1-8B-Base-L8R-8x/lm_config.json', {}),
  ];
  const s = Math.sqrt(D) / 0.5;
  it('scales its input, and its threshold with it', async () => {
    await same(drop({}));
    const { record, values } = await kept(drop({}));
    expect(record).toMatchObject({ format: 'Llama Scope', model: 'meta-llama/Llama-3.1-8B', name: 'Llama3_1-8B-Base-L8R-8x' });
    expect(record.spec.contract).toMatchObject({ normalisation: 'scale', subtractBDec: false });
    expect(record.spec.contract.scale).toBeCloseTo(s, 12);
    for (const value of values('threshold')) expect(value).toBeCloseTo(0.5 * s, 6);
  });
  it('holds the threshold against the decoder’s rows where it was trained so', async () => {
    const { values } = await kept(drop({ sparsity_include_decoder_norm: true }));
    const rows = grid(M, D, 20);
    for (const [m, value] of values('threshold').entries())
      expect(value).toBeCloseTo((0.5 * s) / Math.hypot(...rows.slice(m * D, (m + 1) * D)), 6);
  });
  it('a transcoder has a scale for each end: the output’s goes into W_dec and b_dec', async () => {
    const ends = {
      hook_point_in: 'blocks.8.ln2.hook_normalized',
      hook_point_out: 'blocks.8.hook_mlp_out',
      dataset_average_activation_norm: { in: 0.5, out: 0.125 },
    };
    const { record, values } = await kept(drop(ends));
    expect(record.spec).toMatchObject({ kind: 'JumpReLU transcoder', hookOut: 'blocks.8.hook_mlp_out' });
    expect(record.spec.contract.scale).toBeCloseTo(s, 12);
    expect(values('W_dec')).toEqual(grid(M, D, 20).map((x) => Math.fround(x * 0.25)));
    expect(values('b_dec')).toEqual(line(D, 40).map((x) => x * 0.25));
    for (const value of values('threshold')) expect(value).toBeCloseTo(0.5 * s * 4, 5);
  });
  it('R1: thresholds of their own, as logarithms', async () => {
    const { values, record } = await kept([
      opened('Llama-Scope-R1-Distill/L8R/config.json', {
        hook_point_in: 'blocks.8.hook_resid_post',
        d_model: D,
        expansion_factor: 2,
        norm_activation: 'inference',
        act_fn: 'jumprelu',
      }),
      opened(
        'Llama-Scope-R1-Distill/L8R/sae_weights.safetensors',
        safetensors([
          matrix('encoder.weight', 2 * D, D, 10),
          turned('decoder.weight', 2 * D, D, 20),
          vector('encoder.bias', 2 * D),
          vector('decoder.bias', D),
          f32('log_jumprelu_threshold', [2 * D], (i) => Math.log(i + 1)),
        ]),
      ),
    ]);
    expect(record).toMatchObject({ format: 'Llama Scope R1', spec: { contract: { normalisation: 'none' } } });
    for (const [i, value] of values('threshold').entries()) expect(value).toBeCloseTo(i + 1, 5);
  });
  it('refuses norms of each token, and weights without their hyperparams', async () => {
    expect(await code(drop({ norm_activation: 'token-wise' }))).toBe('dictionary-unsupported');
    expect(await code(drop({ dataset_average_activation_norm: { in: 0 } }))).toBe('dictionary-value');
    expect(await code(drop({}).slice(1))).toBe('dictionary-config-missing');
    expect(await code(drop({ use_glu_encoder: true }))).toBe('dictionary-unsupported');
  });
});

describe('Goodfire', () => {
  const tensors = (encoder: string, decoder: string): Given[] => [
    matrix(`${encoder}.weight`, M, D, 10),
    turned(`${decoder}.weight`, M, D, 20),
    vector(`${encoder}.bias`, M, 30),
    vector(`${decoder}.bias`, D, 40),
  ];
  it.each([
    ['Llama-3.1-8B-Instruct-SAE-l19.pth', 'encoder_linear', 'decoder_linear'],
    ['DeepSeek-R1-Distill-Llama-8B-SAE-l19.pt', 'encoder', 'decoder'],
  ])('%s', async (name, encoder, decoder) => {
    const files = [wrapped(name, tensors(encoder, decoder))];
    await same(files);
    const { record } = await kept(files);
    expect(record).toMatchObject({
      format: 'Goodfire',
      model: name.split('-SAE')[0],
      spec: { kind: 'ReLU', hookIn: 'blocks.19.hook_resid_post' },
    });
    expect(record.spec.contract.subtractBDec).toBe(false);
  });
  it('refuses one whose name says no layer', async () => {
    expect(await code([wrapped('mine.pt', tensors('encoder_linear', 'decoder_linear'))])).toBe('dictionary-hook');
  });
});

describe('circuit-tracer', () => {
  const TENSORS = [matrix('W_enc', M, D, 10), matrix('W_dec', M, O, 20), vector('b_enc', M, 30), vector('b_dec', O, 40)];
  const YAML =
    'model_name: "Llama/mine"  # a model\nmodel_kind: transcoder_set\nfeature_input_hook: hook_resid_mid\nfeature_output_hook: \'hook_mlp_out\'\nscan:\n  - one\n';
  const drop = (yaml: string, tensors: readonly Given[] = TENSORS): OpenedFile[] => [
    opened('plt/config.yaml', yaml),
    opened('plt/layer_4.safetensors', safetensors(tensors)),
  ];
  it('reads and writes where config.yaml says', async () => {
    await same(drop(YAML), O);
    const { record } = await kept(drop(YAML));
    expect(record).toMatchObject({ format: 'circuit-tracer', model: 'Llama/mine', name: 'plt/layer_4' });
    expect(record.spec).toMatchObject({
      kind: 'ReLU transcoder',
      hookIn: 'blocks.4.hook_resid_mid',
      hookOut: 'blocks.4.hook_mlp_out',
      dIn: D,
      dOut: O,
    });
    expect(record.spec.contract).toMatchObject({ subtractBDec: false });
  });
  it('whichever way round W_enc and W_dec are', async () => {
    await same(drop(YAML, [turned('W_enc', M, D, 10), turned('W_dec', M, O, 20), ...TENSORS.slice(2)]), O);
  });
  it('JumpReLU by its threshold, TopK by config.yaml, skips by their matrix', async () => {
    const threshold = vector('activation_function.threshold', M, 2);
    expect((await kept(drop(YAML, [...TENSORS, threshold]))).values('threshold')).toEqual(line(M, 2));
    expect((await kept(drop(`${YAML}activation: topk\nk: 3\n`))).record.spec).toMatchObject({ activation: 'topk', k: 3 });
    const { record, values } = await kept(drop(YAML, [...TENSORS, matrix('W_skip', O, D, 50)]));
    expect(record.spec).toMatchObject({ kind: 'ReLU skip transcoder', skip: true });
    expect(values('W_skip')).toEqual(grid(O, D, 50));
  });
  it('every layer of a set is a dictionary; mlp.hook_in is the norm with its gain', async () => {
    const yaml = YAML.replace('hook_resid_mid', '"mlp.hook_in"').replace("'hook_mlp_out'", 'mlp.hook_out');
    const both = await keptAll([
      ...drop(yaml),
      opened('plt/layer_5.safetensors', safetensors(TENSORS)),
      opened('plt/wandb-config.yaml', 'd_model:\n  value: 3\n'),
    ]);
    expect(both.map((each) => each.record.spec.hookIn)).toEqual(['blocks.4.ln2.hook_normalized', 'blocks.5.ln2.hook_normalized']);
    expect(both.map((each) => each.record.spec.hookOut)).toEqual(['blocks.4.hook_mlp_out', 'blocks.5.hook_mlp_out']);
    expect(both.every((each) => each.info.contract['normGain'] === true)).toBe(true);
  });
  it('refuses a set without config.yaml, cross-layer transcoders, a branch before Gemma’s norm', async () => {
    expect(await code(drop(YAML).slice(1))).toBe('dictionary-config-missing');
    expect(await code(drop(YAML.replace('transcoder_set', 'cross_layer_transcoder')))).toBe('dictionary-crosscoder');
    expect(await code([opened('clt/W_enc_0.safetensors', safetensors([f32('W_enc_0', [M, D])]))])).toBe('dictionary-crosscoder');
    expect(await code(drop(YAML.replace('Llama/mine', 'google/gemma-2-2b').replace("'hook_mlp_out'", 'mlp.hook_out')))).toBe(
      'dictionary-hook',
    );
    expect(await code(drop(`${YAML}activation: relu\n`, [...TENSORS, vector('activation_function.threshold', M)]))).toBe(
      'dictionary-value',
    );
  });
});

describe('other checkpoints', () => {
  it('that are no dictionary are left aside with why', async () => {
    const [one] = await keptAll([...saelens(), wrapped('optimizer.pt', [vector('state', 3)])]);
    expect(one?.ignored).toEqual(['optimizer.pt']);
    expect(await code([wrapped('optimizer.pt', [vector('state', 3)])])).toBe('nothing-recognised');
  });
});
