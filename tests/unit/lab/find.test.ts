/** What is asked of the lab when a latent is looked for, and which answer stays. */
import { describe, expect, it } from 'vitest';
import type { FindLatents, FoundLatents, Job, Lab } from '../../../workers/api';
import { LabError } from '../../../workers/errors';
import { widthInWords } from '../../../src/lab/beside.svelte';
import { FindStore } from '../../../src/lab/find.svelte';

const answer = (latent: number): FoundLatents => ({ latents: [{ latent, score: 1 }], of: 1, truncated: false });

function made(tokens: Record<string, number> = {}) {
  const asked: FindLatents[] = [];
  const held: { go: () => void; job: Job | undefined }[] = [];
  const state = { hold: false, encoders: [] as { id: string; name: string }[] };
  const lab = {
    findLatents: async (request: FindLatents, job?: Job) => {
      asked.push(request);
      const latent = asked.length;
      if (state.hold) await new Promise<void>((go) => held.push({ go, job }));
      if (job?.signal?.aborted) throw new LabError('cancelled', 'Cancelled.', '');
      return answer(latent);
    },
    token: (text: string) => {
      const id = tokens[text];
      if (id === undefined) return Promise.reject(new LabError('not-one-token', `${text} is several.`, ''));
      return Promise.resolve({ id, piece: text });
    },
    embedders: () => Promise.resolve(state.encoders),
    tokenize: (text: string) => Promise.resolve({ ids: [], pieces: text.split(/(?= )/) }),
  } as unknown as Lab;
  const features = { working: { id: 'd' } as { id: string } | undefined, position: 2 };
  const prompt = { text: 'the sea', ids: [0, 5, 6, 7], chatting: false };
  const find = new FindStore(lab, { special: new Set([0]) }, features, prompt);
  return { find, asked, held, state, features, prompt };
}

describe('looking for a latent', () => {
  it('by label; nothing typed asks nothing and shows nothing', async () => {
    const { find, asked } = made();
    await find.run();
    expect(asked).toEqual([]);
    find.label = 'sea';
    await find.run();
    expect(asked).toEqual([{ dictionary: 'd', label: 'sea', top: 20 }]);
    expect(find.result?.latents).toEqual([{ latent: 1, score: 1 }]);
    find.mode = 'token';
    expect(find.result, 'of the search in sight only').toBeUndefined();
    find.mode = 'label';
    find.label = ' ';
    await find.run();
    expect(find.result).toBeUndefined();
  });

  it('by a token: with its leading space first, else as typed; what is none shows what it is made of', async () => {
    const { find, asked } = made({ ' sea': 9, sea: 8, '!': 3 });
    find.mode = 'token';
    find.token = 'sea';
    find.sign = -1;
    await find.run();
    find.token = '!';
    await find.run();
    expect(asked.map((each) => 'promotes' in each && [each.promotes, each.sign])).toEqual([
      [9, -1],
      [3, -1],
    ]);
    expect(find.result?.token).toEqual({ piece: '!', sign: -1 });
    find.token = 'sea side';
    await find.run();
    expect(find.problem).toMatchObject({ code: 'not-one-token', message: ' sea side is several.' });
    expect(find.pieces).toEqual([' sea', ' side']);
    expect(find.result).toBeUndefined();
    find.token = 'sea';
    await find.run();
    expect([find.problem, find.pieces]).toEqual([undefined, []]);
  });

  it('by where it fires: the selected token against the rest, special ones apart; or two texts', async () => {
    const { find, asked, prompt } = made();
    find.mode = 'where';
    await find.run();
    expect(asked[0]).toEqual({
      dictionary: 'd',
      here: { prompt: prompt.ids, positions: [2] },
      not: { prompt: prompt.ids, positions: [1, 3] },
      top: 20,
    });
    expect(find.result?.each).toBe('min');
    find.by = 'texts';
    await find.run();
    expect(asked[1]).toEqual({ dictionary: 'd', here: { prompt: 'the sea' }, each: 'mean', top: 20 });
    find.here = 'a boat';
    find.not = 'a house';
    await find.run();
    expect(asked[2]).toMatchObject({ here: { prompt: 'a boat' }, not: { prompt: 'a house' } });
  });

  it('a later search calls off an earlier one, whose answer is not shown', async () => {
    const { find, held, state } = made();
    state.hold = true;
    find.label = 'sea';
    const first = find.run();
    const second = find.run();
    expect(held[0]?.job?.signal?.aborted).toBe(true);
    held[1]?.go();
    await second;
    expect(find.result?.latents[0]?.latent).toBe(2);
    held[0]?.go();
    await first;
    expect(find.result?.latents[0]?.latent).toBe(2);
    expect([find.busy, find.problem]).toEqual([false, undefined]);
  });

  it('cancelled, it rests, and that is no error', async () => {
    const { find, held, state } = made();
    state.hold = true;
    find.label = 'sea';
    const run = find.run();
    expect(find.busy).toBe(true);
    find.cancel();
    held[0]?.go();
    await run;
    expect([find.busy, find.problem, find.result]).toEqual([false, undefined, undefined]);
  });

  it('another dictionary’s answer is not this one’s', async () => {
    const { find, features } = made();
    find.label = 'sea';
    await find.run();
    features.working = { id: 'other' };
    find.mode = 'token';
    find.mode = 'label';
    expect(find.result).toBeUndefined();
  });

  it('by meaning only where there is an encoder', async () => {
    const { find, asked, state } = made();
    await find.lookForEncoders();
    expect(find.encoders).toEqual([]);
    find.mode = 'meaning';
    find.meaning = 'water';
    await find.run();
    expect(asked).toEqual([]);
    state.encoders = [{ id: 'e', name: 'mini' }];
    await find.lookForEncoders();
    await find.run();
    expect(asked).toEqual([{ dictionary: 'd', meaning: 'water', top: 20 }]);
  });
});

it('how wide a dictionary is against another, in words', () => {
  expect(widthInWords(384, 96)).toBe('4 times as wide');
  expect(widthInWords(96, 384)).toBe('4 times narrower');
  expect(widthInWords(24_576, 16_384)).toBe('1.5 times as wide');
  expect(widthInWords(1_000_000, 24_576)).toBe('41 times as wide');
  expect(widthInWords(8, 8)).toBe('as wide');
});
