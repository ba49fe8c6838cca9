import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { OpenedFile } from '../../../workers/contract';
import { Files } from '../../../workers/files';
import { readSignature } from '../../../workers/formats/onnx';
import { shelf } from '../library/memory-bytes';
import { refusal } from '../refusal';
import { gpt2Folder, opened } from '../safetensors-writer';

const root = fileURLToPath(new URL('../../golden/fixtures/embedders/', import.meta.url));
type Change = Record<string, Uint8Array<ArrayBuffer> | object | string | undefined>;

/** A golden encoder as it is dropped; `change` replaces a file, adds one, or (undefined) leaves it out. */
function encoder(name: string, change: Change = {}, folder = name): OpenedFile[] {
  const paths = readdirSync(root + name, { recursive: true, withFileTypes: true })
    .filter((each) => each.isFile() && each.name !== 'case.json')
    .map((each) => `${each.parentPath}/${each.name}`.slice(root.length + name.length + 1));
  return [...new Set([...paths, ...Object.keys(change)])].flatMap((path) => {
    const content = path in change ? change[path] : new Uint8Array(readFileSync(`${root}${name}/${path}`));
    return content === undefined ? [] : [opened(folder ? `${folder}/${path}` : path, content)];
  });
}
const json = (name: string, path: string): Record<string, unknown> =>
  JSON.parse(readFileSync(`${root}${name}/${path}`, 'utf8')) as Record<string, unknown>;
const bytes = (name: string, path: string): Uint8Array<ArrayBuffer> => new Uint8Array(readFileSync(`${root}${name}/${path}`));

const open = async (files: OpenedFile[]) => {
  const { library, bytes: disk } = shelf();
  const api = new Files(library);
  return { api, disk, result: await api.open(files, 'job') };
};

describe('embedding models on the shelf', () => {
  it('are kept beside language models, in one drop, and nothing of them is taken for another', async () => {
    const { api, result } = await open([...gpt2Folder('tiny'), ...encoder('bert-mean'), ...encoder('roberta-cls')]);
    expect(result.models).toHaveLength(1);
    expect(result.embedders.map(({ name, pooling, maxTokens }) => [name, pooling, maxTokens])).toEqual([
      ['bert-mean', 'mean', 24],
      ['roberta-cls', 'cls', 32],
    ]);
    expect(result.ignored).toEqual([]);
    expect(await api.embedders()).toEqual(result.embedders);
    expect(result.embedders[0]?.bytes).toBe(bytes('bert-mean', 'onnx/model.onnx').length);
  });

  it('are one where they are dropped twice; removed, they leave nothing', async () => {
    const { api, disk, result } = await open(encoder('bert-mean'));
    const again = await api.open(encoder('bert-mean', {}, 'elsewhere'), 'again');
    expect(again.embedders).toEqual(result.embedders);
    const id = result.embedders[0]?.id ?? '';
    expect((await api.embedder(id)).inputs).toEqual(['input_ids', 'attention_mask', 'token_type_ids']);
    await api.remove(id);
    expect([await api.embedders(), disk.files.size]).toEqual([[], 0]);
    expect((await refusal(() => api.embedder(id))).code).toBe('embedder-unknown');
  });

  it('are swept only when no record names them', async () => {
    const { api, disk } = await open(encoder('bert-mean'));
    expect(await api.library.sweep()).toEqual([]);
    expect(disk.files.size).toBe(1);
  });

  it('are read loose, out of a download cache, and with other forms of the graph beside', async () => {
    const loose = await open(encoder('bert-mean', { '1_Pooling/config.json': { pooling_mode_cls_token: true } }, ''));
    expect(loose.result.embedders).toMatchObject([{ name: 'bert encoder', pooling: 'cls' }]);
    const cached = await open(encoder('bert-mean', {}, 'models--Xenova--all-MiniLM-L6-v2/snapshots/0123'));
    expect(cached.result.embedders).toMatchObject([{ name: 'all-MiniLM-L6-v2' }]);
    const both = await open(
      encoder('bert-mean', {
        'onnx/model_quantized.onnx': bytes('bert-quantized', 'onnx/model_quantized.onnx'),
        'onnx/model_fp16.onnx': 'x',
        'README.md': 'x',
        'openvino/model.bin': 'x',
      }),
    );
    expect((await both.api.embedder(both.result.embedders[0]?.id ?? '')).batches, 'the quantised one').toBe(false);
    expect(both.result.ignored.map(({ file, why }) => `${file}: ${why}`).sort()).toEqual([
      'bert-mean/README.md: not what Loupe reads of an embedding model',
      'bert-mean/onnx/model.onnx: model_quantized.onnx is read instead',
      'bert-mean/onnx/model_fp16.onnx: model_quantized.onnx is read instead',
      'bert-mean/openvino/model.bin: not what Loupe reads of an embedding model',
    ]);
  });

  it.each([
    [{ pooling_mode_mean_tokens: true }, 'mean'],
    [{ pooling_mode_cls_token: true, pooling_mode_mean_tokens: false, include_prompt: true, word_embedding_dimension: 32 }, 'cls'],
    [{ pooling_mode_mean_sqrt_len_tokens: true }, 'mean'],
    [{ pooling_mode: 'cls' }, 'cls'],
  ] as const)('pool as their files say: %o', async (says, pooling) => {
    expect((await open(encoder('bert-mean', { '1_Pooling/config.json': says }))).result.embedders).toMatchObject([{ pooling }]);
  });

  it('pool by the first row where a publisher is known to and no file says', async () => {
    expect((await open(encoder('bert-mean', {}, 'bge-small-en-v1.5'))).result.embedders).toMatchObject([{ pooling: 'cls' }]);
  });

  it('are cut to the shortest length that a file says', async () => {
    const { result } = await open(encoder('bert-mean', { 'sentence_bert_config.json': { max_seq_length: 9 } }));
    expect(result.embedders).toMatchObject([{ maxTokens: 9 }]);
  });

  const modules = (type: string) => JSON.stringify([{ type: 'sentence_transformers.models.Transformer' }, { type }]);
  it.each<[string, Change, string]>([
    ['no tokeniser', { 'tokenizer.json': undefined }, 'tokenizer-missing'],
    ['a tokeniser that is none', { 'tokenizer.json': {} }, 'tokenizer-garbage'],
    ['a tokeniser of another model', { 'config.json': { ...json('bert-mean', 'config.json'), vocab_size: 20 } }, 'tokenizer-mismatch'],
    ['no ONNX', { 'onnx/model.onnx': 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 90\n' }, 'embedder-garbage'],
    ['a graph cut short', { 'onnx/model.onnx': bytes('bert-mean', 'onnx/model.onnx').slice(0, -999) }, 'embedder-garbage'],
    ['an empty file', { 'onnx/model.onnx': '' }, 'embedder-garbage'],
    ['another pooling', { '1_Pooling/config.json': { pooling_mode_max_tokens: true } }, 'embedder-unsupported'],
    ['two poolings', { '1_Pooling/config.json': { pooling_mode_max_tokens: true, pooling_mode_cls_token: true } }, 'embedder-unsupported'],
    ['a layer after the pooling', { 'modules.json': modules('sentence_transformers.models.Dense') }, 'embedder-unsupported'],
    ['modules that are no JSON', { 'modules.json': '[' }, 'config-garbage'],
  ])('are refused with %s', async (_, change, code) => {
    const { library, bytes: disk } = shelf();
    const error = await refusal(() => new Files(library).open(encoder('bert-mean', change), 'job'));
    expect([error.code, error.hint !== '']).toEqual([code, true]);
    expect(disk.files.size).toBe(0);
  });

  it('are not refused for what normalises after the pooling', async () => {
    const { result } = await open(encoder('bert-mean', { 'modules.json': modules('sentence_transformers.models.Normalize') }));
    expect(result.embedders).toHaveLength(1);
  });

  it('are told from a language model with a graph beside it, which is that model', async () => {
    const { result } = await open([...gpt2Folder('tiny'), opened('tiny/onnx/model.onnx', bytes('bert-mean', 'onnx/model.onnx'))]);
    expect([result.models.length, result.embedders.length]).toEqual([1, 0]);
  });

  it('take down the whole drop when one is wrong', async () => {
    const { library, bytes: disk } = shelf();
    await refusal(() => new Files(library).open([...gpt2Folder('tiny'), ...encoder('bert-mean', { 'onnx/model.onnx': 'x' })], 'job'));
    expect(disk.files.size).toBe(0);
  });
});

describe('the skeleton of an ONNX file', () => {
  it('says what goes in, what comes out, and of what it is made', async () => {
    const signature = await readSignature(new Blob([bytes('bert-quantized', 'onnx/model_quantized.onnx')]), 'x');
    expect(signature).toMatchObject({
      inputs: ['input_ids', 'attention_mask', 'token_type_ids'],
      outputs: ['last_hidden_state'],
      external: false,
    });
    expect(signature.operations).toEqual(expect.arrayContaining(['DynamicQuantizeLinear', 'MatMulInteger', 'LayerNormalization']));
  });

  it('is read or refused, never anything else, wherever a byte is changed', async () => {
    const whole = bytes('roberta-cls', 'onnx/model.onnx');
    for (let at = 0; at < 400; at++) {
      const changed = whole.slice();
      changed[at] = (changed[at] ?? 0) ^ 0xff;
      const error = await readSignature(new Blob([changed]), 'x').then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      if (error !== undefined) expect(error).toMatchObject({ code: 'embedder-garbage' });
    }
  });
});
