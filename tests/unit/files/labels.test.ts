import { describe, expect, it } from 'vitest';
import type { Label } from '../../../workers/api';
import type { OpenedFile } from '../../../workers/contract';
import { Files } from '../../../workers/files';
import { searchLabels } from '../../../workers/library/labels';
import { MemoryRecords } from '../../../workers/library/records';
import { M, READERS, saelens, STANDARD, without } from '../formats/dictionaries/dropped';
import { forgetful, shelf } from '../library/memory-bytes';
import { refusal } from '../refusal';
import { gpt2Folder, opened } from '../safetensors-writer';

const json = (path: string, value: unknown): OpenedFile => opened(path, JSON.stringify(value));
const own = (path: string, labels: Record<number, string>, more: Record<string, unknown> = {}): OpenedFile =>
  json(path, { source: 'truth', ...more, labels: Object.entries(labels).map(([latent, label]) => ({ latent: Number(latent), label })) });
const neuronpedia = (path: string, labels: Record<number, string>, more: Record<string, unknown> = {}): OpenedFile =>
  json(
    path,
    Object.entries(labels).map(([index, description]) => ({
      ...{ modelId: 'gpt2-small', layer: '1-res-jb', index, description, explanationModelName: 'm', typeName: 't' },
      ...more,
    })),
  );
/** Dictionaries that differ in more than their names, of layer `layer`. */
const dictionary = (folder: string, layer = 1, metadata: Record<string, unknown> = {}): OpenedFile[] =>
  saelens({ folder, metadata: { hook_name: `blocks.${layer}.hook_resid_pre`, ...metadata } });
const made = () => {
  const { library, bytes, records } = shelf();
  return { api: new Files(library, READERS), bytes, records };
};
const texts = (labels: readonly Label[]): string[] => labels.map(({ latent, text, source }) => `${latent} ${text} (${source})`);

describe('labels', () => {
  it('come with their dictionary, from its folder, and are told', async () => {
    const { api } = made();
    const { dictionaries, labels, ignored } = await api.open([...dictionary('d'), own('d/labels.json', { 2: 'fog', 0: 'mist' })], 'job');
    const id = dictionaries[0]?.id ?? '';
    expect(labels).toEqual([{ dictionary: id, count: 2, source: 'truth' }]);
    expect(ignored).toEqual([]);
    expect(texts(await api.labels(id))).toEqual(['0 mist (truth)', '2 fog (truth)']);
    expect(Math.abs(((await api.labels(id))[0]?.madeAt ?? 0) - Date.now())).toBeLessThan(60_000);
  });
  it('stay when the dictionary is dropped again, gain what comes later, and go with it', async () => {
    const { api, records } = made();
    const { dictionaries } = await api.open([...dictionary('d'), own('d/labels.json', { 2: 'fog' })], 'a');
    const id = dictionaries[0]?.id ?? '';
    await api.label(id, 1, 'mine');
    await api.open(dictionary('d'), 'b');
    expect(texts(await api.labels(id))).toEqual(['1 mine (you)', '2 fog (truth)']);
    await api.open([...dictionary('d'), own('d/labels.json', { 2: 'haze', 3: 'rain' })], 'c');
    expect(texts(await api.labels(id))).toEqual(['1 mine (you)', '2 haze (truth)', '3 rain (truth)']);
    await api.remove(id);
    expect(await records.all('labels')).toEqual([]);
    expect((await refusal(() => api.labels(id))).code).toBe('dictionary-unknown');
  });
  it('are kept in memory with a dictionary that is', async () => {
    const api = new Files(forgetful(), READERS);
    const { dictionaries } = await api.open([...dictionary('d'), own('d/labels.json', { 2: 'fog' })], 'a');
    const id = dictionaries[0]?.id ?? '';
    await api.label(id, 2, 'mine');
    expect(texts(await api.labels(id))).toEqual(['2 mine (you)', '2 fog (truth)']);
  });
  it('of a person: one a latent, first, taken away by an empty text, checked', async () => {
    const { api } = made();
    const { dictionaries } = await api.open([...dictionary('d'), own('d/labels.json', { 2: 'fog' })], 'a');
    const id = dictionaries[0]?.id ?? '';
    await api.label(id, 2, 'first', 'a note');
    await api.label(id, 2, '  second ');
    expect(texts(await api.labels(id))).toEqual(['2 second (you)', '2 fog (truth)']);
    await api.label(id, 2, ' ');
    expect(texts(await api.labels(id))).toEqual(['2 fog (truth)']);
    for (const latent of [M, -1, 0.5, NaN, '1' as unknown as number])
      expect((await refusal(() => api.label(id, latent, 'x'))).code).toBe('latent-range');
    for (const text of [5 as unknown as string, 'x'.repeat(10_001)])
      expect((await refusal(() => api.label(id, 1, text))).code).toBe('request-invalid');
    expect((await refusal(() => api.label('nobody', 1, 'x'))).code).toBe('dictionary-unknown');
    await Promise.all([0, 1, 2, 3, 4].map((latent) => api.label(id, latent, `at once ${latent}`)));
    expect((await api.labels(id)).filter(({ source }) => source === 'you')).toHaveLength(5);
  });
  it('of a person leave and come back as they were; what was written since stays, and theirs beside it', async () => {
    const { api } = made();
    const { dictionaries } = await api.open([...dictionary('d'), own('d/labels.json', { 2: 'fog' })], 'a');
    const id = dictionaries[0]?.id ?? '';
    await api.label(id, 3, 'mine', 'because');
    await api.label(id, 1, 'also mine');
    const { name, text } = await api.exportLabels(id);
    expect(name).toBe('labels.json');
    for (const latent of [1, 3]) await api.label(id, latent, '');
    await api.label(id, 3, 'newer');
    const { labels } = await api.open([opened('Downloads/labels.json', text)], 'b');
    expect(labels).toEqual([{ dictionary: id, count: 2, source: 'you' }]);
    expect(texts(await api.labels(id))).toEqual(['1 also mine (you)', '2 fog (truth)', '3 newer (you)', '3 mine (you, from a file)']);
    expect((await api.labels(id)).at(-1)?.note).toBe('because');
  });
});

describe('whose labels', () => {
  const ids = async (api: Files): Promise<Record<string, string>> =>
    Object.fromEntries((await api.dictionaries()).map(({ name, id }) => [name, id]));

  it('are told by Neuronpedia’s id, that the dictionary’s own file gives', async () => {
    const { api } = made();
    await api.open([...dictionary('a', 1, { neuronpedia_id: 'gpt2-small/1-res-jb' }), ...dictionary('b', 1)], 'job');
    const { labels } = await api.open([neuronpedia('anything.json', { 1: 'fog' })], 'b');
    const all = await ids(api);
    expect(labels).toEqual([{ dictionary: all['gpt2-small/1-res-jb'], count: 1, source: 'Neuronpedia · m · t' }]);
    expect((await api.dictionary(all['gpt2-small/1-res-jb'] ?? '')).neuronpedia).toBe('gpt2-small/1-res-jb');
  });
  it('are told by the folder, the nearest', async () => {
    const { api } = made();
    const path = 'set/inner/gpt2-small/9-res-jb/explanations.json';
    const files = [...dictionary('set'), ...dictionary('set/inner', 2), neuronpedia(path, { 1: 'fog' }, { layer: '9-res-jb' })];
    const { labels } = await api.open(files, 'job');
    expect(labels.map(({ dictionary: id }) => id)).toEqual([(await ids(api))['set/inner']]);
  });
  it('are told by the only dictionary that has the layer and the place, and enough latents', async () => {
    const { api } = made();
    await api.open([...dictionary('one', 1), ...dictionary('two', 2)], 'job');
    const all = await ids(api);
    expect((await api.open([neuronpedia('x.json', { 4: 'fog' }, { layer: '2-res-jb' })], 'a')).labels[0]?.dictionary).toBe(all['two']);
    for (const layer of ['3-res-jb', '2-att-kk', '2-mlp-oai', '2-transcoder-x'])
      expect((await refusal(() => api.open([neuronpedia('x.json', { 4: 'fog' }, { layer })], layer))).code).toBe('labels-whose');
    expect((await refusal(() => api.open([neuronpedia('x.json', { [M]: 'fog' }, { layer: '2-res-jb' })], 'b'))).code).toBe('labels-whose');
    expect((await refusal(() => api.open([own('labels.json', { 1: 'fog' })], 'c'))).code).toBe('labels-whose');
    await api.remove(all['one'] ?? '');
    expect((await api.open([own('labels.json', { 1: 'fog' })], 'd')).labels[0]?.dictionary).toBe(all['two']);
  });
  it('are not those of a dictionary that Neuronpedia knows by another id', async () => {
    const { api } = made();
    await api.open(dictionary('a', 1, { neuronpedia_id: 'gpt2-small/1-res-other' }), 'job');
    expect((await refusal(() => api.open([neuronpedia('x.json', { 1: 'fog' })], 'b'))).code).toBe('labels-whose');
  });
  it('are what the caller says; labels of several dictionaries cannot be of one', async () => {
    const { api } = made();
    await api.open([...dictionary('one', 1), ...dictionary('two', 2)], 'job');
    const two = (await ids(api))['two'] ?? '';
    const { labels, ignored } = await api.openLabels([neuronpedia('x.json', { 1: 'fog' }), opened('README.md', 'hello')], two, 'a');
    expect(labels).toEqual([{ dictionary: two, count: 1, source: 'Neuronpedia · m · t' }]);
    expect(ignored.map(({ file }) => file)).toEqual(['README.md']);
    const both = [neuronpedia('x.json', { 1: 'a' }), neuronpedia('y.json', { 1: 'b' }, { layer: '2-res-jb' })];
    expect((await refusal(() => api.openLabels(both, two, 'b'))).code).toBe('labels-whose');
    expect((await refusal(() => api.openLabels([opened('README.md', 'hello')], two, 'c'))).code).toBe('nothing-recognised');
    expect((await refusal(() => api.openLabels(both, 'nobody', 'd'))).code).toBe('dictionary-unknown');
    expect((await refusal(() => api.openLabels([own('labels.json', { [M]: 'x' })], two, 'e'))).code).toBe('latent-range');
  });
});

describe('all or nothing:', () => {
  it('a latent that the dictionary has not keeps everything out, its line named', async () => {
    const { api, bytes, records } = made();
    const error = await refusal(() => api.open([...dictionary('d'), own('d/labels.json', { 0: 'mist', [M]: 'fog' })], 'job'));
    expect(error).toMatchObject({ code: 'latent-range', message: expect.stringContaining('d/labels.json, label 2,') as unknown });
    expect([await api.dictionaries(), bytes.files.size, await records.all('labels')]).toEqual([[], 0, []]);
  });
  it('what is wrong with dictionaries and labels is told together', async () => {
    const { api } = made();
    const error = await refusal(() =>
      api.open(
        [
          ...gpt2Folder('good'),
          ...saelens({ folder: 'bad', tensors: without(STANDARD, 'b_enc') }),
          own('bad/labels.json', { 0: 'fog' }, { source: 5 }),
        ],
        'job',
      ),
    );
    expect(error.causes.map(({ code }) => code).sort()).toEqual(['labels-garbage', 'tensor-missing']);
    expect(await api.models()).toEqual([]);
  });
  it('a disk that fails half-way puts the labels of before back', async () => {
    const records = new MemoryRecords();
    const { library } = shelf({ records });
    const api = new Files(library, READERS);
    const { dictionaries } = await api.open([...dictionary('one', 1), ...dictionary('two', 2), own('one/labels.json', { 1: 'old' })], 'a');
    const [one = '', two = ''] = dictionaries.map(({ id }) => id);
    const put = records.put.bind(records);
    records.put = (kind, record) => (record.id === two ? Promise.reject(new Error('disk')) : put(kind, record));
    const again = [
      ...dictionary('one', 1),
      ...dictionary('two', 2),
      own('one/labels.json', { 1: 'new' }),
      own('two/labels.json', { 1: 'new' }),
    ];
    await expect(api.open(again, 'b')).rejects.toThrow('disk');
    expect(texts(await api.labels(one))).toEqual(['1 old (truth)']);
    expect(texts(await api.labels(two))).toEqual([]);
    expect(await api.dictionaries()).toHaveLength(2);
  });
});

describe('search by label', () => {
  const label = (latent: number, text: string, more: Partial<Label> = {}): Label => ({ latent, text, source: 's', madeAt: 0, ...more });
  const found = (labels: Label[], query: string, top = 20): number[] =>
    searchLabels(labels, query, top).latents.map(({ latent }) => latent);

  it('finds labels that hold all the words, whatever their case, accents and order', () => {
    const labels = [label(0, 'Café at NIGHT'), label(1, 'night'), label(2, 'cafes by night'), label(3, 'ﬁre'), label(4, 'Ångström')];
    expect(found(labels, 'night CAFE')).toEqual([0, 2]);
    expect(found(labels, 'café')).toEqual([0, 2]);
    expect(found(labels, 'fire')).toEqual([3]);
    expect(found(labels, 'angstrom')).toEqual([4]);
    expect(found(labels, 'cafe day')).toEqual([]);
  });
  it('ranks own labels first, then words that stand whole, then the score; each latent once', () => {
    const labels = [
      label(0, 'fogs'),
      label(1, 'fog', { score: 0.2 }),
      label(2, 'fog', { score: 0.9 }),
      label(3, 'befogged', { source: 'you' }),
      label(2, 'fog bank', { source: 'other' }),
      label(5, 'a fog'),
    ];
    expect(found(labels, 'fog')).toEqual([3, 2, 1, 5, 0]);
    expect(searchLabels(labels, 'fog', 2)).toMatchObject({ of: 5, truncated: false, latents: [{ latent: 3, score: 0 }, { score: 1 }] });
    expect(searchLabels(labels, 'fog', 9).latents[1]?.label?.text).toBe('fog');
  });
  it('asks for a word', async () => {
    expect((await refusal(() => searchLabels([], ' \n', 5))).code).toBe('request-invalid');
  });
});
