/**
 * Edited runs against PyTorch (tests/golden/make.py hooked the same edits), and the meaning of strength: 0 is the identity
 * for every kind at every hook it was made for.
 */
import { beforeAll, expect, test } from 'vitest';
import { run, VARIANTS, type Bench, type Opened, type Run } from '../../support/engine';
import { engineRun } from '../cases';
import { compareRows, describeComparison } from '../compare';
import { EVERY_FEATURE, golden, type Fixture } from '../fixture';

const GOLDEN = 5e-5;

export function edits(opened: () => Opened, { name, variants }: Run): void {
  let fixture: Fixture;
  let bench: Bench;
  beforeAll(() => {
    ({ fixture, bench } = opened());
  });

  // One at a time, every sublayer that no edit asks for is fused.
  if (variants === VARIANTS[0] && EVERY_FEATURE.includes(name))
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
    expect(fixture.cases.edits.length).toBeGreaterThan(20);
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
    const requests = fixture.cases.edits.map((each) => engineRun(fixture.cases, each));
    const still = requests.map((request) => ({ ...request, edits: request.edits.map((edit) => ({ ...edit, strength: 0 })) }));
    const results = await bench.engine.batch([...still, ...requests.map(({ ids }) => run(ids))], 'job');
    for (const [i, each] of fixture.cases.edits.entries()) {
      const plain = results[still.length + i]?.logits;
      const found = compareRows(results[i]?.logits?.data ?? [], plain?.data ?? [], plain?.shape[1] ?? 1, 1e-5);
      expect(found.within, describeComparison(each.name, found)).toBe(true);
    }
  });
}
