/**
 * Edited runs against PyTorch (tests/golden/make.py hooked the same edits), and the meaning of strength: 0 is the identity
 * for every kind at every hook it was made for.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openBench, run, RUNS, type Bench } from '../support/engine';
import { engineRun, promptIds } from './cases';
import { compareRows, describeComparison } from './compare';
import { golden, loadFixture, type Fixture } from './fixture';

const GOLDEN = 5e-5;

describe.each(RUNS)('%s, %s', (name, variants) => {
  let fixture: Fixture;
  let bench: Bench;
  beforeAll(async () => {
    fixture = await loadFixture(name);
    bench = await openBench(fixture.files, { variants });
  });
  afterAll(async () => {
    await bench.engine.unload(bench.record.id);
  });

  test('every edited run of the fixture', async () => {
    expect(fixture.cases.edits.length).toBeGreaterThan(20);
    for (const each of fixture.cases.edits) {
      const [result] = await bench.engine.batch([engineRun(fixture.cases, each)], 'job');
      const expected = golden(fixture, `edit/${each.name}/logits`);
      const found = compareRows(result?.logits?.data ?? [], expected.data, expected.shape[1] ?? 1, GOLDEN);
      expect(found.within, describeComparison(each.name, found)).toBe(true);
    }
  });

  test('all edited runs in one batch: each request keeps to its own rows', async () => {
    const results = await bench.engine.batch(
      fixture.cases.edits.map((each) => engineRun(fixture.cases, each)),
      'job',
    );
    for (const [i, each] of fixture.cases.edits.entries()) {
      const expected = golden(fixture, `edit/${each.name}/logits`);
      const found = compareRows(results[i]?.logits?.data ?? [], expected.data, expected.shape[1] ?? 1, GOLDEN);
      expect(found.within, describeComparison(each.name, found)).toBe(true);
    }
  });

  test('strength 0 is the identity for every edit', async () => {
    for (const each of fixture.cases.edits) {
      const request = engineRun(fixture.cases, each);
      const still = { ...request, edits: request.edits.map((edit) => ({ ...edit, strength: 0 })) };
      const [result] = await bench.engine.batch([still], 'job');
      const [plain] = await bench.engine.batch([run(promptIds(fixture.cases, each.prompt))], 'job');
      const found = compareRows(result?.logits?.data ?? [], plain?.logits?.data ?? [], plain?.logits?.shape[1] ?? 1, 1e-5);
      expect(found.within, describeComparison(each.name, found)).toBe(true);
    }
  });
});
