import { describe, expect, it } from 'vitest';
import { checkOptions, yesOrNo } from '../../../src/lab/options';
import { checkedIds } from '../../../src/lab/text';
import { refusal } from '../refusal';

describe('what a script gives', () => {
  it('names options that the call knows', async () => {
    for (const good of [{}, { fold: true }, { fold: undefined, other: undefined }])
      expect(() => checkOptions('use', good, ['fold'])).not.toThrow();
    for (const bad of [null, 'fold', true, { fold: true, centre: true }])
      expect(await refusal(() => checkOptions('use', bad, ['fold']))).toMatchObject({ code: 'option-unsupported' });
  });
  it('switches with a yes or no', async () => {
    expect([true, false, undefined].map((value) => yesOrNo('fold', value))).toEqual([true, false, undefined]);
    for (const bad of [null, 0, 'no', 10n, Symbol('no'), []])
      expect(await refusal(() => yesOrNo('fold', bad))).toMatchObject({ code: 'option-unsupported' });
  });
  it('lists ids that the model has', async () => {
    expect(checkedIds([0, 9], 10)).toEqual([0, 9]);
    expect(checkedIds(Int32Array.of(3) as unknown as number[], 10)).toEqual([3]);
    expect(await refusal(() => checkedIds([10], 10))).toMatchObject({ code: 'token-range' });
    for (const bad of [() => 'the browser’s prompt', undefined, null, { length: 1 }])
      expect(await refusal(() => checkedIds(bad as unknown as number[], 10))).toMatchObject({ code: 'request-invalid' });
  });
});
