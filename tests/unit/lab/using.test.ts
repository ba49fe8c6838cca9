import { describe, expect, it } from 'vitest';
import { atLevel, checkedUsing, levelOf, processes, readUsing, type Using } from '../../../src/lab/using';

const using = (rest: Partial<Using> = {}): Using => ({ weights: 'stored', ...rest });
const refusal = (work: () => unknown): unknown => {
  try {
    work();
  } catch (thrown) {
    return (thrown as { code: unknown }).code;
  }
  return undefined;
};

describe('how a model is used', () => {
  it('takes lab.use’s options, with every switch that was given', () => {
    expect(checkedUsing({})).toEqual(using());
    expect(checkedUsing({ weights: 'f32', fold: true, centerUnembed: false })).toEqual({
      weights: 'f32',
      fold: true,
      centerUnembed: false,
    });
    expect(checkedUsing({ weights: 'f16', fold: false })).toEqual({ weights: 'f16', fold: false });
  });

  it('refuses what it does not know, and f16 beside processing', () => {
    expect(refusal(() => checkedUsing({ weights: 'q4' }))).toBe('not-yet');
    expect(refusal(() => checkedUsing({ weights: 'f64' as 'f32' }))).toBe('option-unsupported');
    for (const wrong of ['yes', 1, null, 10n])
      expect(refusal(() => checkedUsing({ fold: wrong as unknown as boolean }))).toBe('option-unsupported');
    // Passed over, either of these would leave the weights raw without a word.
    for (const wrong of [{ centre: true }, { fold_ln: true }, null, 'fold'])
      expect(refusal(() => checkedUsing(wrong as object))).toBe('option-unsupported');
    expect(checkedUsing({ fold: true, centre: undefined } as object)).toEqual(using({ fold: true }));
    for (const some of [{ fold: true }, { center: true }, { foldLn: true }, { centerUnembed: true }])
      expect(refusal(() => checkedUsing({ weights: 'f16', ...some }))).toBe('option-unsupported');
    expect(refusal(() => checkedUsing({ weights: 'f16', fold: true, foldLn: false, foldValueBiases: false }))).toBeUndefined();
  });

  it('is one of the page’s three levels, or a script’s own', () => {
    expect(levelOf(using())).toBe('raw');
    expect(levelOf(using({ fold: true }))).toBe('folded');
    expect(levelOf(using({ foldLn: true, foldValueBiases: true }))).toBe('folded');
    expect(levelOf(using({ fold: true, center: true }))).toBe('centred');
    for (const own of [
      { center: true },
      { foldLn: true },
      { fold: true, centerUnembed: true },
      { fold: true, center: true, foldLn: false },
    ])
      expect(levelOf(using(own))).toBe('own');
    for (const level of ['raw', 'folded', 'centred'] as const) {
      expect(levelOf(atLevel('f32', level))).toBe(level);
      expect(atLevel('f16', level).weights).toBe(level === 'raw' ? 'f16' : 'stored');
      expect(checkedUsing(atLevel('f16', level))).toEqual(atLevel('f16', level));
      expect(readUsing({ ...atLevel('stored', level) })).toEqual(atLevel('stored', level));
      expect(processes(atLevel('stored', level))).toBe(level !== 'raw');
    }
  });
});
