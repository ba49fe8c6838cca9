/** What a generation refuses before it asks anything of a device, and how it cuts what it reads. */
import { describe, expect, it, test } from 'vitest';
import { Generation, stretches } from '../../../workers/model/generate';
import type { Runtime } from '../../../workers/model/runtime';
import { CONFIGS } from '../../support/specs';
import { familyOf } from '../../../workers/model/families';
import { generate } from '../../support/engine';
import { refusal } from '../refusal';

test('a toy that answers with more tokens than it reads writes nothing', async () => {
  const config = { ...CONFIGS['attn-only-2l'], d_vocab_out: 48263 };
  const spec = familyOf(config).spec(config);
  const model = { spec, context: spec.context } as unknown as Runtime;
  const error = await refusal(() => Generation.open(model, generate([1, 2])));
  expect(error.code).toBe('option-unsupported');
  expect(error.message).toContain('48263');
});

describe('a prefill’s rows', () => {
  const plain = { matvec: 'register', matmul: 'register', attention: 'serial' } as const;

  it('are read in one piece by kernels for many rows, and short ones by those of decoding where kernels are costly', () => {
    expect(stretches(12, 1, { ...plain, matvec: 'subgroup' })).toEqual([[0, 12]]);
    expect(stretches(12, 1, { ...plain, matmul: 'tiled' })).toEqual([[0, 12]]);
    expect(stretches(17, 1, plain)).toEqual([[0, 17]]);
    expect(stretches(2, 2, plain)).toEqual([[0, 2]]);
    expect(stretches(3, 1, plain)).toEqual([
      [0, 1],
      [1, 2],
      [2, 3],
    ]);
  });

  it('are all covered, in order, by pieces of one size', () => {
    for (let streams = 1; streams <= 3; streams++)
      for (let rows = 1; rows <= 20; rows++) {
        const cuts = stretches(rows, streams, plain);
        expect(cuts[0]?.[0]).toBe(0);
        expect(cuts.at(-1)?.[1]).toBe(rows);
        expect(new Set(cuts.map(([from, to]) => to - from)).size).toBe(1);
        cuts.forEach(([from], i) => i > 0 && expect(from).toBeLessThanOrEqual(cuts[i - 1]?.[1] ?? 0));
      }
  });
});
