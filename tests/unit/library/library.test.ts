import { describe, expect, it } from 'vitest';
import { Files } from '../../../workers/files';
import { PIECE } from '../../../workers/formats/read';
import { copyHashed, Meter } from '../../../workers/library/copy';
import { openTensors } from '../../../workers/library/tensors';
import type { Progress } from '../../../workers/contract';
import { refusal } from '../refusal';
import { f32, gpt2Folder, gpt2Tensors, opened, safetensors, type Given } from '../safetensors-writer';
import { forgetful, MemoryBytes, shelf, TestLocks } from './memory-bytes';

/** A tiny GPT-2 with an ignorable buffer that makes its file three pieces long. */
const large = (): Given[] => [
  ...gpt2Tensors(),
  { name: 'h.0.attn.bias', dtype: 'U8', shape: [2.5 * PIECE], data: new Uint8Array(2.5 * PIECE) },
];

describe('the shelf', () => {
  it('keeps a model: its bytes on the disk, hashed, and its record last', async () => {
    const { library, bytes } = shelf();
    const api = new Files(library);
    const whole = safetensors(gpt2Tensors());
    const { models } = await api.open(gpt2Folder('tiny', { weights: whole }), 'job');
    const record = await api.record(models[0]?.id ?? '');
    expect(record).toMatchObject({ stored: 'opfs', id: record.info.id });
    expect(bytes.files.get(record.files[0]?.path ?? '')).toEqual(whole);
    const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', whole));
    expect(record.files[0]?.sha256).toBe([...digest].map((byte) => byte.toString(16).padStart(2, '0')).join(''));
    expect(await api.models()).toEqual([{ ...record.info, stored: 'opfs' }]);
  });
  it('knows the same content again, under any name, and does not store it twice', async () => {
    const { library, bytes } = shelf();
    const api = new Files(library);
    const first = await api.open(gpt2Folder('one'), 'a');
    const used = bytes.used;
    const second = await api.open(gpt2Folder('two'), 'b');
    expect(second.models).toEqual(first.models);
    expect(bytes.used).toBe(used);
    expect(await api.models()).toHaveLength(1);
    expect((await api.open([...gpt2Folder('x'), ...gpt2Folder('y')], 'c')).models).toHaveLength(1);
    const other = await api.open(
      gpt2Folder('three', { weights: safetensors(gpt2Tensors().map((t) => f32(t.name, t.shape, () => 1))) }),
      'd',
    );
    expect(other.models[0]?.id).not.toBe(first.models[0]?.id);
  });
  it('keeps one copy where the same content comes twice at once', async () => {
    const { library, bytes } = shelf();
    const api = new Files(library);
    const both = await Promise.all([api.open(gpt2Folder('one'), 'a'), api.open(gpt2Folder('two'), 'b')]);
    expect(both[0]?.models).toEqual(both[1]?.models);
    expect(bytes.files.size).toBe(1);
  });
  it('takes a model in again whose bytes were lost', async () => {
    const { library, bytes } = shelf();
    const api = new Files(library);
    await api.open(gpt2Folder(), 'a');
    bytes.files.clear();
    const { models } = await api.open(gpt2Folder(), 'b');
    const record = await api.record(models[0]?.id ?? '');
    expect(await bytes.size(record.files[0]?.path ?? '')).toBe(record.files[0]?.bytes);
  });
  it('removes a model and frees everything', async () => {
    const { library, bytes } = shelf();
    const api = new Files(library);
    const { models } = await api.open(gpt2Folder(), 'a');
    const id = models[0]?.id ?? '';
    await api.tokenize(id, 'ab');
    await api.remove(id);
    expect([await api.models(), bytes.files.size]).toEqual([[], 0]);
    for (const call of [() => api.record(id), () => api.remove(id), () => api.tokenize(id, 'ab'), () => api.vocabulary(id)])
      expect((await refusal(call)).code).toBe('model-unknown');
  });
  it('does not remove what another tab reads', async () => {
    const locks = new TestLocks();
    const { library, bytes } = shelf({ locks });
    const api = new Files(library);
    const { models } = await api.open(gpt2Folder(), 'a');
    const id = models[0]?.id ?? '';
    expect(locks.held.size).toBe(0);
    const release = await locks.take((await api.record(id)).files[0]?.path.split('/')[0] ?? '', 'shared');
    expect((await refusal(() => api.remove(id))).code).toBe('model-busy');
    expect(await api.models()).toHaveLength(1);
    expect(bytes.files.size).toBe(1);
    release?.();
    await api.remove(id);
    expect(bytes.files.size).toBe(0);
  });
  it('sweeps leftovers, but neither what it keeps nor what another tab is writing', async () => {
    const locks = new TestLocks();
    const { library, bytes } = shelf({ locks });
    await new Files(library).open(gpt2Folder(), 'a');
    const [kept] = await bytes.folders();
    bytes.files.set('model-dead/0.safetensors', new Uint8Array(5));
    bytes.files.set('model-live/0.safetensors', new Uint8Array(5));
    await locks.take('model-live', 'exclusive');
    expect(await library.sweep()).toEqual(['model-dead']);
    expect(await bytes.folders()).toEqual([kept, 'model-live']);
  });
});

describe('an import that does not end well leaves nothing behind:', () => {
  it('cancelled midway', async () => {
    const { library, bytes } = shelf();
    const api = new Files(library);
    const seen: Progress[] = [];
    const error = await refusal(() =>
      api.open(gpt2Folder('tiny', { weights: safetensors(large()) }), 'job', (progress) => {
        seen.push(progress);
        if (progress.stage === 'copying') void api.cancel('job');
      }),
    );
    expect(error.code).toBe('cancelled');
    expect(seen.at(-1)?.done).toBeLessThan(seen.at(-1)?.of ?? 0);
    expect([await api.models(), bytes.files.size]).toEqual([[], 0]);
    expect((await api.open(gpt2Folder(), 'job')).models).toHaveLength(1);
  });
  it('cancelled at its second model: the first goes too', async () => {
    const { library, bytes } = shelf();
    const api = new Files(library);
    await api.open(gpt2Folder('before'), 'first');
    const ones = safetensors(gpt2Tensors().map((tensor) => f32(tensor.name, tensor.shape, () => 1)));
    const drop = [...gpt2Folder('known'), ...gpt2Folder('new', { weights: ones }), ...gpt2Folder('z', { weights: safetensors(large()) })];
    const error = await refusal(() =>
      api.open(drop, 'job', ({ done }) => {
        if (done > PIECE) void api.cancel('job');
      }),
    );
    expect(error.code).toBe('cancelled');
    expect((await api.models()).map((model) => model.name)).toEqual(['before']);
    expect(bytes.files.size).toBe(1);
  });
  it('with a disk that says at once that it is full', async () => {
    const { library, bytes } = shelf({ quota: 1000 });
    const error = await refusal(() => new Files(library).open(gpt2Folder(), 'job'));
    expect(error.code).toBe('storage-full');
    expect(error.message).toMatch(/: [67] kB are needed, 1 kB are free/);
    expect(bytes.files.size).toBe(0);
  });
  it('with a disk that fills up on the way', async () => {
    const { library, bytes } = shelf({ bytes: new MemoryBytes(PIECE * 1.5) });
    const api = new Files(library);
    const error = await refusal(() => api.open(gpt2Folder('tiny', { weights: safetensors(large()) }), 'job'));
    expect(error.code).toBe('storage-full');
    expect(error.message).toContain('21 MB are needed, 8.4 MB are free');
    expect([await api.models(), bytes.files.size]).toEqual([[], 0]);
  });
  it('with a file that changes while it is read', async () => {
    const { library, bytes } = shelf();
    const api = new Files(library);
    const files = gpt2Folder('tiny', { weights: safetensors(large()) });
    const file = files.find((each) => each.path.endsWith('.safetensors'))?.file;
    const slice = file?.slice.bind(file);
    if (!file || !slice) throw new Error('the test has no weights');
    file.slice = (from = 0, to = 0) => {
      if (from < PIECE) return slice(from, to);
      const gone = new Blob();
      gone.arrayBuffer = () => Promise.reject(new DOMException('The file could not be read.', 'NotReadableError'));
      return gone;
    };
    const error = await refusal(() => api.open(files, 'job'));
    expect(error.code).toBe('file-unreadable');
    expect([await api.models(), bytes.files.size]).toEqual([[], 0]);
  });
});

describe('progress', () => {
  it('counts every byte of the drop and tells the time left', async () => {
    let clock = 0;
    const seen: Progress[] = [];
    const meter = new Meter(
      'copying',
      100,
      (progress) => seen.push(progress),
      () => clock,
    );
    for (let i = 0; i < 10; i++) {
      meter.add(10);
      clock += 500;
    }
    expect(seen.map((each) => each.done)).toEqual([10, 20, 30, 40, 50, 60, 70, 80, 90, 100]);
    expect(seen[0]?.secondsLeft).toBeUndefined();
    expect(seen[5]?.secondsLeft).toBeCloseTo((40 * 2.5) / 60);
    expect(seen.at(-1)?.secondsLeft).toBe(0);
  });
  it('is told at most ten times a second, and at the end', () => {
    const seen: number[] = [];
    let clock = 0;
    const meter = new Meter(
      'copying',
      1000,
      ({ done }) => seen.push(done),
      () => clock++,
    );
    for (let i = 0; i < 1000; i++) meter.add(1);
    expect(seen.length).toBeLessThan(13);
    expect(seen.at(-1)).toBe(1000);
  });
  it('copying goes piece by piece', async () => {
    const sizes: number[] = [];
    const file = new File([new Uint8Array(PIECE + 3)], 'x');
    await copyHashed(
      file,
      'x',
      { write: (piece) => void sizes.push(piece.length), close: () => Promise.resolve() },
      new Meter('copying', file.size, undefined),
    );
    expect(sizes).toEqual([PIECE, 3]);
  });
});

describe('without OPFS', () => {
  it('models live in memory, and the shelf says so', async () => {
    const library = forgetful();
    const api = new Files(library);
    const whole = safetensors(gpt2Tensors());
    const { models } = await api.open(gpt2Folder('tiny', { weights: whole }), 'job');
    const id = models[0]?.id ?? '';
    expect((await api.models()).map((each) => each.stored)).toEqual(['memory']);
    expect((await api.status()).opfs).toBe(false);
    const record = await api.record(id);
    const reader = await openTensors(record);
    const tensor = record.tensors.find((each) => each.name === 'ln_f.weight');
    const into = new Uint8Array(tensor?.bytes ?? 0);
    await reader.read(tensor?.file ?? 0, tensor?.offset ?? 0, into);
    expect(into).toEqual(gpt2Tensors().find((each) => each.name === 'ln_f.weight')?.data);
    expect((await refusal(() => reader.read(0, whole.length - 2, new Uint8Array(4)))).code).toBe('file-truncated');
    expect((await refusal(() => reader.read(3, 0, into))).code).toBe('internal');
    reader.close();
    expect((await api.open(gpt2Folder('again'), 'job')).models[0]?.id).toBe(id);
    await api.remove(id);
    expect(await api.models()).toEqual([]);
  });
  it('records alone are no shelf: without a disk for tensors nothing is half kept', async () => {
    const { records } = shelf();
    const library = forgetful();
    await new Files(library).open(gpt2Folder(), 'job');
    expect(await records.all('models')).toEqual([]);
  });
});

describe('vectors', () => {
  const info = { name: 'cheer', at: 'blocks.3.hook_resid_pre', norm: 0 };
  it('are kept with their measured norm, the same one once', async () => {
    const api = new Files(shelf().library);
    const kept = await api.keepVector(info, Float32Array.of(3, 4));
    expect(kept).toMatchObject({ ...info, norm: 5 });
    expect((await api.keepVector(info, Float32Array.of(3, 4))).id).toBe(kept.id);
    expect((await api.keepVector({ ...info, at: 'blocks.4.hook_resid_pre' }, Float32Array.of(3, 4))).id).not.toBe(kept.id);
    expect(await api.vectors()).toHaveLength(2);
    expect((await api.vector(kept.id)).data).toEqual(Float32Array.of(3, 4));
    await api.remove(kept.id);
    expect(await api.vectors()).toHaveLength(1);
    expect((await refusal(() => api.vector(kept.id))).code).toBe('vector-unknown');
  });
  it('must be numbers', async () => {
    const api = new Files(shelf().library);
    for (const data of [new Float32Array(0), Float32Array.of(1, NaN), Float32Array.of(Infinity)])
      expect((await refusal(() => api.keepVector(info, data))).code).toBe('vector-garbage');
  });
});

it('a job’s name can be used again, and cancelling an unknown job is nothing', async () => {
  const api = new Files(shelf().library);
  await api.cancel('never');
  expect((await refusal(() => api.open([opened('x.png', 'x')], 'j'))).code).toBe('nothing-recognised');
  expect((await api.open(gpt2Folder(), 'j')).models).toHaveLength(1);
});
