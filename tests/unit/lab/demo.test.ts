import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { ModelInfo, Opened } from '../../../workers/api';
import { DemoWorld, DICTIONARIES, DICTIONARY_FILES, MODEL_FILES, readState, TEXTS } from '../../../src/lab/demo';
import { LabError } from '../../../workers/errors';
import { refusal } from '../refusal';

const opened = (...ids: string[]): Opened => ({
  models: ids.map((id) => ({ id }) as ModelInfo),
  dictionaries: [],
  vectors: [],
  texts: [],
  labels: [],
  embedders: [],
  ignored: [],
});

function storage() {
  const kept = new Map<string, string>();
  return { kept, getItem: (key: string) => kept.get(key) ?? null, setItem: (key: string, value: string) => void kept.set(key, value) };
}

let asked: string[] = [];
let answer: (url: string) => Promise<Response>;
beforeEach(() => {
  asked = [];
  answer = () => Promise.resolve(new Response('{}'));
  vi.stubGlobal('document', { baseURI: 'http://a.test/sub/' });
  vi.stubGlobal('fetch', (url: URL) => {
    asked.push(url.href);
    return answer(url.href);
  });
});
afterEach(() => void vi.unstubAllGlobals());

describe('the demo world', () => {
  it('fetches its four files once, beside the page, however often it is asked', async () => {
    const demo = new DemoWorld(storage());
    void demo.fetch();
    const model = await demo.shelve((files) => {
      expect(files.map(({ path }) => path)).toEqual(MODEL_FILES.map((name) => `Lanternwick/${name}`));
      return Promise.resolve(opened('m'));
    });
    expect(asked.sort()).toEqual([...MODEL_FILES].sort().map((name) => `http://a.test/sub/demo/lanternwick/${name}`));
    expect(demo.isDemo(model)).toBe(true);
    expect(demo.isDemo({ id: 'other' })).toBe(false);
    expect(demo.isDemo(undefined)).toBe(false);
  });

  it('remembers that it was removed, and forgets it when it is asked for again', async () => {
    const kept = storage();
    const demo = new DemoWorld(kept);
    await demo.shelve(() => Promise.resolve(opened('m')));
    demo.removed('another');
    expect(new DemoWorld(kept).state.removed).toBe(false);
    demo.removed('m');
    expect(new DemoWorld(kept).state).toMatchObject({ model: 'm', removed: true });
    await demo.shelve(() => Promise.resolve(opened('m')));
    expect(new DemoWorld(kept).state).toMatchObject({ model: 'm', removed: false, vectors: false, dictionaries: false });
  });

  it('has its vectors fetched once, and not for a model that is not there', async () => {
    const kept = storage();
    const demo = new DemoWorld(kept);
    expect(await demo.vectors()).toBeUndefined();
    await demo.shelve(() => Promise.resolve(opened('m')));
    expect((await demo.vectors())?.path).toBe('demo/vectors.safetensors');
    demo.vectorsKept();
    expect(await demo.vectors()).toBeUndefined();
    expect(await new DemoWorld(kept).vectors()).toBeUndefined();
  });

  it('puts its dictionaries on the shelf once, whole, by the import given, and never again what was removed', async () => {
    const kept = storage();
    const demo = new DemoWorld(kept);
    const opens: string[][] = [];
    const open = (files: { path: string }[]) => Promise.resolve(void opens.push(files.map(({ path }) => path)));
    await demo.follow(open);
    expect(opens, 'no model is there').toEqual([]);
    await demo.shelve(() => Promise.resolve(opened('m')));
    await Promise.all([demo.follow(open), demo.follow(open)]);
    const paths = DICTIONARIES.flatMap((folder) => DICTIONARY_FILES.map((file) => `${folder}/${file}`));
    expect(opens).toEqual([[...paths, TEXTS.name]]);
    expect(asked.slice(-paths.length - 1)).toEqual(
      [...paths.map((path) => `dictionaries/${path}`), 'texts.txt'].map((path) => `http://a.test/sub/demo/${path}`),
    );
    await new DemoWorld(kept).follow(open);
    demo.removed('m');
    await new DemoWorld(kept).follow(open);
    expect(opens).toHaveLength(1);
    await demo.shelve(() => Promise.resolve(opened('m')));
    await demo.follow(open);
    expect(opens, 'asked for again, it comes whole').toHaveLength(2);
  });

  it('has dictionaries that could not be put on the shelf come another time', async () => {
    const demo = new DemoWorld(storage());
    await demo.shelve(() => Promise.resolve(opened('m')));
    expect((await refusal(() => demo.follow(() => Promise.reject(new LabError('storage-full', 'Full.', 'Make room.'))))).code).toBe(
      'storage-full',
    );
    expect(demo.state.dictionaries).toBe(false);
    await demo.follow(() => Promise.resolve());
    expect(demo.state.dictionaries).toBe(true);
  });

  it('says what is wrong, and can be asked again', async () => {
    const demo = new DemoWorld(storage());
    answer = () => Promise.resolve(new Response('', { status: 404 }));
    expect((await refusal(() => demo.fetch())).code).toBe('demo-missing');
    answer = () => Promise.reject(new TypeError('Failed to fetch'));
    expect((await refusal(() => demo.fetch())).code).toBe('demo-unreachable');
    answer = () => Promise.resolve(new Response('{}'));
    expect((await demo.fetch()).length).toBe(4);
    expect((await refusal(() => demo.shelve(() => Promise.resolve(opened())))).code).toBe('demo-missing');
  });

  it('reads back whatever was kept', () => {
    for (const json of [null, '', '[]', 'null', '7', '{"removed":1,"model":3}', '{'])
      expect(readState(json)).toEqual({ removed: false, vectors: false, dictionaries: false });
  });
});
