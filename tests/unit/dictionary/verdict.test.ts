/** The limits of the wrong-convention warning. */
import { describe, expect, it } from 'vitest';
import type { DictionarySpec } from '../../../workers/dictionary/spec';
import { isDoubtful, verdict, type Alternative } from '../../../workers/dictionary/verdict';

const HOOK = 'blocks.1.hook_resid_post';
const SPEC: DictionarySpec = {
  kind: 'ReLU',
  activation: 'relu',
  hookIn: HOOK,
  hookOut: HOOK,
  dIn: 768,
  dOut: 768,
  latents: 24_576,
  skip: false,
  contract: {
    residual: 'raw',
    normalisation: 'none',
    scale: 1,
    subtractBDec: true,
    rescaleByDecoderNorm: false,
    reshape: 'none',
    prependBos: true,
  },
};
const now = (fvu: number, l0: number) => ({ fvu, l0, positions: 384 });
const other = (fvu: number, l0: number, rest: Partial<Alternative> = {}): Alternative => ({
  field: 'residual',
  value: 'centred',
  change: { residual: 'centred' },
  fvu,
  l0,
  ...rest,
});

describe('on its own', () => {
  it.each([
    ['as promised', { fvu: 0.1, l0: 60 }, 0.12, 70, true],
    ['worse on strange text', { fvu: 0.1, l0: 60 }, 0.24, 150, true],
    ['far worse', { fvu: 0.1, l0: 60 }, 0.26, 70, false],
    ['far denser', { l0: 60 }, 0.1, 181, false],
    ['far sparser', { l0: 60 }, 0.1, 19, false],
    ['no promise', {}, 0.49, 60, true],
    ['no promise, half unexplained', {}, 0.51, 60, false],
    ['no promise, everything active', {}, 0.1, 3700, false],
    ['no promise, nothing active', {}, 0.4, 0.9, false],
    ['not a number', {}, NaN, 60, false],
  ] as const)('%s', (_, promised, fvu, l0, ok) => {
    const found = verdict(SPEC, promised, now(fvu, l0), []);
    expect(found.ok).toBe(ok);
    expect(found.warning === undefined).toBe(ok);
    if (!ok) expect(found.warning).toContain('No single convention explains it');
  });
  it('a transcoder predicts what it does not see: more is left to it', () => {
    const spec = { ...SPEC, hookOut: 'blocks.1.hook_mlp_out' };
    expect(verdict(spec, {}, now(0.7, 60), []).ok).toBe(true);
    expect(verdict(spec, {}, now(0.8, 60), []).ok).toBe(false);
  });
  it('topk has as many as its k, however narrow it is', () => {
    const spec: DictionarySpec = { ...SPEC, activation: 'topk', k: 32, latents: 64, dIn: 32, dOut: 32 };
    expect(verdict(spec, {}, now(0.1, 32), []).ok).toBe(true);
  });
});

describe('another reading', () => {
  it('that leaves far less unexplained is named, also within the limits', () => {
    const found = verdict(SPEC, {}, now(0.3, 60), [other(0.14, 60)]);
    expect(found).toMatchObject({ ok: false, likely: [{ field: 'residual', change: { residual: 'centred' } }] });
    expect(found.warning).toContain('was trained on a centred stream');
    expect(verdict(SPEC, {}, now(0.3, 60), [other(0.19, 60)])).toEqual({ ok: true, ...now(0.3, 60) });
    // More active latents explain more anyway.
    expect(verdict(SPEC, {}, now(0.3, 60), [other(0.17, 50)]).ok).toBe(false);
    expect(verdict(SPEC, {}, now(0.3, 60), [other(0.17, 80)]).ok).toBe(true);
  });
  it('that leaves most unexplained itself explains nothing', () => {
    expect(verdict(SPEC, {}, now(8, 60), [other(1.3, 60)]).likely).toBeUndefined();
  });
  it('is not named where it makes a strange count of latents stranger', () => {
    expect(verdict(SPEC, { l0: 60 }, now(0.8, 200), [other(0.1, 400)]).likely).toBeUndefined();
  });
  it('is named where it mends the count alone', () => {
    const found = verdict(SPEC, { l0: 60 }, now(0.1, 400), [other(0.12, 70)]);
    expect(found.likely?.[0]?.value).toBe('centred');
  });
  it('the best comes first', () => {
    const better = other(0.1, 60, { field: 'subtractBDec', value: false, change: { subtractBDec: false } });
    expect(verdict(SPEC, {}, now(0.9, 60), [other(0.4, 60), better]).likely?.map(({ field }) => field)).toEqual([
      'subtractBDec',
      'residual',
    ]);
  });
});

it('is looked for from a little above the promise on', () => {
  expect(isDoubtful(SPEC, { fvu: 0.1 }, { fvu: 0.12, l0: 60 })).toBe(false);
  expect(isDoubtful(SPEC, { fvu: 0.1 }, { fvu: 0.13, l0: 60 })).toBe(true);
  expect(isDoubtful(SPEC, {}, { fvu: 0.1, l0: 60 })).toBe(false);
  expect(isDoubtful(SPEC, {}, { fvu: 0.2, l0: 60 })).toBe(true);
});
