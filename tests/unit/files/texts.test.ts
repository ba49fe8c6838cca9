/** Texts and surveys on the shelf: dropped beside models or alone, read in chunks from any place on, gone with what they are of. */
import { describe, expect, it } from 'vitest';
import type { SurveyRecord, TokenChunk } from '../../../workers/contract';
import { Files } from '../../../workers/files';
import { READERS, saelens } from '../formats/dictionaries/dropped';
import { forgetful, shelf, TestLocks } from '../library/memory-bytes';
import { refusal } from '../refusal';
import { gpt2Folder, opened } from '../safetensors-writer';

const STORY = 'ab ba\nabba '.repeat(9);

async function setting(parts: Parameters<typeof shelf>[0] = {}) {
  const made = shelf(parts);
  const api = new Files(made.library, READERS);
  const found = await api.open([...gpt2Folder('tiny'), ...saelens(), opened('story.txt', STORY)], 'job');
  const [model, dictionary, text] = [found.models[0]?.id ?? '', found.dictionaries[0]?.id ?? '', found.texts[0]?.id ?? ''];
  return { ...made, api, found, model, dictionary, text };
}

type Setting = Awaited<ReturnType<typeof setting>>;
async function keep(
  { api, model, dictionary, text }: Setting,
  change: Partial<SurveyRecord> = {},
  state = 'what it needs',
): Promise<string> {
  const { spec } = await api.dictionary(dictionary);
  const key = { model, dictionary, text, context: 8, under: JSON.stringify({ spec }), ...change };
  const id = change.id ?? (await api.surveyId(key));
  const numbers = { tokens: 5, sequences: 1, l0: 1, l1: 2, dead: 0, dense: 0, density: new Float32Array(5), max: new Float32Array(5) };
  await api.keepSurvey({ ...numbers, ...key, id, name: 'story.txt', ended: false, asked: 9, skipped: 0 }, new Blob([state]));
  return id;
}

describe('texts on the shelf', () => {
  it('come beside models and dictionaries or alone, once, and say what they are', async () => {
    const { api, found } = await setting();
    expect([found.models.length, found.dictionaries.length, found.ignored]).toEqual([1, 1, []]);
    expect(found.texts).toEqual([{ id: found.texts[0]?.id, name: 'story.txt', format: 'txt', bytes: STORY.length }]);
    const { texts, models } = await api.open([opened('b.json', '["x", {"text": "y"}]'), opened('again.txt', STORY)], 'job');
    expect(models).toEqual([]);
    expect(texts.map(({ name, documents }) => [name, documents])).toEqual([
      ['b.json', 2],
      ['story.txt', undefined],
    ]);
    expect(await api.texts()).toHaveLength(2);
  });

  it('a text that is none keeps the whole drop out', async () => {
    const { library, bytes } = shelf();
    const api = new Files(library, READERS);
    const error = await refusal(() => api.open([...gpt2Folder('tiny'), opened('a.jsonl', '{"text":'), opened('b.txt', '')], 'job'));
    expect(error.causes.map((each) => each.code)).toEqual(['text-garbage', 'text-empty']);
    expect([await api.models(), await api.texts(), bytes.files.size]).toEqual([[], [], 0]);
  });

  it('are removed with their bytes, but not while they are read', async () => {
    const { api, text, model, bytes } = await setting({ locks: new TestLocks() });
    const before = bytes.files.size;
    const reading = await api.readText({ model, text, context: 8, bos: true });
    expect((await refusal(() => api.remove(text))).code).toBe('model-busy');
    await api.closeText(reading);
    await api.remove(text);
    expect([await api.texts(), bytes.files.size]).toEqual([[], before - 1]);
    expect((await refusal(() => api.textOf(text))).code).toBe('text-unknown');
  });

  it('live in memory where there is no disk', async () => {
    const api = new Files(forgetful(), READERS);
    const { models, texts } = await api.open([...gpt2Folder('tiny'), opened('story.txt', STORY)], 'job');
    const reading = await api.readText({ model: models[0]?.id ?? '', text: texts[0]?.id ?? '', context: 8, bos: false });
    expect((await api.nextTokens(reading, 1)).ids.length).toBeGreaterThan(0);
  });
});

describe('read as sequences', () => {
  const chunks = async ({ api, model }: Setting, text: string | string[], bos: boolean, cursor?: string): Promise<TokenChunk[]> => {
    const reading = await api.readText({ model, text, context: 6, bos, ...(cursor && { cursor }) });
    const all: TokenChunk[] = [];
    do all.push(await api.nextTokens(reading, 1));
    while (!all.at(-1)?.ended);
    await api.closeText(reading);
    return all;
  };
  const flat = (all: TokenChunk[]) => all.flatMap(({ ids }) => [...ids]);

  it('holds every token of the text in order, cut to the context, each with its BOS where one is wanted', async () => {
    const here = await setting();
    const { ids } = await here.api.tokenize(here.model, STORY, false);
    const { bos } = await here.api.vocabulary(here.model);
    expect(bos).toBeDefined();
    const bare = await chunks(here, here.text, false);
    expect(flat(bare)).toEqual(ids);
    expect(bare.flatMap(({ lengths }) => [...lengths]).every((length) => length > 0 && length <= 6)).toBe(true);
    let at = 0;
    const all = flat(await chunks(here, here.text, true));
    for (const length of (await chunks(here, here.text, true)).flatMap(({ lengths }) => [...lengths])) {
      expect(all[at]).toBe(bos);
      at += length;
    }
    expect(all.filter((each) => each !== bos)).toEqual(ids.filter((each) => each !== bos));
  });

  it('goes on at any chunk’s cursor', async () => {
    const here = await setting();
    const texts = ['ab', 'abba '.repeat(9000), 'ba'];
    const whole = await chunks(here, texts, true);
    expect(whole.length).toBeGreaterThan(3);
    for (const [i, { cursor }] of whole.entries()) expect(flat(await chunks(here, texts, true, cursor))).toEqual(flat(whole.slice(i)));
  });

  it('knows texts that are given by what they say', async () => {
    const { api } = await setting();
    const { id, name } = await api.textOf(['  Once upon\n a time there was a mill at the river', 'b']);
    expect(name).toBe('Once upon a time there was a mil… +1');
    expect((await api.textOf(['x'])).id).not.toBe(id);
  });
});

describe('surveys', () => {
  it('are kept over what was kept before, and read back', async () => {
    const here = await setting();
    const id = await keep(here, {}, 'first');
    const files = here.bytes.files.size;
    expect(await keep(here, { tokens: 7 }, 'second')).toBe(id);
    expect(here.bytes.files.size).toBe(files);
    const kept = await here.api.survey(id);
    expect([kept?.record.tokens, await kept?.state.text()]).toEqual([7, 'second']);
    expect((await here.api.surveys(here.dictionary)).map((each) => each.id)).toEqual([id]);
    expect(await here.library.sweep()).toEqual([]);
  });

  it('under another contract are others, in whose place they come', async () => {
    const here = await setting();
    const before = await keep(here);
    const another = await keep(here, { context: 16 });
    await here.api.overrideContract(here.dictionary, { residual: 'centred' });
    expect(await here.api.surveys()).toEqual([]);
    const after = await keep(here);
    expect(after).not.toBe(before);
    expect((await here.api.surveys()).map(({ id }) => id)).toEqual([after]);
    expect([await here.api.survey(before), (await here.api.survey(another))?.record.context]).toEqual([undefined, 16]);
  });

  it('the newest first', async () => {
    const here = await setting();
    const ids = [await keep(here), await keep(here, { context: 16 }), await keep(here, { context: 9 })];
    await keep(here);
    expect((await here.api.surveys()).map(({ id }) => id)).toEqual([ids[0], ids[2], ids[1]]);
  });

  it.each(['model', 'dictionary', 'text'] as const)('go with their %s, and are not kept once it is gone', async (what) => {
    const here = await setting();
    const id = await keep(here);
    const other = await here.api.open([opened('other.txt', 'abab')], 'job');
    const spared = what === 'text' ? await keep(here, { text: other.texts[0]?.id ?? '' }) : undefined;
    const { spec } = await here.api.dictionary(here.dictionary);
    await here.api.remove(here[what]);
    expect(await here.api.survey(id)).toBeUndefined();
    if (spared !== undefined) expect(await here.api.survey(spared)).toBeDefined();
    const folders = await here.bytes.folders();
    await here.api.keepSurvey(
      {
        ...{ id, model: here.model, dictionary: here.dictionary, text: here.text, context: 8, under: JSON.stringify({ spec }), name: '' },
        ...{ tokens: 1, sequences: 1, l0: 0, l1: 0, dead: 0, dense: 0, density: new Float32Array(5), max: new Float32Array(5) },
        ...{ ended: false, asked: 1, skipped: 0 },
      },
      new Blob(['late']),
    );
    expect(await here.api.survey(id)).toBeUndefined();
    expect(await here.bytes.folders()).toEqual(folders);
  });

  it('are forgotten alone', async () => {
    const here = await setting();
    const files = here.bytes.files.size;
    const id = await keep(here);
    await here.api.remove(id);
    expect([await here.api.survey(id), here.bytes.files.size]).toEqual([undefined, files]);
    expect(await here.api.texts()).toHaveLength(1);
  });
});
