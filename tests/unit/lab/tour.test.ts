import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { firstWin, nextStop, NO_TOUR, readTour, STOPS, type Seen } from '../../../src/lab/tour';

const seen = (change: Partial<Seen>): Seen => ({ text: { tokens: 0, value: undefined }, ...change });
const [forming, copies, bent, patched] = STOPS;

describe('a prediction forms', () => {
  const tops = ['to', 'the', ' Odo', 'the', ' Odo', ' Odo'];
  const at = (layer: number, position: number): Seen => seen({ lens: { tops, last: 14, cell: { layer, position } } });
  const done = (step: number, state: Seen): boolean | undefined => forming?.steps[step]?.done(state);

  it('is done by selecting, never by itself', () => {
    expect(done(0, seen({}))).toBe(false);
    expect(done(0, seen({ lens: { tops, last: 14, cell: undefined } }))).toBe(false);
    expect(done(0, at(0, 13))).toBe(false);
    expect(done(0, at(3, 14))).toBe(false);
    expect(done(0, at(0, 14))).toBe(true);
    expect([0, 1, 2, 3, 4, 5].filter((layer) => done(1, at(layer, 14)))).toEqual([4]);
    expect(done(1, at(4, 13))).toBe(false);
  });

  it('says what was found', () => {
    expect(forming?.end(at(4, 14))).toContain('layer 3');
    expect(forming?.end(at(4, 14))).toContain('Odo');
    expect(forming?.end(seen({ lens: { tops: ['a', 'a'], last: 0, cell: undefined } }))).toContain('the embedding');
  });

  it('finds the first win in any column', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom('a', 'b'), { minLength: 1 }), (column) => {
        const win = firstWin(column);
        expect(column.slice(win).every((top) => top === column.at(-1))).toBe(true);
        if (win > 0) expect(column[win - 1]).not.toBe(column.at(-1));
      }),
    );
  });
});

describe('a story bent by a dial', () => {
  const dial = (value: number) => ({ name: 'merry − gloomy', value, from: 4, reach: 8 });
  const done = (step: number, state: Seen): boolean | undefined => bent?.steps[step]?.done(state);

  it('wants the dial turned, to either side, and a text written with it', () => {
    expect([4, 4.5, 3.5, 5, 3, -8].filter((value) => done(0, seen({ dial: dial(value) })))).toEqual([5, 3, -8]);
    expect(done(0, seen({}))).toBe(false);
    expect(done(1, seen({ dial: dial(-4), text: { tokens: 20, value: 4 } }))).toBe(false);
    expect(done(1, seen({ dial: dial(-4), text: { tokens: 2, value: -4 } }))).toBe(false);
    expect(done(1, seen({ dial: dial(-4), text: { tokens: 20, value: -4 } }))).toBe(true);
    expect(done(1, seen({ dial: dial(4), text: { tokens: 20, value: 4 } }))).toBe(false);
  });
});

describe('the head that copies names', () => {
  const heads = (change: Partial<NonNullable<Seen['heads']>>): Seen =>
    seen({ heads: { name: '4.1', looks: 0.5, answer: ' Odo', before: 0.99, after: 0.99, silenced: [], ...change } });
  const done = (step: number, state: Seen): boolean | undefined => copies?.steps[step]?.done(state);

  it('wants a head that looks at a name, and then the one without which the answer is lost', () => {
    expect(done(0, seen({}))).toBe(false);
    expect(done(0, heads({ looks: 0.1 }))).toBe(false);
    expect(done(0, heads({}))).toBe(true);
    expect(done(1, heads({ after: 0.2 })), 'nothing was silenced').toBe(false);
    expect(done(1, heads({ silenced: ['4.1'] })), 'the answer stays').toBe(false);
    expect(done(1, heads({ silenced: ['0.1'], after: 0.2 }))).toBe(true);
  });

  it('says what silencing did', () => {
    expect(copies?.steps[1]?.say(heads({}))).toContain('Head 4.1 looks at a name');
    expect(copies?.steps[1]?.say(heads({ silenced: ['4.1'] }))).toContain('Without head 4.1 it still ends with “Odo”, at 99%');
    expect(copies?.end(heads({ silenced: ['4.1', '0.1'], after: 0.2 }))).toContain('Without heads 4.1 and 0.1 “Odo” falls from 99% to 20%');
  });
});

describe('a fact from one person to another', () => {
  const patch = (change: Partial<NonNullable<Seen['patch']>>): Seen =>
    seen({ patch: { ran: true, correct: ' parrot', wrong: ' cat', dial: false, ...change } });
  const done = (step: number, state: Seen): boolean | undefined => patched?.steps[step]?.done(state);
  const cell = { layer: 3, value: 1, says: ' parrot' };

  it('wants a run, a square that carries the answer, and a dial of it', () => {
    expect(done(0, seen({}))).toBe(false);
    expect(done(0, patch({ ran: false }))).toBe(false);
    expect(done(0, patch({}))).toBe(true);
    expect(done(1, patch({}))).toBe(false);
    expect(done(1, patch({ cell: { ...cell, layer: 0 } })), 'the name itself').toBe(false);
    expect(done(1, patch({ cell: { ...cell, value: 0.3 } }))).toBe(false);
    expect(done(1, patch({ cell: { ...cell, says: ' cat' } }))).toBe(false);
    expect(done(1, patch({ cell }))).toBe(true);
    expect(done(2, patch({ cell }))).toBe(false);
    expect(done(2, patch({ cell, dial: true }))).toBe(true);
    expect(patched?.end(patch({ dial: true }))).toContain('“cat”');
  });
});

describe('where a visitor is', () => {
  it('comes back from what was kept, whatever that is', () => {
    expect(readTour(undefined)).toEqual(NO_TOUR);
    expect(readTour({ stop: 'gone', open: true, step: 4, done: ['gone', 'bent'] })).toMatchObject({ open: false, step: 0, done: ['bent'] });
    expect(readTour({ stop: 'bent', open: true, step: 1, from: 4 })).toMatchObject({ stop: 'bent', open: true, step: 1, from: 4 });
    fc.assert(fc.property(fc.anything(), (value) => void readTour(value)));
  });

  it('goes on to what was not done', () => {
    expect(nextStop([])?.id).toBe('forming');
    expect(nextStop(['forming'], 'forming')?.id).toBe('copies');
    expect(nextStop(['bent'], 'bent')?.id).toBe('patched');
    expect(nextStop(['patched', 'bent'], 'patched')?.id).toBe('forming');
    expect(nextStop(STOPS.map(({ id }) => id))).toBeUndefined();
  });

  it('every stop has a name of its own and something to do', () => {
    expect(new Set(STOPS.map(({ id }) => id)).size).toBe(STOPS.length);
    for (const { steps } of STOPS) expect(steps.length).toBeGreaterThan(0);
  });
});
