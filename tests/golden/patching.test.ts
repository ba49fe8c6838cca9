/** Exact sweeps against TransformerLens's own patching functions on three families, to 1e-4 of the metric's scale (make_patching.py). */
import { expect, test } from 'vitest';
import type { EngineSweep } from '../../workers/contract-sweep';
import type { GridKind, Over } from '../../workers/model/causal/grid';
import { openBench } from '../support/engine';
import { loadFixture } from './fixture';
import gpt2 from './fixtures/patching/gpt2-odd.json';
import llama from './fixtures/patching/llama-gqa.json';
import toy from './fixtures/patching/toy-ln.json';

const SAME = 1e-4;

test.each([
  ['gpt2-odd', gpt2],
  ['llama-gqa', llama],
  ['toy-ln', toy],
] as const)('%s: TransformerLens’s grids', async (name, reference) => {
  const fixture = await loadFixture(name);
  const { engine, record } = await openBench(fixture.files);
  const { clean, corrupted, tokens, sides } = reference;
  const scale = Math.max(...Object.values(reference.grids).flat().map(Math.abs));
  const near = (what: string, found: number, expected: number): void =>
    expect(Math.abs(found - expected) / scale, `${what}: ${found}, not ${expected}`).toBeLessThanOrEqual(SAME);
  for (const [key, expected] of Object.entries(reference.grids)) {
    const [over, grid] = key.split('/') as [Over, GridKind];
    const request: EngineSweep = {
      pairs: [{ clean, corrupted }],
      metric: { kind: 'logit-diff', position: -1, tokens },
      edits: [],
      direction: 'denoise',
      skip: true,
      over,
      grid,
    };
    const found = await engine.sweep(request, key);
    near(`${key}, clean`, found.clean, sides[0] ?? NaN);
    near(`${key}, corrupted`, found.corrupted, sides[1] ?? NaN);
    expect(found.raw.data.length, key).toBe(expected.length);
    // TransformerLens patches masked entries too: there is nothing to patch, and the metric is the corrupted run's.
    found.raw.data.forEach((raw, i) => near(`${key} ${i}`, Number.isNaN(raw) ? found.corrupted : raw, expected[i] ?? NaN));
  }
  await engine.unload(record.id);
});
