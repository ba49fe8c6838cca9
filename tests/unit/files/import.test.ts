import { describe, expect, it } from 'vitest';
import type { ModelRecord, OpenedFile } from '../../../workers/contract';
import { Files } from '../../../workers/files';
import { shelf } from '../library/memory-bytes';
import { refusal } from '../refusal';
import { f32, GPT2_CONFIG, gpt2Folder, gpt2Tensors, safetensors, TOKENIZER, two, without, type Given } from '../safetensors-writer';
import { dataFolder, haveData } from '../shared-data';

async function imported(files: readonly OpenedFile[]): Promise<ModelRecord> {
  const api = new Files(shelf().library);
  const { models } = await api.open(files, 'job');
  const [info] = models;
  if (!info) throw new Error('nothing was opened');
  return api.record(info.id);
}
const weights = (tensors: readonly Given[]): OpenedFile[] => gpt2Folder('tiny', { weights: safetensors(tensors) });
const swap = (name: string, by: Given[]): Given[] => gpt2Tensors().flatMap((tensor) => (tensor.name === name ? by : [tensor]));

describe('a checkpoint that fits its family', () => {
  it('is described from its spec and its tensors', async () => {
    const { info, type, tensors, name } = await imported(gpt2Folder());
    expect(info).toMatchObject({
      name: 'tiny',
      family: 'gpt2',
      layers: 2,
      dModel: 6,
      heads: 2,
      kvHeads: 2,
      dVocab: 11,
      context: 9,
      weights: 'f32',
    });
    expect(info.badge).toBe('GPT-2 · f32 · raw weights, not folded, not centred');
    expect([type, name, tensors.length]).toEqual(['gpt2', 'tiny', 28]);
    // 11·6 + 9·6 + 2·6 + 2·(4·6 + 6·18 + 18 + 6·6 + 6 + 6·24 + 24 + 24·6 + 6)
    expect(info.parameters).toBe(132 + 2 * 510);
  });
  it('has its names without the prefix, and its bytes where the record says', async () => {
    const file = safetensors(gpt2Tensors('transformer.'));
    const { tensors } = await imported(gpt2Folder('tiny', { weights: file }));
    expect(tensors.map((tensor) => tensor.name)).toEqual(gpt2Tensors().map((tensor) => tensor.name));
    const wte = tensors.find((tensor) => tensor.name === 'wte.weight');
    expect(file.slice(wte?.offset, (wte?.offset ?? 0) + (wte?.bytes ?? 0))).toEqual(gpt2Tensors('transformer.')[0]?.data);
  });
  it('may carry buffers that hold nothing learned', async () => {
    const mask: Given = { name: 'h.0.attn.bias', dtype: 'BOOL', shape: [1, 1, 9, 9], data: new Uint8Array(81) };
    const record = await imported(weights([...gpt2Tensors(), mask]));
    expect(record.tensors).toHaveLength(28);
    expect(record.info.parameters).toBe(1152);
  });
  it('may be stored in mixed precision', async () => {
    expect((await imported(weights(swap('wte.weight', [two('wte.weight', 'BF16', [11, 6])])))).info.weights).toBe('mixed');
    const half = gpt2Tensors().map(({ name, shape }) => two(name, 'F16', shape));
    expect((await imported(weights(half))).info).toMatchObject({
      weights: 'f16',
      badge: expect.stringContaining('GPT-2 · f16') as unknown,
    });
  });
  it('with no folder takes its name from the config', async () => {
    expect((await imported(gpt2Folder('', { config: { ...GPT2_CONFIG, _name_or_path: 'someone/small' } }))).name).toBe('small');
    expect((await imported(gpt2Folder(''))).name).toBe('GPT-2 2×6');
    expect((await imported(gpt2Folder(`models--a--tiny/snapshots/${'0'.repeat(40)}`))).name).toBe('tiny');
  });
});

describe('a head in the file of a tied model', () => {
  const embed = gpt2Tensors()[0];
  const head = (value?: (i: number) => number): Given => f32('lm_head.weight', [11, 6], value);
  it('is left out where it is the embedding again', async () => {
    const record = await imported(weights([...gpt2Tensors(), { ...head(), data: embed?.data ?? new Uint8Array(0) }]));
    expect(record.tensors.map((tensor) => tensor.name)).not.toContain('lm_head.weight');
    expect(record.config).toEqual(GPT2_CONFIG);
  });
  it('is believed where it differs', async () => {
    const record = await imported(weights([...gpt2Tensors(), head((i) => i)]));
    expect(record.tensors.map((tensor) => tensor.name)).toContain('lm_head.weight');
    expect(record.config['tie_word_embeddings']).toBe(false);
    expect(record.info.badge).toContain('head from the file, not tied');
  });
  it('must have the embedding’s shape', async () => {
    const error = await refusal(() => imported(weights([...gpt2Tensors(), f32('lm_head.weight', [11, 5])])));
    expect(error.code).toBe('tensor-shape');
  });
});

describe('a checkpoint that does not fit is refused, the shelf unharmed:', () => {
  const cases: [string, string, OpenedFile[]][] = [
    ['a missing tensor', 'tensor-missing', weights(swap('h.1.ln_2.bias', []))],
    ['a missing head', 'tensor-missing', gpt2Folder('tiny', { config: { ...GPT2_CONFIG, tie_word_embeddings: false } })],
    ['an unknown extra tensor', 'tensor-unknown', weights([...gpt2Tensors(), f32('h.0.attn.surprise', [3])])],
    ['a tensor with and without prefix', 'tensor-unknown', weights([...gpt2Tensors(), f32('transformer.wte.weight', [11, 6])])],
    ['a misshapen tensor', 'tensor-shape', weights(swap('h.0.attn.c_proj.bias', [f32('h.0.attn.c_proj.bias', [7])]))],
    ['a transposed tensor', 'tensor-shape', weights(swap('h.0.mlp.c_fc.weight', [f32('h.0.mlp.c_fc.weight', [24, 6])]))],
    [
      'a dtype that cannot be run',
      'dtype-unsupported',
      weights(swap('ln_f.bias', [{ name: 'ln_f.bias', dtype: 'F64', shape: [6], data: new Uint8Array(48) }])),
    ],
    ['more layers in the config', 'tensor-missing', gpt2Folder('tiny', { config: { ...GPT2_CONFIG, n_layer: 3 } })],
    ['an unknown family', 'family-unknown', gpt2Folder('tiny', { config: { ...GPT2_CONFIG, model_type: 'mamba' } })],
    ['no family', 'family-unknown', gpt2Folder('tiny', { config: {} })],
    ['a config value that is none', 'config-value', gpt2Folder('tiny', { config: { ...GPT2_CONFIG, n_layer: 'two' } })],
    ['a config that asks for more', 'config-unsupported', gpt2Folder('tiny', { config: { ...GPT2_CONFIG, activation_function: 'mish' } })],
    [
      'another model’s tokeniser',
      'tokenizer-mismatch',
      gpt2Folder('tiny', { tokenizer: { ...TOKENIZER, model: { ...TOKENIZER.model, vocab: { a: 11 } } } }),
    ],
    ['no tokeniser', 'tokenizer-missing', without(gpt2Folder(), 'tokenizer.json')],
    ['a cut file', 'file-truncated', gpt2Folder('tiny', { weights: safetensors(gpt2Tensors()).slice(0, -1) })],
  ];
  it.each(cases)('%s → %s', async (_, code, files) => {
    const { library, bytes } = shelf();
    const api = new Files(library);
    const kept = await api.open(gpt2Folder('kept'), 'first');
    const before = [...bytes.files.keys()];
    const error = await refusal(() => api.open(files, 'second'));
    expect(error.code).toBe(code);
    expect(error.hint.length).toBeGreaterThan(10);
    expect((await api.models()).map((model) => model.id)).toEqual(kept.models.map((model) => model.id));
    expect([...bytes.files.keys()]).toEqual(before);
  });

  it('several faults of several models at once', async () => {
    const api = new Files(shelf().library);
    const error = await refusal(() =>
      api.open(
        [
          ...without(gpt2Folder('one', { config: { model_type: 'mamba' } }), 'tokenizer.json'),
          ...gpt2Folder('two', { weights: safetensors([...swap('ln_f.bias', []), f32('extra', [1])]) }),
          ...gpt2Folder('good'),
        ],
        'job',
      ),
    );
    expect(error.code).toBe('open-failed');
    expect(error.causes.map((cause) => cause.code).sort()).toEqual([
      'family-unknown',
      'tensor-missing',
      'tensor-unknown',
      'tokenizer-missing',
    ]);
    for (const cause of error.causes) expect(error.message).toContain(cause.message);
    expect(await api.models()).toEqual([]);
  });
});

describe.skipIf(!haveData('stories260K'))('stories260K', () => {
  it('goes on the shelf as it was published', async () => {
    const api = new Files(shelf().library);
    const { models, ignored } = await api.open(dataFolder('stories260K'), 'job');
    expect(models[0]).toMatchObject({
      name: 'stories260K',
      family: 'llama',
      layers: 5,
      kvHeads: 4,
      dVocab: 512,
      weights: 'f32',
      parameters: 260032,
    });
    expect(ignored.map((each) => each.file).sort()).toEqual(
      ['LICENSE.karpathy-llama2.c', 'golden.json', 'stories260K.bin', 'tok512.bin'].map((name) => `stories260K/${name}`),
    );
    const id = models[0]?.id ?? '';
    expect((await api.tokenize(id, 'Once upon a time')).ids).toEqual([1, 403, 407, 261, 378]);
    expect(await api.decode(id, [1, 403, 407])).toBe('Once upon');
  });
});

describe('Llama’s names', () => {
  const config = {
    model_type: 'llama',
    hidden_size: 8,
    intermediate_size: 5,
    num_hidden_layers: 1,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    vocab_size: 7,
    tie_word_embeddings: false,
  };
  const layer: [string, number[]][] = [
    ['input_layernorm', [8]],
    ['self_attn.q_proj', [8, 8]],
    ['self_attn.k_proj', [4, 8]],
    ['self_attn.v_proj', [4, 8]],
    ['self_attn.o_proj', [8, 8]],
    ['post_attention_layernorm', [8]],
    ['mlp.gate_proj', [5, 8]],
    ['mlp.up_proj', [5, 8]],
    ['mlp.down_proj', [8, 5]],
  ];
  const body = [
    f32('model.embed_tokens.weight', [7, 8]),
    f32('model.norm.weight', [8]),
    f32('model.layers.0.self_attn.rotary_emb.inv_freq', [1]),
    ...layer.map(([name, shape]) => f32(`model.layers.0.${name}.weight`, shape)),
  ];
  it('carry a prefix everywhere but at the head', async () => {
    const record = await imported(gpt2Folder('l', { config, weights: safetensors([...body, f32('lm_head.weight', [7, 8])]) }));
    expect(record.tensors.map((tensor) => tensor.name)).toEqual([
      'embed_tokens.weight',
      'norm.weight',
      ...layer.map(([name]) => `layers.0.${name}.weight`),
      'lm_head.weight',
    ]);
  });
  it('must include the head of an untied model', async () => {
    const error = await refusal(() => imported(gpt2Folder('l', { config, weights: safetensors(body) })));
    expect(error.code).toBe('tensor-missing');
    expect(error.message).toContain('lm_head.weight');
  });
});

describe('a toy of TransformerLens’s', () => {
  const config = {
    ...{ n_layers: 1, d_model: 4, n_heads: 2, d_head: 2, d_mlp: 6, n_ctx: 5, d_vocab: 11, act_fn: 'relu', gated_mlp: true },
    ...{ normalization_type: null, default_prepend_bos: true },
  };
  const tensors = (bias: (i: number) => number): Given[] => [
    f32('embed.W_E', [11, 4]),
    f32('pos_embed.W_pos', [5, 4]),
    ...['Q', 'K', 'V'].map((part) => f32(`blocks.0.attn.W_${part}`, [2, 4, 2])),
    f32('blocks.0.attn.W_O', [2, 2, 4]),
    f32('blocks.0.mlp.W_in', [4, 6]),
    f32('blocks.0.mlp.W_gate', [4, 6]),
    f32('blocks.0.mlp.b_in', [6], bias),
    f32('blocks.0.mlp.W_out', [6, 4]),
    f32('unembed.W_U', [4, 11]),
  ];
  const folder = (change: object = {}, bias = (_: number): number => 0): OpenedFile[] =>
    gpt2Folder('toy', { config: { ...config, ...change }, weights: safetensors(tensors(bias)) });
  it('may have a gated MLP whose b_in is zeros', async () => {
    expect((await imported(folder())).info).toMatchObject({ family: 'toy', dVocab: 11 });
  });
  it('is refused where b_in is not: TransformerLens adds it behind the product', async () => {
    const error = await refusal(() => imported(folder({}, (i) => (i === 5 ? 0.25 : 0))));
    expect(error.code).toBe('config-unsupported');
    expect(error.message).toContain('blocks.0.mlp.b_in');
  });
  it('may name its key-value heads apart though there are as many as heads', async () => {
    const named = tensors(() => 0).map((tensor) => ({ ...tensor, name: tensor.name.replace(/attn\.W_([KV])/, 'attn._W_$1') }));
    const record = await imported(
      gpt2Folder('toy', {
        config: { ...config, n_key_value_heads: 2 },
        weights: safetensors([...named, f32('blocks.0.attn._b_V', [2, 2])]),
      }),
    );
    expect(record.tensors.map(({ name }) => name)).toEqual(expect.arrayContaining(['blocks.0.attn.W_K', 'blocks.0.attn.b_V']));
  });
  it('gets a BOS where its config says so', async () => {
    const bos = async (change: object): Promise<boolean> => {
      const api = new Files(shelf().library);
      const { models } = await api.open(folder(change), 'job');
      return (await api.vocabulary(models[0]?.id ?? '')).prependBos;
    };
    expect(await bos({})).toBe(true);
    expect(await bos({ default_prepend_bos: false })).toBe(false);
  });
});
