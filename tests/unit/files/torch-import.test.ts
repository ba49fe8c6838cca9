import { describe, expect, it } from 'vitest';
import type { ModelRecord, OpenedFile } from '../../../workers/contract';
import { Files } from '../../../workers/files';
import type { Opened } from '../../../workers/api';
import { openTensors } from '../../../workers/library/tensors';
import { noLocks } from '../../../workers/library/locks';
import { forgetful, shelf } from '../library/memory-bytes';
import { refusal } from '../refusal';
import { GPT2_CONFIG, gpt2Folder, opened, without } from '../safetensors-writer';
import { checkpoint, fixtureBytes, HOSTILE } from '../torch-files';

const dropped = (name: string, as = name): OpenedFile => opened(`tiny/${as}`, fixtureBytes(`tiny/${name}`));
const folder = (...weights: OpenedFile[]): OpenedFile[] => [...without(gpt2Folder('tiny'), 'model.safetensors'), ...weights];

interface Kept {
  opened: Opened;
  record: ModelRecord;
  /** Every tensor's bytes by its name, as the shelf gives them. */
  tensors: Record<string, string>;
  bytes: number;
}
async function imported(files: readonly OpenedFile[]): Promise<Kept> {
  const { library, bytes } = shelf();
  const api = new Files(library);
  const result = await api.open(files, 'job');
  const record = await api.record(result.models[0]?.id ?? '');
  const tensors = record.tensors.map(({ name, file, offset, bytes: length, dtype, shape }): [string, string] => {
    const kept = bytes.files.get(record.files[file]?.path ?? '') ?? new Uint8Array(0);
    return [`${name} ${dtype} [${shape.join()}]`, Buffer.from(kept.slice(offset, offset + length)).toString('hex')];
  });
  return { opened: result, record, tensors: Object.fromEntries(tensors), bytes: bytes.used };
}
const reference = (): Promise<Kept> => imported(folder(dropped('model.safetensors')));

describe('a model from PyTorch’s files', () => {
  it('is the one that safetensors give, its tied head and its masks left aside', async () => {
    const [ours, theirs] = await Promise.all([imported(folder(dropped('pytorch_model.bin'))), reference()]);
    expect(ours.tensors).toEqual(theirs.tensors);
    expect(Object.keys(ours.tensors)).toHaveLength(28);
    expect({ ...ours.record.info, id: '', bytes: 0 }).toEqual({ ...theirs.record.info, id: '', bytes: 0 });
    expect(ours.record.config).toEqual(GPT2_CONFIG);
  });
  it('takes no more room than the tensors do', async () => {
    const { bytes } = await imported(folder(dropped('pytorch_model.bin')));
    expect(bytes).toBeLessThan((await reference()).bytes + 500);
    expect(bytes).toBeLessThan(fixtureBytes('tiny/pytorch_model.bin').length);
  });
  it('is kept as a safetensors file, in which each tensor lies once', async () => {
    const { readHeader } = await import('../../../workers/formats/safetensors');
    const { readTorchWeights } = await import('../../../workers/formats/torch-weights');
    const file = dropped('pytorch_model.bin').file;
    const weights = await readTorchWeights({ folder: '', name: file.name, path: file.name, file });
    const { tensors } = await readHeader(weights.file);
    expect(weights.tensors.filter(({ name }) => name !== 'lm_head.weight')).toEqual(tensors);
  });
  it('in shards is the same, with their index and without', async () => {
    const shards = [1, 2].map((i) => dropped(`pytorch_model-0000${i}-of-00002.bin`));
    const theirs = await reference();
    expect((await imported(folder(...shards, dropped('pytorch_model.bin.index.json')))).tensors).toEqual(theirs.tensors);
    expect((await imported(folder(...shards))).tensors).toEqual(theirs.tensors);
    for (const more of [[dropped('pytorch_model.bin.index.json')], []])
      expect((await refusal(() => imported(folder(...shards.slice(0, 1), ...more)))).code).toBe('shard-missing');
  });
  it('out of a training run is the same, its transposed views made plain, the run’s own state left aside', async () => {
    const kept = await imported(folder(dropped('training.pt', 'checkpoint.pt')));
    expect(kept.tensors).toEqual((await reference()).tensors);
    expect(kept.opened.ignored.map(({ file }) => file).sort()).toEqual(
      ['epoch', 'loss', 'optimizer_state_dict'].map((key) => `tiny/checkpoint.pt: “${key}”`),
    );
  });
  it('reads from memory where nothing can be kept', async () => {
    const api = new Files(forgetful());
    const { models } = await api.open(folder(dropped('pytorch_model.bin')), 'job');
    const record = await api.record(models[0]?.id ?? '');
    const reader = await openTensors(record, noLocks);
    const theirs = await reference();
    for (const { name, file, offset, bytes, dtype, shape } of record.tensors) {
      const into = new Uint8Array(bytes);
      await reader.read(file, offset, into);
      expect(Buffer.from(into).toString('hex')).toBe(theirs.tensors[`${name} ${dtype} [${shape.join()}]`]);
    }
    reader.close();
  });
});

describe('which files hold the weights:', () => {
  const bin = dropped('pytorch_model.bin');
  it('safetensors, where there are both', async () => {
    const { opened: result } = await imported([...gpt2Folder('tiny'), bin, dropped('pytorch_model.bin.index.json')]);
    expect(result.ignored.map(({ file }) => file)).toEqual(['tiny/pytorch_model.bin', 'tiny/pytorch_model.bin.index.json']);
    expect(result.ignored.every(({ why }) => why.includes('.safetensors'))).toBe(true);
  });
  it('pytorch_model.bin before any other, and never a trainer’s own files', async () => {
    const trainer = ['optimizer.pt', 'scheduler.pt', 'rng_state.pth', 'training_args.bin', 'scaler.pt'].map((name) =>
      opened(`tiny/${name}`, 'x'),
    );
    const { opened: result } = await imported(folder(bin, ...trainer, opened('tiny/other.pt', 'x')));
    expect(new Set(result.ignored.map(({ file }) => file))).toEqual(new Set([...trainer.map(({ path }) => path), 'tiny/other.pt']));
    expect((await refusal(() => imported(folder(...trainer)))).code).toBe('weights-missing');
  });
  it('the .bin files, where only the index of the safetensors came with them', async () => {
    const index = opened('tiny/model.safetensors.index.json', { weight_map: { a: 'model-00001-of-00001.safetensors' } });
    expect(Object.keys((await imported(folder(bin, index))).tensors)).toHaveLength(28);
  });
  it('not two of them', async () => {
    const error = await refusal(() => imported(folder(dropped('training.pt', 'one.pt'), dropped('training.pt', 'two.pth'))));
    expect(error.code).toBe('weights-ambiguous');
  });
  it('some, if it is to be a model', async () => {
    expect((await refusal(() => new Files(shelf().library).open([bin], 'job'))).code).toBe('config-missing');
    expect((await refusal(() => new Files(shelf().library).open([opened('ae.pt', 'x')], 'job'))).code).toBe('torch-garbage');
  });
});

describe('a checkpoint that cannot be right is refused, the shelf unharmed:', () => {
  const evil = HOSTILE.find(({ name }) => name === 'os.system by REDUCE')?.pickle ?? new Uint8Array(0);
  /** {} */
  const nothing = Uint8Array.from([0x80, 2, 0x7d, 0x2e]);
  const asBin = (file: File): OpenedFile => ({ path: 'tiny/pytorch_model.bin', file });
  it.each<[string, string, OpenedFile]>([
    ['one that calls', 'pickle-forbidden', asBin(checkpoint(evil))],
    ['one without tensors', 'torch-garbage', asBin(checkpoint(nothing))],
    ['the old form', 'torch-unsupported', opened('tiny/pytorch_model.bin', fixtureBytes('legacy.pt'))],
    ['no checkpoint', 'torch-garbage', opened('tiny/pytorch_model.bin', 'version https://git-lfs.github.com/spec/v1')],
    ['a cut one', 'file-truncated', opened('tiny/pytorch_model.bin', fixtureBytes('tiny/pytorch_model.bin').slice(0, 9000))],
    ['another model’s', 'open-failed', opened('tiny/pytorch_model.bin', fixtureBytes('module.pt'))],
  ])('%s → %s', async (_, code, weights) => {
    const { library, bytes } = shelf();
    const api = new Files(library);
    await api.open(gpt2Folder('kept'), 'first');
    const before = [...bytes.files.keys()];
    expect((await refusal(() => api.open(folder(weights), 'second'))).code).toBe(code);
    expect([...bytes.files.keys()]).toEqual(before);
  });
});
