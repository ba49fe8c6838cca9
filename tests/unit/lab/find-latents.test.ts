import { describe, expect, it } from 'vitest';
import type { Remote } from 'comlink';
import type { FindLatents, ModelInfo } from '../../../workers/api';
import type { EngineApi, FilesApi } from '../../../workers/contract';
import { LabError } from '../../../workers/errors';
import { Coming } from '../../../src/lab/coming';
import { checkedPositions, findLatents } from '../../../src/lab/find-latents';
import { Text } from '../../../src/lab/text';

const vocabulary = { pieces: ['<s>', 'a', 'b', 'c'], special: [0], bos: 0, eos: [0], prependBos: true, chat: false };
const FOUND = { latents: [{ latent: 1, score: 2 }], of: 1, truncated: false };

/** Letters are tokens; a BOS stands before them unless it is told not to. */
function made() {
  const calls: unknown[] = [];
  const note = <T>(name: string, given: unknown, answer: T): Promise<T> => (calls.push([name, given]), Promise.resolve(answer));
  const files = {
    vocabulary: () => Promise.resolve(vocabulary),
    tokenize: (_: string, text: string, bos = true) =>
      Promise.resolve({ ids: [...(bos ? [0] : []), ...[...text].map((letter) => 'abc'.indexOf(letter) + 1)], pieces: [] }),
    findLabels: (...given: unknown[]) => note('findLabels', given, FOUND),
    labels: (id: string) => note('labels', id, []),
    label: (...given: unknown[]) => note('label', given, undefined),
    openLabels: (named: { path: string }[], id: string) => note('openLabels', [named.map(({ path }) => path), id], { labels: [] }),
    exportLabels: (id: string) => note('export', id, { name: 'labels.json', text: '{}' }),
    cancel: () => Promise.resolve(),
  } as unknown as Remote<FilesApi>;
  const engine = {
    promotes: (request: unknown) => note('promotes', request, FOUND),
    contrast: (request: unknown) => note('contrast', request, FOUND),
    similar: (request: unknown) => note('similar', request, []),
    cancel: () => Promise.resolve(),
  } as unknown as Remote<EngineApi>;
  const model = () => ({ id: 'm', context: 8, dVocab: 4 }) as ModelInfo;
  const lab = findLatents({
    ...{ engine, files, model },
    text: new Text(files, model),
    coming: new Coming(),
    attach: (id) => note('attach', id, undefined),
    embeddings: () => Promise.resolve({ find: (request, labels) => note('meaning', [request, labels], FOUND) }),
    detailed: () => undefined,
    changed: (dictionaries) => calls.push(['changed', dictionaries]),
  });
  return { calls, lab };
}
const code = (work: Promise<unknown>) =>
  work.then(String, (thrown: unknown) => (thrown instanceof LabError ? thrown.code : String(thrown)));

describe('findLatents', () => {
  it('by label asks the shelf alone', async () => {
    const { calls, lab } = made();
    expect(await lab.findLatents({ dictionary: 'd', label: 'fog' })).toEqual(FOUND);
    expect(calls).toEqual([['findLabels', ['d', 'fog', 20]]]);
  });
  it('by meaning asks the encoder about the labels, and needs no dictionary on the GPU', async () => {
    const { calls, lab } = made();
    expect(await lab.findLatents({ dictionary: 'd', meaning: 'weather', embedder: 'e', top: 4 })).toEqual(FOUND);
    expect(calls).toEqual([
      ['labels', 'd'],
      ['meaning', [{ dictionary: 'd', meaning: 'weather', embedder: 'e', top: 4 }, []]],
    ]);
    expect(await code(lab.findLatents({ dictionary: 'd', meaning: ' ' }))).toBe('request-invalid');
  });
  it('by token brings the dictionary, and names the token', async () => {
    const { calls, lab } = made();
    await lab.findLatents({ dictionary: 'd', promotes: 'b', sign: -1, top: 3 });
    expect(calls).toEqual([
      ['attach', 'd'],
      ['promotes', { dictionary: 'd', token: 2, sign: -1, top: 3 }],
    ]);
    expect(await code(lab.findLatents({ dictionary: 'd', promotes: 'ab' }))).toBe('not-one-token');
  });
  it('by firing: positions as given, from the end too; else all but special ones, and those where there are no others', async () => {
    const { calls, lab } = made();
    await lab.findLatents({
      dictionary: 'd',
      here: [{ prompt: 'abc', positions: [-1, 1] }, { prompt: 'ab' }],
      not: { prompt: [0, 0] },
      each: 'mean',
    });
    expect(calls).toEqual([
      ['attach', 'd'],
      [
        'contrast',
        {
          dictionary: 'd',
          here: [
            { ids: [0, 1, 2, 3], positions: [3, 1] },
            { ids: [0, 1, 2], positions: [1, 2] },
          ],
          not: [{ ids: [0, 0], positions: [0, 1] }],
          each: 'mean',
          top: 20,
        },
      ],
    ]);
  });
  it('refuses what makes no sense, and what was stopped', async () => {
    const { calls, lab } = made();
    const ask = (request: unknown) => code(lab.findLatents({ dictionary: 'd', ...(request as object) } as FindLatents));
    for (const request of [
      {},
      { label: 5 },
      { label: 'x', top: 0 },
      { promotes: 'a', sign: 0 },
      { here: [] },
      { here: { prompt: 'a' }, each: 'max' },
      { here: { prompt: 'a', positions: [] } },
      { here: { prompt: 'a', positions: 1 } },
    ])
      expect(await ask(request), JSON.stringify(request)).toBe('request-invalid');
    expect(await ask({ here: { prompt: 'a', positions: [2] } })).toBe('position-range');
    expect(await ask({ here: { prompt: '', bos: false } })).toBe('prompt-empty');
    const stop = new AbortController();
    stop.abort();
    expect(await code(lab.findLatents({ dictionary: 'd', here: { prompt: 'a' } }, { signal: stop.signal }))).toBe('cancelled');
    expect(calls).toEqual([]);
  });
});

it('labels: written and brought in, and said so; a file goes out', async () => {
  const { calls, lab } = made();
  await lab.label({ dictionary: 'd', latent: 3, text: 'fog', note: 'n' });
  await lab.openLabels([new File(['x'], 'labels.json'), { path: 'a/b.json', file: new File(['x'], 'b.json') }], 'd');
  expect(calls).toEqual([
    ['label', ['d', 3, 'fog', 'n']],
    ['changed', ['d']],
    ['openLabels', [['labels.json', 'a/b.json'], 'd']],
    ['changed', ['d']],
  ]);
  const file = await lab.exportLabels('d');
  expect([file.name, file.type, await file.text()]).toEqual(['labels.json', 'application/json', '{}']);
});

it('similar: both dictionaries are brought, one once', async () => {
  const { calls, lab } = made();
  await lab.similar({ dictionary: 'd', latent: 1, other: 'e' });
  await lab.similar({ dictionary: 'd', latent: 1, other: 'd', top: 2 });
  expect(calls).toEqual([
    ['attach', 'd'],
    ['attach', 'e'],
    ['similar', { dictionary: 'd', latent: 1, other: 'e', top: 10 }],
    ['attach', 'd'],
    ['similar', { dictionary: 'd', latent: 1, other: 'd', top: 2 }],
  ]);
  expect(await code(lab.similar({ dictionary: 'd', latent: 1, other: 'd', top: 0 }))).toBe('request-invalid');
});

it('positions: whole, within the text', () => {
  expect(checkedPositions([0, -2, 3], 4)).toEqual([0, 2, 3]);
  for (const wrong of [4, -5, 0.5, NaN]) expect(() => checkedPositions([wrong], 4)).toThrow('outside');
});
