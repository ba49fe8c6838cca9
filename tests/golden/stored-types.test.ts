/** Weights run in another type than they are stored in. */
import { expect, test } from 'vitest';
import { openBench, run } from '../support/engine';
import { promptIds } from './cases';
import { compareRows, describeComparison } from './compare';
import { loadFixture } from './fixture';

test('16-bit weights run as f32 give the same numbers; f32 run as f16 gives near ones, and says so', async () => {
  for (const name of ['gpt2-scaled', 'llama-bf16', 'gpt2-odd'] as const) {
    const fixture = await loadFixture(name);
    const ids = promptIds(fixture.cases, 1);
    const stored = await openBench(fixture.files);
    const [first] = await stored.engine.batch([run(ids)], 'job');
    const width = stored.record.info.dVocab;
    for (const weights of ['f32', 'f16'] as const) {
      const info = await stored.engine.use(stored.record, { weights }, [], 'use');
      expect(info.weights).toBe(weights);
      expect(info.badge).toContain(weights);
      const [again] = await stored.engine.batch([run(ids)], 'job');
      const found = compareRows(again?.logits?.data ?? [], first?.logits?.data ?? [], width, weights === 'f32' ? 1e-5 : 2e-2);
      expect(found.within, describeComparison(`${name} as ${weights}`, found)).toBe(true);
    }
    await stored.engine.unload(stored.record.id);
  }
});
