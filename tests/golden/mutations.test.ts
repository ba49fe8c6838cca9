/**
 * The engine reads what its families say: a checkpoint read with a mistake in the spec or in the tensors' rules gives other logits, by a
 * hundred times the tolerance, and read rightly the reference's. tests/unit/model/mutations.test.ts has every family and every mistake.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Gpu } from '../../workers/gpu/device';
import { shaders } from '../../workers/gpu/shaders';
import { noLocks } from '../../workers/library/locks';
import { openTensors } from '../../workers/library/tensors';
import { familyOf } from '../../workers/model/families';
import { runBatch } from '../../workers/model/run';
import { freeModel, loadModel } from '../../workers/model/runtime';
import { PLAIN } from '../../workers/model/variants';
import { openBench, type Bench } from '../support/engine';
import { mutated, MUTATIONS, type Mutation } from '../support/mutations';
import { promptIds } from './cases';
import { compareRows } from './compare';
import { golden, loadFixture, type Fixture } from './fixture';

const GOLDEN = 5e-5;

describe.each(['neox-partial', 'gemma2-caps', 'phi3-fused'] as const)('%s', (name) => {
  let fixture: Fixture;
  let bench: Bench;
  let gpu: Gpu;
  beforeAll(async () => {
    fixture = await loadFixture(name);
    bench = await openBench(fixture.files);
    gpu = await Gpu.open(navigator.gpu, shaders);
  });
  afterAll(async () => {
    await bench.engine.unload(bench.record.id);
    gpu.device.destroy();
  });

  /** How far the logits of the long prompt are from the reference's, of the row's largest. */
  async function error(mutation: Pick<Mutation, 'spec' | 'rule'>): Promise<number> {
    const { record } = bench;
    const reader = await openTensors(record, noLocks);
    const model = await loadModel({
      ...{ gpu, record, reader, use: { weights: 'stored' } as const, special: [], variants: PLAIN },
      family: mutated(familyOf(record.config), mutation),
    });
    try {
      const ids = promptIds(fixture.cases, 2);
      const [result] = await runBatch(model, [{ ids, promptLength: ids.length, edits: [], taps: [], logits: ids.map((_, i) => i) }]);
      const { data, shape } = golden(fixture, '2/logits');
      return compareRows(result?.logits ?? [], data, shape[1] ?? 1, 0).worst;
    } finally {
      freeModel(model);
      reader.close();
    }
  }

  test('read rightly', async () => expect(await error({})).toBeLessThan(GOLDEN));

  test('read with any mistake that a spec or a rule can hold', async () => {
    const family = familyOf(fixture.config);
    const spec = family.spec(fixture.config);
    const able = MUTATIONS.filter((each) => (each.spec ?? each.rule) && !each.weights && !each.hook && !each.least).filter((each) =>
      each.applies(spec, family.tensors(spec)),
    );
    expect(able.length).toBeGreaterThan(7);
    for (const each of able) expect(await error(each), each.name).toBeGreaterThan(100 * GOLDEN);
  });
});
