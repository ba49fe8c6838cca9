/**
 * One meaning (DESIGN §1.4): whatever way a run is computed, the same run gives the same numbers, to 1e-5 of the row's scale,
 * from a shared prefix and a stored residual = from the start, with subgroups = without; and kernels that disagree are noticed.
 * every/meaning.ts has what is asked of every fixture.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import type { EngineEdit } from '../../workers/contract';
import { openTensors } from '../../workers/library/tensors';
import { noLocks } from '../../workers/library/locks';
import { Gpu } from '../../workers/gpu/device';
import { shaders } from '../../workers/gpu/shaders';
import { runBatch, type Sequence } from '../../workers/model/run';
import { freeModel, loadModel } from '../../workers/model/runtime';
import { firstGuess, selfTest } from '../../workers/model/variants';
import type { Variants } from '../../workers/kernels/linear';
import { generate, openBench, steps, vector, VARIANTS } from '../support/engine';
import { promptIds } from './cases';
import { compareRows, describeComparison } from './compare';
import { EVERY_FEATURE, loadFixture } from './fixture';
import { deepLayer, specOf } from './twin';

const SAME = 1e-5;

test.each(['gpt2-scaled', 'llama-bf16'] as const)('%s with subgroups: the reference’s greedy text', async (name) => {
  const fixture = await loadFixture(name);
  const bench = await openBench(fixture.files, { variants: VARIANTS[2] });
  for (const each of fixture.cases.greedy) {
    const found = await steps(bench.engine, generate(promptIds(fixture.cases, each.prompt), { tokens: each.ids.length }));
    expect(found.map((step) => step.steered.id)).toEqual(each.ids);
  }
  await bench.engine.unload(bench.record.id);
});

test('the self-test: kernels that agree pass, and one that is wrong is noticed', async () => {
  const fixture = await loadFixture('llama-gqa');
  const bench = await openBench(fixture.files);
  const gpu = await Gpu.open(navigator.gpu, shaders);
  const reader = await openTensors(bench.record, noLocks);
  const load = (variants: Variants) => loadModel({ gpu, record: bench.record, reader, use: { weights: 'stored' }, special: [], variants });
  const model = await load({ matvec: 'workgroup', matmul: 'tiled', attention: 'workgroup' });
  expect(await selfTest(model)).toBeLessThan(SAME);
  expect(model.planner.variants.matvec).toBe('workgroup');
  freeModel(model);
  // A driver that drops the reduction's last step.
  const broken = await Gpu.open(navigator.gpu, (file) => {
    const text = shaders(file);
    if (!file.startsWith('linear-tiled')) return text;
    const wrong = text.replace('for (var i = 0u; i < 4u; i++)', 'for (var i = 0u; i < 3u; i++)');
    expect(wrong).not.toBe(text);
    return wrong;
  });
  const wrong = await loadModel({
    gpu: broken,
    record: bench.record,
    reader,
    use: { weights: 'stored' },
    special: [],
    variants: { matvec: 'workgroup', matmul: 'tiled', attention: 'workgroup' },
  });
  expect(await selfTest(wrong)).toBeGreaterThan(1e-3);
  freeModel(wrong);
  reader.close();
});

describe('a batch whose rows share a prefix and start at a stored residual', () => {
  let gpu: Gpu;
  beforeAll(async () => {
    gpu = await Gpu.open(navigator.gpu, shaders);
  });
  test.each([...EVERY_FEATURE, 'toy-grok' as const])('%s: the same logits as from the start', async (name) => {
    const fixture = await loadFixture(name);
    const bench = await openBench(fixture.files);
    const reader = await openTensors(bench.record, noLocks);
    const model = await loadModel({
      gpu,
      record: bench.record,
      reader,
      use: { weights: 'stored' },
      special: [],
      variants: firstGuess(gpu),
    });
    const ids = promptIds(fixture.cases, 1);
    const width = specOf(fixture).vocabOut;
    const layer = deepLayer(fixture);
    const at = `blocks.${layer}.hook_resid_pre` as const;
    const all = ids.map((_, i) => i);
    const base: Sequence = { ids, promptLength: ids.length, edits: [], taps: [at], logits: all };
    const [whole] = await runBatch(model, [base]);
    const resid = whole?.taps[at]?.data ?? new Float32Array(0);
    const d = bench.record.info.dModel;
    // Row 1: position 3 on, from the start. Row 2: position 5 on, from layer 1's residual. Row 3: as row 2, patched.
    const from = (p: number): Float32Array => resid.slice(p * d);
    const patched = from(5);
    patched.set(vector(d, 9), 0);
    const rest = { promptLength: ids.length, edits: [], taps: [] };
    const results = await runBatch(model, [
      base,
      { ...rest, ids, logits: all.slice(3), prefix: { of: 0, length: 3 } },
      { ...rest, ids, logits: all.slice(5), prefix: { of: 0, length: 5 }, start: { layer, residual: from(5) } },
      { ...rest, ids, logits: all.slice(5), prefix: { of: 0, length: 5 }, start: { layer, residual: patched } },
    ]);
    const expected = whole?.logits ?? new Float32Array(0);
    for (const [i, first] of [
      [1, 3],
      [2, 5],
    ] as const) {
      const found = compareRows(results[i]?.logits ?? [], expected.subarray(first * width), width, SAME);
      expect(found.within, describeComparison(`row ${i}`, found)).toBe(true);
    }
    // The patched row equals a run in which that residual was replaced.
    const edit: EngineEdit = {
      kind: 'replace',
      at,
      where: [5],
      skipSpecial: false,
      strength: 1,
      enabled: true,
      value: { shape: [d], data: patched.slice(0, d) },
    };
    const [replaced] = await runBatch(model, [{ ...base, edits: [edit] }]);
    const found = compareRows(results[3]?.logits ?? [], (replaced?.logits ?? new Float32Array(0)).subarray(5 * width), width, SAME);
    expect(found.within, describeComparison('patched', found)).toBe(true);
    expect(compareRows(results[3]?.logits ?? [], expected.subarray(5 * width), width, SAME).within, 'the patch does something').toBe(false);
    // A row that enters at layer 0 is not embedded; one that stands behind it in the list is.
    const [first] = await runBatch(model, [{ ...base, taps: ['blocks.0.hook_resid_pre'] }]);
    const residual = first?.taps['blocks.0.hook_resid_pre']?.data ?? new Float32Array(0);
    for (const result of await runBatch(model, [{ ...base, start: { layer: 0, residual }, taps: [] }, base])) {
      const entered = compareRows(result.logits, expected, width, SAME);
      expect(entered.within, describeComparison('from layer 0', entered)).toBe(true);
    }
    freeModel(model);
    reader.close();
  });
});
