/** What Features shows of texts: lines of a concordance, densities, and the stores of passes and dashboards over a lab that answers when told. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Dashboard, DictionaryInfo, Example, Job, Lab, SurveyInfo, SurveyRequest, TextInfo } from '../../../workers/api';
import { lineOf, nearestSame, wordsOf } from '../../../src/lab/concordance';
import { Dashboards } from '../../../src/lab/dashboards.svelte';
import { densityBins, evenBars, inBin } from '../../../src/lab/densities';
import type { FeaturesStore } from '../../../src/lab/features.svelte';
import { often } from '../../../src/lab/often';
import type { PromptStore } from '../../../src/lab/prompt.svelte';
import { QualityStore } from '../../../src/lab/quality.svelte';
import type { Shelf } from '../../../src/lab/shelf.svelte';
import { Surveys } from '../../../src/lab/surveys.svelte';

const example = (values: number[], position: number): Example => ({
  sequence: 0,
  position,
  value: values[position] ?? 0,
  tokens: values.map((_, id) => ({ id, piece: id === 0 ? '<bos>' : ` w${id}` })),
  values,
});

describe('concordance', () => {
  const one = example([9, 0, 1, 4, 2, 0], 3);
  const words = wordsOf(one, 4, new Set([0]));

  it('shades by the share of the largest and leaves special tokens out', () => {
    expect(words.map((word) => word?.share)).toEqual([undefined, 0, 0.25, 1, 0.5, 0]);
  });
  it('has the peak between what stands before and after it, and says where more was cut off', () => {
    const line = lineOf(one, words, 2);
    expect([line.before.map(({ text }) => text), line.peak.text, line.after.map(({ text }) => text)]).toEqual([
      [' w1', ' w2'],
      ' w3',
      [' w4', ' w5'],
    ]);
    expect([line.cutBefore, line.cutAfter], 'a special token is nothing to be cut off').toEqual([false, false]);
    const short = lineOf(one, words, 1);
    expect([short.cutBefore, short.cutAfter]).toEqual([true, true]);
  });
  it('finds the same token nearest to where it stood', () => {
    expect(nearestSame([5, 7, 5, 5], 5, 1)).toBe(0);
    expect(nearestSame([5, 7, 7, 5], 5, 2)).toBe(3);
    expect(nearestSame([7], 5, 0)).toBeUndefined();
  });
});

describe('densities', () => {
  it('counts every latent that is not dead in one bar, and gives back which', () => {
    fc.assert(
      fc.property(fc.integer({ min: 10, max: 100_000 }), fc.array(fc.nat(1000), { maxLength: 200 }), (tokens, shares) => {
        const density = Float32Array.from(shares, (share) => Math.round((share / 1000) ** 4 * tokens) / tokens);
        const bins = densityBins(density, tokens);
        const alive = [...density.keys()].filter((latent) => (density[latent] ?? 0) > 0);
        expect(bins.flatMap((bin) => inBin(density, bin)).toSorted((a, b) => a - b)).toEqual(alive);
        for (const bin of bins) expect(inBin(density, bin)).toHaveLength(bin.count);
        bins.slice(1).forEach(({ from }, i) => expect(from).toBe(bins[i]?.to));
        expect(bins.at(-1)?.to).toBe(0);
      }),
    );
  });
  it('bars of activations stand evenly, with the empty ones between them', () => {
    const half = (k: number, count: number) => ({ from: 3 * 2 ** (k / 2), to: 3 * 2 ** ((k + 1) / 2), count });
    const bars = evenBars([half(0, 5), half(3, 2)], 8);
    expect(bars.map(({ count }) => count)).toEqual([0, 0, 5, 0, 0, 2, 0, 0]);
    bars.slice(1).forEach(({ from }, i) => expect(from).toBeCloseTo(bars[i]?.to ?? NaN, 9));
    expect(bars[2]?.from).toBe(3);
    expect(evenBars([], 8)).toEqual([]);
  });
  it('are said shortly', () => {
    expect([0, 1, 0.5, 0.0942, 0.0042, 0.000_012_3, 0.000_000_2].map(often)).toEqual([
      '0%',
      '100%',
      '50%',
      '9.4%',
      '0.42%',
      '0.0012%',
      '1 in 5,000,000',
    ]);
  });
});

const dictionary = { id: 'd', name: 'res', contract: {} } as DictionaryInfo;
const text = (id: string): TextInfo => ({ id, name: `${id}.txt`, format: 'txt', bytes: 9 });
const survey = (id: string, more: Partial<SurveyInfo> = {}): SurveyInfo => ({
  ...{ id: `s-${id}`, dictionary: 'd', text: id, name: `${id}.txt`, tokens: 100, of: 100, finished: true, sequences: 1, context: 128 },
  ...{ skipped: 0, l0: 1, l1: 1, dead: 0, dense: 0, density: new Float32Array(2), max: new Float32Array(2) },
  ...more,
});
const cancelled = () => Object.assign(new Error('cancelled'), { code: 'cancelled', hint: '' });

function made(kept: SurveyInfo[] = []) {
  const asked: SurveyRequest[] = [];
  const jobs: (Job | undefined)[] = [];
  const ends: { resolve(): void; reject(thrown: unknown): void }[] = [];
  const state = { kept };
  const lab = {
    surveys: () => Promise.resolve(state.kept),
    survey: (request: SurveyRequest, job?: Job) => {
      asked.push(request);
      jobs.push(job);
      return new Promise<void>((resolve, reject) => {
        ends.push({ resolve, reject });
        job?.signal?.addEventListener('abort', () => reject(cancelled()));
      });
    },
  } as unknown as Lab;
  const features = { working: dictionary, text: undefined as string | undefined };
  const shelf = { texts: [text('a'), text('b')] };
  const surveys = new Surveys(lab, features as unknown as FeaturesStore, shelf as unknown as Shelf);
  return { asked, jobs, ends, state, features, shelf, surveys };
}
const settled = () => new Promise((resolve) => setTimeout(resolve));

describe('passes', () => {
  it('are of the text that was chosen, else of one that was read, else of the last that came', async () => {
    const { surveys, features } = made([survey('a')]);
    expect(surveys.text?.id).toBe('b');
    const read = made([survey('a')]);
    await read.surveys.refresh();
    expect(read.surveys.text?.id).toBe('a');
    features.text = 'a';
    const given = made([survey('given-1')]);
    await given.surveys.refresh();
    expect(given.surveys.choices.map(({ id, kept }) => [id, kept])).toEqual([
      ['a', true],
      ['b', true],
      ['given-1', false],
    ]);
  });

  it('tell how far they are, keep what was read when cancelled, and go on to what was asked for', async () => {
    const { surveys, asked, jobs, state } = made();
    const reading = surveys.read();
    expect(asked).toEqual([{ dictionary: 'd', text: 'b', tokens: 1_000_000 }]);
    jobs[0]?.progress?.(0, 1_000_000, { stage: 'reading' });
    jobs[0]?.progress?.(40, 5000, { stage: 'reading', secondsLeft: 3 });
    expect(surveys.reading).toMatchObject({ done: 40, of: 5000, about: true, secondsLeft: 3 });
    expect(surveys.readingHere).toBe(true);
    await surveys.read();
    expect(asked, 'one at a time').toHaveLength(1);
    state.kept = [survey('b', { tokens: 40, of: 1_000_000, finished: false })];
    surveys.cancel();
    await reading;
    expect([surveys.reading, surveys.problem, surveys.here?.tokens]).toEqual([undefined, undefined, 40]);
    void surveys.read();
    expect(asked[1]).toEqual({ dictionary: 'd', text: 'b', tokens: 1_000_000 });
    surveys.cancel();
    await settled();
    void surveys.read(true);
    expect(asked[2]).toMatchObject({ again: true });
  });

  it('say why they failed, where they did', async () => {
    const { surveys, ends, features } = made();
    const reading = surveys.read();
    ends[0]?.reject(Object.assign(new Error('gone'), { code: 'file-gone', hint: 'Drop it again.' }));
    await reading;
    expect(surveys.problem).toMatchObject({ code: 'file-gone' });
    expect(features.text).toBeUndefined();
  });
});

describe('dashboards', () => {
  const dashboard = (latent: number): Dashboard =>
    ({ survey: 's-a', latent, density: 1, count: 1, mean: 1, max: 1, histogram: [], bins: [], coactive: [], sampled: 1 }) as Dashboard;

  function shown() {
    const asked: { latent: number; resolve(): void; reject(thrown: unknown): void; aborted: boolean }[] = [];
    const lab = {
      dashboard: ({ latent }: { latent: number }, job?: Job) =>
        new Promise((resolve, reject) => {
          const call = { latent, resolve: () => resolve(dashboard(latent)), reject, aborted: false };
          job?.signal?.addEventListener('abort', () => ((call.aborted = true), reject(cancelled())));
          asked.push(call);
        }),
      decode: (ids: number[]) => Promise.resolve(ids.join(' ')),
    } as unknown as Lab;
    const prompt = { text: 'mine', chat: { on: true }, ids: [] as number[], selected: undefined as number | undefined };
    const read = () => {
      prompt.ids = [0, ...prompt.text.split(' ').map(Number)];
      return Promise.resolve();
    };
    const store = new Dashboards(lab, Object.assign(prompt, { read }) as unknown as PromptStore);
    return { asked, prompt, store };
  }

  it('are of the latent asked for last; the work for another is called off, and what is known is not asked again', async () => {
    const { asked, store } = shown();
    void store.look(survey('a'), 1);
    const second = store.look(survey('a'), 2);
    expect(asked.map(({ aborted }) => aborted)).toEqual([true, false]);
    expect([store.busy, store.shown]).toEqual([true, undefined]);
    asked[1]?.resolve();
    await second;
    expect([store.busy, store.shown?.latent, store.problem]).toEqual([false, 2, undefined]);
    await store.look(survey('a'), 2);
    expect([asked.length, store.shown?.latent]).toEqual([2, 2]);
    void store.look(survey('a', { tokens: 200 }), 2);
    expect(asked, 'more was read').toHaveLength(3);
    await store.look(undefined, 2);
    expect([store.shown, store.busy]).toEqual([undefined, false]);
  });

  it('say why there is none', async () => {
    const { asked, store } = shown();
    const looking = store.look(survey('a'), 1);
    asked[0]?.reject(Object.assign(new Error('damaged'), { code: 'survey-damaged', hint: '' }));
    await looking;
    expect([store.problem?.code, store.busy]).toEqual(['survey-damaged', false]);
  });

  it('put an example into the prompt, its peak selected, and the prompt back', async () => {
    const { prompt, store } = shown();
    await store.open(example([9, 0, 1, 4, 2], 3), new Set([0]));
    expect([prompt.text, prompt.chat.on, prompt.selected, store.isLent]).toEqual(['1 2 3 4', false, 3, true]);
    await store.open(example([9, 3, 1], 1), new Set([0]));
    expect(prompt.text).toBe('1 2');
    store.putBack();
    expect([prompt.text, prompt.chat.on, store.isLent]).toEqual(['mine', true, false]);
    await store.open(example([9, 3, 1], 1), new Set([0]));
    prompt.text = 'edited';
    expect(store.isLent, 'what was written since is not thrown away').toBe(false);
  });
});

describe('scores', () => {
  it('are kept by dictionary, contract, text and length', async () => {
    const lab = { quality: () => Promise.resolve({ scores: { l0: 3 }, density: new Float32Array(1) }) } as unknown as Lab;
    const store = new QualityStore(lab);
    await store.measure(dictionary, 'a');
    expect(store.of(dictionary, 'a')?.scores['l0']).toBe(3);
    expect(store.of(dictionary, 'b')).toBeUndefined();
    expect(store.of({ ...dictionary, contract: { residual: 'centred' } }, 'a')).toBeUndefined();
    store.tokens = 4096;
    expect(store.of(dictionary, 'a')).toBeUndefined();
    expect(store.measuring).toBeUndefined();
  });
});
