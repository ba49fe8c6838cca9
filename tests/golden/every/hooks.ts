/**
 * Every default hook of every fixture against PyTorch: all together (every sublayer open), and each alone (all others
 * fused). Alone only in the plain kernel variants: the others fuse in the same places. Tolerance: DESIGN §8, 5e-5 of the row's
 * largest value; open against fused 1e-5.
 */
import { beforeAll, expect, test } from 'vitest';
import { run, VARIANTS, type Bench, type Opened, type Run } from '../../support/engine';
import { promptIds } from '../cases';
import { compareRows, describeComparison } from '../compare';
import { golden, goldenHooks, type Fixture } from '../fixture';

const GOLDEN = 5e-5;
const SAME = 1e-5;
const last = (shape: readonly number[]): number => shape.at(-1) ?? 1;

export function hooks(opened: () => Opened, { variants }: Run): void {
  let fixture: Fixture;
  let bench: Bench;
  beforeAll(() => {
    ({ fixture, bench } = opened());
  });

  test('names every default hook', async () => {
    const names = (await bench.engine.hooks()).map((each) => each.name);
    expect([...names].sort()).toEqual(goldenHooks(fixture, 1).sort());
  });

  test('all hooks tapped together, all prompts in one ragged batch', async () => {
    const requests = fixture.cases.prompts.map((prompt, i) => run(prompt.ids, { taps: goldenHooks(fixture, i) }));
    const results = await bench.engine.batch(requests, 'job');
    for (const [i, result] of results.entries()) {
      for (const hook of goldenHooks(fixture, i)) {
        const expected = golden(fixture, `${i}/${hook}`);
        const actual = result.taps[hook];
        expect(actual?.shape, hook).toEqual(expected.shape);
        const found = compareRows(actual?.data ?? [], expected.data, last(expected.shape), GOLDEN);
        expect(found.within, describeComparison(`${i}/${hook}`, found)).toBe(true);
      }
      const expected = golden(fixture, `${i}/logits`);
      const found = compareRows(result.logits?.data ?? [], expected.data, last(expected.shape), GOLDEN);
      expect(found.within, describeComparison(`${i}/logits`, found)).toBe(true);
    }
  });

  if (variants === VARIANTS[0])
    test('each hook tapped alone: the same values, and the logits of an untapped run', async () => {
      const ids = promptIds(fixture.cases, 1);
      const [plain] = await bench.engine.batch([run(ids)], 'job');
      const width = plain?.logits?.shape[1] ?? 1;
      for (const hook of goldenHooks(fixture, 1)) {
        const [result] = await bench.engine.batch([run(ids, { taps: [hook] })], 'job');
        const expected = golden(fixture, `1/${hook}`);
        const found = compareRows(result?.taps[hook]?.data ?? [], expected.data, last(expected.shape), GOLDEN);
        expect(found.within, describeComparison(hook, found)).toBe(true);
        const same = compareRows(result?.logits?.data ?? [], plain?.logits?.data ?? [], width, SAME);
        expect(same.within, describeComparison(`logits beside ${hook}`, same)).toBe(true);
      }
    });
}
