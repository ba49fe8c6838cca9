/** What a generation refuses before it asks anything of a device. */
import { expect, test } from 'vitest';
import { Generation } from '../../../workers/model/generate';
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
