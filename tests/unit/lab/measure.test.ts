import { describe, expect, it } from 'vitest';
import { liveOf, moved, structureOf, type Dial } from '../../../src/lab/dial';
import { measure, niceCeil, range, share } from '../../../src/lab/measure';
import { differenceOfMeans, positionsOf } from '../../../src/lab/vectors';

const dial: Dial = {
  id: 'd',
  name: 'n',
  kind: 'add',
  vector: 'v',
  at: 'hook_embed',
  value: 2,
  strength: 1,
  enabled: true,
  scope: 'all',
  positions: [],
  skipSpecial: false,
};
// Three positions of width 2; the first is the one that is left out.
const tap = { shape: [3, 2], data: Float32Array.of(1000, 0, 3, 4, 0, 5) };
const vector = Float32Array.of(0, 2);

describe('how large an edit is', () => {
  it('against the mean norm of what it acts on, the first position left out', () => {
    const reading = measure(tap, vector);
    expect(reading).toMatchObject({ residual: 5, length: 2 });
    expect([...(reading?.along ?? [])]).toEqual([4, 5]);
    if (!reading) return;
    expect(share(dial, 1, reading)).toBeCloseTo((2 * 2) / 5);
    expect(share(dial, -0.5, reading)).toBeCloseTo((2 * 2 * 0.5) / 5);
    expect(share({ ...dial, kind: 'project', value: 0 }, 1, reading)).toBeCloseTo(4.5 / 5);
    expect(share({ ...dial, kind: 'project', value: 1 }, 1, reading)).toBe(0);
    expect(share({ ...dial, kind: 'cap', value: 4 }, 1, reading)).toBeCloseTo(0.5 / 5);
    expect(share({ ...dial, enabled: false }, 1, reading)).toBe(0);
  });

  it('is unknown where the vector does not fit', () => expect(measure(tap, Float32Array.of(1, 2, 3))).toBeUndefined());

  it('gives the slider round ends that hold its value', () => {
    expect([0.3, 1, 1.2, 4, 9, 0].map(niceCeil)).toEqual([0.5, 1, 2, 5, 10, 1]);
    expect(range({ kind: 'add', value: 70 }, measure(tap, vector))).toMatchObject({ min: -100, max: 100 });
    expect(range({ kind: 'project', value: 0 }, undefined)).toMatchObject({ min: -1, max: 1 });
  });
});

describe('dials that move', () => {
  it('tell only what changed', () => {
    const before = liveOf([dial, dial], 1);
    expect(moved(before, liveOf([dial, { ...dial, value: 3, enabled: false }], 1))).toEqual([
      { edit: 1, change: { value: 3, enabled: false } },
    ]);
    expect(moved(before, liveOf([dial, dial], 0.5))).toEqual([
      { edit: 0, change: { strength: 0.5 } },
      { edit: 1, change: { strength: 0.5 } },
    ]);
    expect(moved(before, before)).toEqual([]);
  });

  it('keep their structure; another place changes it', () => {
    expect(structureOf([dial])).toBe(structureOf([{ ...dial, value: 9, strength: 0, enabled: false, name: 'x' }]));
    expect(structureOf([dial])).not.toBe(structureOf([{ ...dial, scope: 'prompt' }]));
  });
});

describe('difference of means', () => {
  const text = (...rows: number[][]) => ({ shape: [rows.length, 2], data: Float32Array.from(rows.flat()) });

  it('counts every text once, however long it is', () => {
    const positive = [text([1, 0], [3, 0]), text([10, 10])];
    const negative = [text([0, 0])];
    expect([...differenceOfMeans(positive, negative, 'all')]).toEqual([6, 5]);
    expect([...differenceOfMeans(positive, negative, [-1])]).toEqual([6.5, 5]);
    expect([...differenceOfMeans(positive, negative, [0])]).toEqual([5.5, 5]);
  });

  it('refuses positions that are not there', () => {
    expect(positionsOf([-2, 0], 3)).toEqual([1, 0]);
    expect(() => positionsOf([3], 3)).toThrow(/no position 3/);
    expect(() => positionsOf('generated', 3)).toThrow(/generated/);
  });
});
