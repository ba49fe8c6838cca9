import { describe, expect, it } from 'vitest';
import type { Remote } from 'comlink';
import type { DictionaryInfo, ModelInfo } from '../../../workers/api';
import type { EngineApi, FilesApi } from '../../../workers/contract';
import { LabError } from '../../../workers/errors';
import { Coming } from '../../../src/lab/coming';
import { Text } from '../../../src/lab/text';
import { cut, names, neuronsOf, useDictionaries } from '../../../src/lab/use-dictionaries';

const vocabulary = { pieces: ['<s>', ' a', ' b', ' c'], special: [0], bos: 0, eos: [0], prependBos: true, chat: false };

/** Words of one letter are tokens; a BOS stands before them. */
function made(context = 4) {
  const calls: unknown[] = [];
  const note = <T>(name: string, given: unknown, answer: T): Promise<T> => (calls.push([name, given]), Promise.resolve(answer));
  const files = {
    vocabulary: () => Promise.resolve(vocabulary),
    tokenize: (_: string, text: string) =>
      Promise.resolve({ ids: [0, ...[...text].map((letter) => 'abc'.indexOf(letter) + 1)], pieces: [] }),
    overrideContract: (id: string, change: unknown) => note('override', [id, change], undefined),
    readText: (request: unknown) => note('read', request, 'r'),
    nextTokens: (_: string, tokens: number) =>
      note('next', tokens, {
        cursor: '',
        ids: Uint32Array.of(0, 1, 2, 0, 3, 1, 0, 2),
        lengths: Uint32Array.of(3, 3, 2),
        ended: false,
        skipped: 0,
        from: 0,
        to: 1,
      }),
    closeText: (id: string) => note('close', id, undefined),
    dictionaries: () => Promise.resolve([{ id: 'd' } as DictionaryInfo]),
  } as unknown as Remote<FilesApi>;
  const engine = {
    evaluate: (request: unknown) => note('evaluate', request, { scores: { l0: 3 }, density: new Float64Array(2) }),
    latent: (request: unknown) =>
      note('latent', request, {
        promoted: [{ id: 1, weight: 2 }],
        suppressed: [{ id: 3, weight: -1 }],
        neighbours: [{ latent: 4, cosine: 0.5 }],
        cosine: 0.9,
        norm: 1,
      }),
    encode: (request: unknown) => note('encode', request, { rows: [], truncated: false, errorNorm: [], inputNorm: [] }),
    cancel: (id: string) => note('cancel', id, undefined),
  } as unknown as Remote<EngineApi>;
  const model = () => ({ id: 'm', context, dVocab: 4 }) as ModelInfo;
  const lab = useDictionaries({
    engine,
    files,
    text: new Text(files, model),
    coming: new Coming(),
    model,
    edits: () => Promise.resolve([]),
    attach: (id) => note('attach', id, undefined),
    leave: (id) => note('leave', id, undefined),
    changed: () => calls.push(['changed']),
    demo: () => false,
  });
  return { calls, lab };
}
const code = (work: Promise<unknown>) =>
  work.then(String, (thrown: unknown) => (thrown instanceof LabError ? thrown.code : String(thrown)));

describe('evaluate', () => {
  it('reads each text with its BOS, in pieces that fit the context, and gives the scores', async () => {
    const { calls, lab } = made();
    expect(await lab.evaluate({ dictionary: 'd', text: ['ab', 'abcab'] })).toEqual({ l0: 3 });
    expect(calls).toEqual([
      ['attach', 'd'],
      [
        'evaluate',
        {
          dictionary: 'd',
          texts: [
            [0, 1, 2],
            [0, 1, 2, 3],
            [0, 1, 2],
          ],
          special: [0],
        },
      ],
    ]);
  });

  it('reads the beginning of an opened text, to the token, and gives densities where they are asked for', async () => {
    const { calls, lab } = made();
    expect(await lab.quality({ dictionary: 'd', text: 'text-1', tokens: 5 })).toEqual({ scores: { l0: 3 }, density: new Float32Array(2) });
    expect(calls).toEqual([
      ['attach', 'd'],
      ['read', { model: 'm', text: 'text-1', context: 4, bos: true }],
      ['next', 5],
      ['close', 'r'],
      [
        'evaluate',
        {
          dictionary: 'd',
          texts: [
            [0, 1, 2],
            [0, 3],
          ],
          special: [0],
        },
      ],
    ]);
  });

  it('refuses what is no list of texts, and stops when it is told to', async () => {
    const { calls, lab } = made();
    expect(await code(lab.evaluate({ dictionary: 'd', text: [5] as unknown as string[] }))).toBe('request-invalid');
    const stop = new AbortController();
    stop.abort();
    expect(await code(lab.evaluate({ dictionary: 'd', text: ['ab'] }, { signal: stop.signal }))).toBe('cancelled');
    expect(calls).toEqual([]);
  });
});

it('cut: every piece as the first, none too short to say anything', () => {
  expect(cut([0, 1, 2, 3], 3, 0)).toEqual([
    [0, 1, 2],
    [0, 3],
  ]);
  expect(cut([1, 2, 3], 2, 0)).toEqual([[1, 2]]);
  expect(cut([0], 4, 0)).toEqual([]);
  expect(cut([1, 2], 4, undefined)).toEqual([[1, 2]]);
});

describe('latent', () => {
  it('names the tokens', async () => {
    const { calls, lab } = made();
    expect(await lab.latent({ dictionary: 'd', latent: 7 })).toEqual({
      promoted: [{ id: 1, piece: ' a', weight: 2 }],
      suppressed: [{ id: 3, piece: ' c', weight: -1 }],
      neighbours: [{ latent: 4, cosine: 0.5 }],
      cosine: 0.9,
      norm: 1,
    });
    expect(calls).toEqual([
      ['attach', 'd'],
      ['latent', { dictionary: 'd', latent: 7, top: 10 }],
    ]);
    expect(await code(lab.latent({ dictionary: 'd', latent: 7, top: 0 }))).toBe('request-invalid');
  });
});

it('overrideContract: kept, said, and what runs on the old one ends', async () => {
  const { calls, lab } = made();
  expect(await lab.overrideContract('d', { residual: 'centred' })).toEqual({ id: 'd' });
  expect(calls).toEqual([['override', ['d', { residual: 'centred' }]], ['leave', 'd'], ['changed']]);
});

it('names: a generation needs the dictionaries that it watches and edits', () => {
  expect(names({ watch: ['d'] }, 'd')).toBe(true);
  expect(names({ edits: [{ kind: 'latent', dictionary: 'd', latent: 1, op: 'set', value: 1 }] }, 'd')).toBe(true);
  expect(names({ edits: [{ kind: 'add', vector: 'd', scale: 1 }] }, 'd')).toBe(false);
});

it('neurons of the model in use are found by their id, and only those there are', async () => {
  const engine = {
    neurons: () => Promise.resolve([{ id: 'neurons:blocks.0', hookOut: 'blocks.0.mlp.hook_post' }]),
  } as unknown as Remote<EngineApi>;
  expect(await neuronsOf(engine, 'neurons:blocks.0')).toMatchObject({ hookOut: 'blocks.0.mlp.hook_post' });
  expect(await code(neuronsOf(engine, 'neurons:blocks.1'))).toBe('dictionary-unknown');
});
