/** The store of labels, over a lab that answers when it is told to. */
import { describe, expect, it } from 'vitest';
import type { Label } from '../../../workers/api';
import { LabError } from '../../../workers/errors';
import { LabelsStore, scored } from '../../../src/lab/labels.svelte';

const label = (latent: number, text: string, source = 'world', more: Partial<Label> = {}): Label => ({
  latent,
  text,
  source,
  madeAt: 1,
  ...more,
});

function made(first: Label[] = []) {
  const state = { kept: first, asked: 0, fails: undefined as Error | undefined };
  const waiting: (() => void)[] = [];
  const store = new LabelsStore({
    labels: async () => {
      state.asked++;
      const answer = state.kept;
      if (waiting.length) await new Promise<void>((resolve) => waiting.push(resolve));
      if (state.fails) throw state.fails;
      return answer;
    },
    label: ({ latent, text }) => {
      if (text.length > 20) return Promise.reject(new LabError('label-invalid', 'Too long.', 'Shorten it.'));
      const others = state.kept.filter((each) => each.source !== 'you' || each.latent !== latent);
      state.kept = text ? [label(latent, text, 'you'), ...others] : others;
      return Promise.resolve();
    },
  });
  return { store, state, waiting };
}

describe('labels', () => {
  it('are read once a dictionary, and again when the shelf has changed', async () => {
    const { store, state } = made([label(3, 'sea'), label(3, 'the sea', 'other'), label(5, 'fog')]);
    expect(store.any('d')).toBe(false);
    await store.show('d');
    await store.show('d');
    expect(state.asked).toBe(1);
    expect(store.text('d', 3)).toBe('sea');
    expect(store.all('d', 3)).toHaveLength(2);
    expect(store.text('d', 4)).toBeUndefined();
    expect(store.text('other', 3)).toBeUndefined();
    expect([...store.sources('d')]).toEqual([
      ['world', 2],
      ['other', 1],
    ]);
    state.kept = [];
    await store.again();
    expect(store.any('d')).toBe(false);
  });

  it('of one’s own are written and taken away, and what is refused changes nothing', async () => {
    const { store } = made([label(3, 'sea')]);
    await store.show('d');
    await store.write('d', 3, '  waves ');
    expect(store.all('d', 3).map(({ text }) => text)).toEqual(['waves', 'sea']);
    await expect(store.write('d', 3, 'x'.repeat(30))).rejects.toMatchObject({ code: 'label-invalid' });
    expect(store.text('d', 3)).toBe('waves');
    await store.write('d', 3, ' ');
    expect(store.text('d', 3)).toBe('sea');
  });

  it('a slow answer does not overtake a later one', async () => {
    const { store, state, waiting } = made([label(1, 'old')]);
    waiting.push(() => undefined);
    const slow = store.show('d');
    state.kept = [label(1, 'new')];
    const later = store.again();
    waiting[2]?.();
    await later;
    expect(store.text('d', 1)).toBe('new');
    waiting[1]?.();
    await slow;
    expect(store.text('d', 1)).toBe('new');
  });

  it('a dictionary that is gone has none; after a failure they are asked for again', async () => {
    const { store, state } = made([label(1, 'sea')]);
    await store.show('d');
    state.fails = new Error('no disk');
    await store.again();
    expect(store.text('d', 1), 'what is in sight stays').toBe('sea');
    state.fails = undefined;
    await store.show('d');
    expect(state.asked).toBe(3);
    state.fails = new LabError('dictionary-unknown', 'gone', '');
    await store.again();
    expect(store.any('d')).toBe(false);
  });

  it('name the dials of latents, and say how they were scored', async () => {
    const { store } = made([label(12, 'person: Mara')]);
    await store.show('d');
    expect(store.matching('d', 'MARA')).toEqual(['person: Mara · latent 12']);
    expect([...store.matching('d', 'fog'), ...store.matching(undefined, '')]).toEqual([]);
    const latent = { dictionary: 'd', latent: 12, op: 'set' as const };
    expect(store.dialName({ name: 'latent 12 · res', latent })).toBe('person: Mara · latent 12');
    expect(store.dialName({ name: 'latent 13 · res', latent: { ...latent, latent: 13 } })).toBe('latent 13 · res');
    expect(store.dialName({ name: 'merry − gloomy' })).toBe('merry − gloomy');
    expect(scored(label(1, 'x'))).toBe('');
    expect(scored(label(1, 'x', 'w', { score: 0.966, scoreName: 'F1' }))).toBe('F1 0.97');
    expect(scored(label(1, 'x', 'w', { score: 0.5, scoreName: 'eleuther_recall · gpt-4o-mini' }))).toBe('eleuther_recall 0.50');
  });
});
