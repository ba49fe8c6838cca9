import { describe, expect, it } from 'vitest';
import type { OpenedFile } from '../../../workers/contract';
import type { LabError } from '../../../workers/errors';
import { sortDrop, type ModelFolder } from '../../../workers/formats/huggingface';
import { f32, gpt2Folder, gpt2Tensors, opened, safetensors, without } from '../safetensors-writer';

const weights = safetensors([f32('a', [2])]);
const shard = (folder: string, name: string, tensor: string): OpenedFile => opened(`${folder}/${name}`, safetensors([f32(tensor, [2])]));
const index = (map: Record<string, string>): object => ({ metadata: { total_size: 16 }, weight_map: map });
const base = (folder: string): OpenedFile[] => without(gpt2Folder(folder), 'model.safetensors');

async function one(files: readonly OpenedFile[]): Promise<ModelFolder> {
  const { models, reasons } = await sortDrop(files);
  expect(reasons).toEqual([]);
  const [model] = models;
  if (models.length !== 1 || !model) throw new Error(`${models.length} models were found`);
  return model;
}
const codes = (errors: readonly LabError[]): string[] => errors.map((error) => error.code);

describe('a drop is sorted:', () => {
  it('a folder, its litter and bystanders ignored with why', async () => {
    const more = ['.DS_Store', '._config.json', 'README.md', 'pytorch_model.bin', 'vocab.json', 'onnx/model.onnx', 'notes.xyz'].map(
      (name) => opened(`deep/er/tiny/${name}`, 'x'),
    );
    const files = gpt2Folder('deep/er/tiny', { more: [...more, opened('__MACOSX/deep/._x', 'x')] });
    const { models, ignored } = await sortDrop(files);
    expect(models).toHaveLength(1);
    expect(models[0]?.tensors).toHaveLength(28);
    expect(new Set(ignored.map((each) => each.file))).toEqual(new Set([...more.map((each) => each.path), '__MACOSX/deep/._x']));
    expect(ignored.every((each) => each.why.length > 10)).toBe(true);
    expect(ignored.find((each) => each.file.endsWith('.bin'))?.why).toContain('.safetensors');
  });
  it('loose files as one folder, whatever the slashes', async () => {
    expect((await one(gpt2Folder(''))).folder).toBe('');
    expect((await one(gpt2Folder('').map(({ file }) => ({ path: '', file })))).folder).toBe('');
    expect((await one(gpt2Folder('a').map(({ path, file }) => ({ path: `/./${path}`, file })))).folder).toBe('a');
    expect((await one(gpt2Folder('a').map(({ path, file }) => ({ path: path.replace('/', '\\'), file })))).folder).toBe('a');
  });
  it('several models in one drop, one inside another included', async () => {
    const { models } = await sortDrop([...gpt2Folder('one'), ...gpt2Folder('two'), ...gpt2Folder('two/inner')]);
    expect(models.map((each) => each.folder)).toEqual(['one', 'two', 'two/inner']);
  });
  it('folders below a model that hold other forms of it', async () => {
    const { models, ignored, reasons } = await sortDrop([
      ...gpt2Folder('m'),
      opened('m/onnx/config.json', '{}'),
      opened('m/original/consolidated.00.safetensors', weights),
    ]);
    expect(codes(reasons)).toEqual([]);
    expect(models).toHaveLength(1);
    expect(ignored.map((each) => each.file)).toEqual(['m/onnx/config.json', 'm/original/consolidated.00.safetensors']);
  });
  it('special_tokens_map fills what tokenizer_config leaves out', async () => {
    const more = [
      opened('t/special_tokens_map.json', { bos_token: 'x', eos_token: 'y' }),
      opened('t/tokenizer_config.json', { bos_token: null }),
    ];
    expect((await one(gpt2Folder('t', { more }))).tokenizerConfig).toEqual({ bos_token: null, eos_token: 'y' });
  });
});

describe('weights in shards:', () => {
  const [a, b] = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'];
  it('by their index', async () => {
    const files = [...base('s'), shard('s', b, 'y'), shard('s', a, 'x'), opened('s/model.safetensors.index.json', index({ x: a, y: b }))];
    const model = await one(files);
    expect(model.weights.map((each) => each.name)).toEqual([a, b]);
    expect(model.tensors?.map(({ name, file }) => [name, file])).toEqual([
      ['x', 0],
      ['y', 1],
    ]);
  });
  it('by their numbers, where the index was left behind', async () => {
    expect((await one([...base('s'), shard('s', a, 'x'), shard('s', b, 'y')])).tensors).toHaveLength(2);
  });
  it('model.safetensors wins over an index, as in transformers', async () => {
    const { models, ignored } = await sortDrop([
      ...gpt2Folder('s'),
      shard('s', a, 'x'),
      opened('s/model.safetensors.index.json', index({ x: a, y: b })),
    ]);
    expect(models[0]?.reasons).toEqual([]);
    expect(ignored).toHaveLength(2);
  });
  it.each<[string, string, OpenedFile[]]>([
    [
      'a shard that the index names is missing',
      'shard-missing',
      [shard('s', a, 'x'), opened('s/model.safetensors.index.json', index({ x: a, y: b }))],
    ],
    ['a numbered shard is missing', 'shard-missing', [shard('s', b, 'y')]],
    ['the index is garbage', 'index-garbage', [shard('s', a, 'x'), opened('s/model.safetensors.index.json', '{"weight_map": 3}')]],
    [
      'a tensor is not in its shard',
      'tensor-missing',
      [shard('s', a, 'x'), shard('s', b, 'y'), opened('s/model.safetensors.index.json', index({ x: a, y: b, z: b }))],
    ],
    ['a tensor is in two shards', 'tensor-duplicate', [shard('s', a, 'x'), shard('s', b, 'x')]],
    ['nothing tells which files belong', 'weights-ambiguous', [shard('s', 'one.safetensors', 'x'), shard('s', 'two.safetensors', 'y')]],
    ['there are none', 'weights-missing', [opened('s/model.gguf', 'x'), opened('s/ggml-model.bin', 'x'), opened('s/tf_model.h5', 'x')]],
    ['a .bin is none of PyTorch’s', 'torch-garbage', [opened('s/pytorch_model.bin', 'x')]],
  ])('refused when %s', async (_, code, more) => {
    const { models } = await sortDrop([...base('s'), ...more]);
    expect(codes(models[0]?.reasons ?? [])).toEqual([code]);
    expect(models[0]?.tensors).toBeUndefined();
  });
});

describe('what cannot be a model says why:', () => {
  const whole = safetensors(gpt2Tensors());
  it.each<[string, string, OpenedFile[]]>([
    ['nothing at all', 'nothing-recognised', []],
    ['a picture', 'nothing-recognised', [opened('cat.png', 'x')]],
    ['a tokeniser alone', 'nothing-recognised', [opened('tokenizer.json', '{}')]],
    ['weights alone', 'config-missing', [opened('model.safetensors', whole)]],
    ['no config', 'config-missing', without(gpt2Folder('m'), 'config.json')],
  ])('%s → %s', async (_, code, files) => {
    const { models, reasons } = await sortDrop(files);
    expect(models).toEqual([]);
    expect(codes(reasons)).toEqual([code]);
  });
  it.each<[string, string, OpenedFile[]]>([
    ['no tokeniser', 'tokenizer-missing', without(gpt2Folder('m'), 'tokenizer.json')],
    ['garbage for a tokeniser', 'tokenizer-garbage', gpt2Folder('m', { tokenizer: '{"model"' })],
    ['garbage for a config', 'config-garbage', gpt2Folder('m', { config: 'model_type: gpt2' })],
    ['a list for a config', 'config-garbage', gpt2Folder('m', { config: '[1]' })],
    ['bytes for a config', 'config-garbage', gpt2Folder('m', { config: new Uint8Array([0xff, 0xfe, 0]) })],
    ['garbage for generation_config', 'config-garbage', gpt2Folder('m', { more: [opened('m/generation_config.json', '{')] })],
    ['garbage for tokenizer_config', 'tokenizer-garbage', gpt2Folder('m', { more: [opened('m/tokenizer_config.json', '"x"')] })],
    ['weights cut short', 'file-truncated', gpt2Folder('m', { weights: whole.slice(0, -8) })],
  ])('%s → %s', async (_, code, files) => {
    const { models } = await sortDrop(files);
    expect(codes(models[0]?.reasons ?? [])).toEqual([code]);
    expect(models[0]?.reasons[0]?.hint.length).toBeGreaterThan(10);
  });
  it('everything at once', async () => {
    const files = without(gpt2Folder('m', { config: '{', weights: whole.slice(0, -8) }), 'tokenizer.json');
    const { models } = await sortDrop(files);
    expect(codes(models[0]?.reasons ?? []).sort()).toEqual(['config-garbage', 'file-truncated', 'tokenizer-missing']);
  });
});
