import { describe, expect, it } from 'vitest';
import { Files } from '../../../workers/files';
import { DATABASE_VERSION, upgrade } from '../../../workers/library/records';
import { openTensors } from '../../../workers/library/tensors';
import { CFG, M, READERS, saelens, STANDARD, turned, vector, without, matrix } from '../formats/dictionaries/dropped';
import { forgetful, MemoryBytes, shelf, TestLocks } from '../library/memory-bytes';
import { refusal } from '../refusal';
import { f32, gpt2Folder, opened, safetensors } from '../safetensors-writer';

/** Of the tiny GPT-2's width, 6, at its second block. */
const fitting = (hook = 'blocks.1.hook_resid_pre', folder = 'dict') =>
  saelens({
    folder,
    cfg: { d_in: 6 },
    metadata: { hook_name: hook },
    tensors: [turned('W_enc', M, 6), matrix('W_dec', M, 6), vector('b_enc', M), vector('b_dec', 6)],
  });
const NAN = [...without(STANDARD, 'b_dec'), f32('b_dec', [3], () => NaN)];

describe('dictionaries on the shelf', () => {
  it('are kept beside models, in one drop, and fit those that have their hook as wide', async () => {
    const api = new Files(shelf().library, READERS);
    const { models, dictionaries, ignored } = await api.open([...gpt2Folder('tiny'), ...fitting(), ...saelens({ folder: 'other' })], 'job');
    expect(models).toHaveLength(1);
    expect(dictionaries.map(({ name, fits }) => [name, fits])).toEqual([
      ['dict', [models[0]?.id]],
      ['other', []],
    ]);
    expect(ignored).toEqual([]);
    expect(await api.dictionaries()).toEqual(dictionaries);
    expect((await api.dictionary(dictionaries[0]?.id ?? '')).stored).toBe('opfs');
  });
  it('fit by their hooks’ widths: heads of z side by side, hooks that the model has', async () => {
    const api = new Files(shelf().library, READERS);
    await api.open(gpt2Folder('tiny'), 'model');
    const fits = async (hook: string): Promise<number> => (await api.open(fitting(hook), hook)).dictionaries[0]?.fits.length ?? NaN;
    expect(await fits('blocks.1.attn.hook_z')).toBe(1);
    expect(await fits('blocks.1.hook_mlp_out')).toBe(1);
    expect(await fits('blocks.2.hook_resid_pre')).toBe(0);
    expect(await fits('blocks.1.mlp.hook_post')).toBe(0);
  });
  it('show their contract, flat', async () => {
    const api = new Files(shelf().library, READERS);
    const { dictionaries } = await api.open(saelens({ cfg: { architecture: 'topk', k: 2 } }), 'job');
    expect(dictionaries[0]?.contract).toEqual({
      residual: 'raw',
      normalisation: 'none',
      scale: 1,
      subtractBDec: true,
      rescaleByDecoderNorm: false,
      reshape: 'none',
      prependBos: true,
      normGain: false,
      k: 2,
      format: 'SAELens',
      model: 'pythia-70m',
    });
  });
  it('are one where they are dropped twice, under any name', async () => {
    const { library, bytes } = shelf();
    const api = new Files(library, READERS);
    const first = await api.open(saelens({ folder: 'one' }), 'a');
    const used = bytes.used;
    const second = await api.open(saelens({ folder: 'two' }), 'b');
    expect(second.dictionaries).toEqual(first.dictionaries);
    expect(bytes.used).toBe(used);
    expect((await api.open([...saelens({ folder: 'x' }), ...saelens({ folder: 'y' })], 'c')).dictionaries).toHaveLength(1);
    // The same weights under another contract are another dictionary.
    const other = await api.open(saelens({ cfg: { apply_b_dec_to_input: false } }), 'd');
    expect(other.dictionaries[0]?.id).not.toBe(first.dictionaries[0]?.id);
  });
  it('are removed with their bytes, but not while they are read', async () => {
    const locks = new TestLocks();
    const { library, bytes } = shelf({ locks });
    const api = new Files(library, READERS);
    const { dictionaries } = await api.open(saelens(), 'a');
    const id = dictionaries[0]?.id ?? '';
    const release = await locks.take((await api.dictionary(id)).files[0]?.path.split('/')[0] ?? '', 'shared');
    expect(await refusal(() => api.remove(id))).toMatchObject({
      code: 'model-busy',
      message: expect.stringContaining('dictionary') as unknown,
    });
    release?.();
    await api.remove(id);
    expect([await api.dictionaries(), bytes.files.size]).toEqual([[], 0]);
    expect((await refusal(() => api.dictionary(id))).code).toBe('dictionary-unknown');
  });
  it('are not swept away', async () => {
    const { library, bytes } = shelf();
    const api = new Files(library, READERS);
    await api.open([...gpt2Folder(), ...saelens()], 'a');
    bytes.files.set('dictionary-dead/0.safetensors', new Uint8Array(5));
    expect(await library.sweep()).toEqual(['dictionary-dead']);
    expect(await bytes.folders()).toHaveLength(2);
  });
  it('live in memory where there is no disk', async () => {
    const api = new Files(forgetful(), READERS);
    const { dictionaries } = await api.open(saelens(), 'a');
    const record = await api.dictionary(dictionaries[0]?.id ?? '');
    expect(record.stored).toBe('memory');
    const reader = await openTensors(record);
    const tensor = record.tensors.find((each) => each.name === 'b_enc');
    const into = new Uint8Array(tensor?.bytes ?? 0);
    await reader.read(0, tensor?.offset ?? 0, into);
    expect([...new Float32Array(into.buffer)]).toEqual([30, 31, 32, 33, 34]);
    reader.close();
    await api.remove(record.id);
    expect(await api.dictionaries()).toEqual([]);
  });
});

describe('all or nothing:', () => {
  it('a faulty dictionary keeps everything out, every reason told', async () => {
    const { library, bytes } = shelf();
    const api = new Files(library, READERS);
    const error = await refusal(() =>
      api.open(
        [
          ...gpt2Folder('good'),
          ...gpt2Folder('bad', { config: { model_type: 'mamba' } }),
          ...saelens({ folder: 'a', cfg: { architecture: 'temporal' } }),
          ...saelens({ folder: 'b', tensors: without(STANDARD, 'b_enc') }),
        ],
        'job',
      ),
    );
    expect(error.code).toBe('open-failed');
    expect(error.causes.map((cause) => cause.code).sort()).toEqual(['dictionary-unsupported', 'family-unknown', 'tensor-missing']);
    expect([await api.models(), await api.dictionaries(), bytes.files.size]).toEqual([[], [], 0]);
  });
  it('numbers that are none, found while it is converted, take everything back', async () => {
    const { library, bytes } = shelf();
    const api = new Files(library, READERS);
    await api.open(saelens({ folder: 'before' }), 'first');
    const before = [...bytes.files.keys()];
    const error = await refusal(() => api.open([...gpt2Folder(), ...fitting(), ...saelens({ folder: 'nan', tensors: NAN })], 'job'));
    expect(error.code).toBe('tensor-not-finite');
    expect([...bytes.files.keys()]).toEqual(before);
    expect([await api.models(), (await api.dictionaries()).length]).toEqual([[], 1]);
  });
  it('a full disk is told before, or on the way', async () => {
    const told = new Files(shelf({ quota: 300 }).library, READERS);
    expect((await refusal(() => told.open(saelens(), 'a'))).code).toBe('storage-full');
    const { library, bytes } = shelf({ bytes: new MemoryBytes(300) });
    expect((await refusal(() => new Files(library, READERS).open(saelens(), 'a'))).code).toBe('storage-full');
    expect(bytes.files.size).toBe(0);
  });
  it('what is no model and no dictionary says so', async () => {
    const error = await refusal(() => new Files(shelf().library, READERS).open([opened('cat.png', 'x')], 'a'));
    expect([error.code, error.message]).toEqual(['nothing-recognised', expect.stringContaining('or a dictionary')]);
  });
  it('loose files of a model and a dictionary are told apart', async () => {
    const api = new Files(shelf().library, READERS);
    const files = [...gpt2Folder(''), opened('cfg.json', CFG), opened('sae_weights.safetensors', safetensors(STANDARD))];
    const { models, dictionaries } = await api.open(files, 'a');
    expect([models.length, dictionaries.length]).toEqual([1, 1]);
  });
});

describe('a contract', () => {
  const one = async (cfg: object = {}): Promise<{ api: Files; id: string }> => {
    const api = new Files(shelf().library, READERS);
    const { dictionaries } = await api.open(saelens({ cfg }), 'a');
    return { api, id: dictionaries[0]?.id ?? '' };
  };
  it('is overridden, and stays so, also when the same is dropped again', async () => {
    const { api, id } = await one();
    const record = await api.overrideContract(id, { residual: 'centred', normalisation: 'scale', scale: 0.5 });
    expect(record.spec.contract).toMatchObject({ residual: 'centred', normalisation: 'scale', scale: 0.5, subtractBDec: true });
    expect((await api.open(saelens(), 'b')).dictionaries[0]).toMatchObject({ id, contract: { residual: 'centred', scale: 0.5 } });
    expect((await api.overrideContract(id, { normalisation: 'none' })).spec.contract).toMatchObject({ residual: 'centred', scale: 1 });
    expect((await refusal(() => api.overrideContract('dictionary-x', {}))).code).toBe('dictionary-unknown');
  });
  it('remembers what the file says of what was overridden, and goes back to it', async () => {
    const { api, id } = await one();
    const said = async () => (await api.dictionaries()).find((each) => each.id === id)?.fileSays;
    expect(await said()).toBeUndefined();
    await api.overrideContract(id, { residual: 'centred', normalisation: 'scale', scale: 0.5 });
    await api.overrideContract(id, { subtractBDec: false });
    expect(await said()).toEqual({ residual: 'raw', normalisation: 'none', scale: 1, subtractBDec: true });
    await api.overrideContract(id, { residual: 'raw' });
    expect(await said()).toEqual({ normalisation: 'none', scale: 1, subtractBDec: true });
    await api.overrideContract(id, (await said()) ?? {});
    expect(await said()).toBeUndefined();
  });
  it.each([
    [{ residual: 'folded' }],
    [{ normalisation: 'batch' }],
    [{ scale: 2 }],
    [{ normalisation: 'scale', scale: 0 }],
    [{ normalisation: 'scale', scale: NaN }],
    [{ subtractBDec: 1 }],
    [{ reshape: 'hook_z' }],
    [{ normGain: true }],
    [{ gain: true }],
    [null],
  ])('%o is refused', async (change) => {
    const { api, id } = await one();
    const error = await refusal(() => api.overrideContract(id, change as never));
    expect(error.code).toBe('contract-invalid');
    expect((await api.dictionary(id)).spec.contract.scale).toBe(1);
  });
});

describe('the database', () => {
  const made = (...there: string[]): string[] => {
    const names: string[] = [];
    upgrade({ objectStoreNames: { contains: (name) => there.includes(name) }, createObjectStore: (name) => names.push(name) });
    return names;
  };
  it('gains the stores that it has not, what it keeps untouched', () => {
    expect(DATABASE_VERSION).toBe(6);
    expect(made()).toEqual(['models', 'vectors', 'dictionaries', 'embedders', 'labels', 'texts', 'surveys', 'lenses']);
    expect(made('models', 'vectors')).toEqual(['dictionaries', 'embedders', 'labels', 'texts', 'surveys', 'lenses']);
    expect(made('models', 'vectors', 'dictionaries', 'labels', 'texts', 'surveys', 'lenses')).toEqual(['embedders']);
    expect(made('models', 'vectors', 'dictionaries', 'embedders', 'labels', 'texts', 'surveys', 'lenses')).toEqual([]);
  });
});
