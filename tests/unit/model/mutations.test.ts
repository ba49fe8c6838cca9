/**
 * The fixtures are held to account: each mistake that a family's mapping could make moves the logits of one of that family's own
 * fixtures by at least a hundred times what an engine is allowed, with the float64 twin. Where a fixture cannot show a mistake, it is
 * said here, and why.
 */
import { describe, expect, test } from 'vitest';
import { compareRows } from '../../golden/compare';
import { FIXTURES, golden, type Fixture } from '../../golden/fixture';
import { tensorsOf } from '../../golden/twin';
import { familyOf } from '../../../workers/model/families';
import { forward } from '../../reference/forward';
import { canonicalWeights } from '../../reference/weights';
import { mutated, MUTATIONS, unscaled, type Mutation } from '../../support/mutations';
import { nodeFixture } from '../reference/node-fixture';

/** A hundred times the engine's 5e-5. */
const WIDE = 5e-3;

interface Subject {
  fixture: Fixture;
  tensors: Awaited<ReturnType<typeof tensorsOf>>;
}
const subjects: Subject[] = await Promise.all(
  FIXTURES.map(async (name) => {
    const fixture = await nodeFixture(name);
    return { fixture, tensors: await tensorsOf(fixture) };
  }),
);

/** How far a mistake moves a row of the logits of any prompt, of the row's largest. */
function moved(
  { fixture, tensors }: Subject,
  mutation: Pick<Mutation, 'spec' | 'rule' | 'weights' | 'hook'>,
  config = fixture.config,
): number {
  const family = mutated(familyOf(fixture.config), mutation);
  const spec = family.spec(config);
  const right = canonicalWeights(familyOf(fixture.config).spec(fixture.config), family, tensors);
  const weights = mutation.weights?.(right, spec) ?? right;
  const hook = mutation.hook?.(right, spec);
  return Math.max(
    ...fixture.cases.prompts.map(({ ids }, index) => {
      const expected = golden(fixture, `${index}/logits`);
      const { worst } = compareRows(forward(spec, weights, ids, hook), expected.data, spec.vocabOut, 0);
      return Number.isNaN(worst) ? Infinity : worst;
    }),
  );
}

const byFamily = new Map<string, Subject[]>();
for (const subject of subjects) {
  const { title } = familyOf(subject.fixture.config);
  byFamily.set(title, [...(byFamily.get(title) ?? []), subject]);
}

describe.each([...byFamily].map(([title, fixtures]) => ({ title, fixtures })))('$title', ({ fixtures }) => {
  const specs = fixtures.map(({ fixture }) => {
    const family = familyOf(fixture.config);
    const spec = family.spec(fixture.config);
    return { spec, rules: family.tensors(spec) };
  });
  test('no mistake: nothing moves', () => {
    for (const each of fixtures) expect(moved(each, {})).toBeLessThan(2e-7);
  });
  const table = MUTATIONS.flatMap((mutation) => {
    const able = fixtures.filter((_, i) => {
      const each = specs[i];
      return each !== undefined && mutation.applies(each.spec, each.rules);
    });
    return able.length > 0 ? [{ name: mutation.name, mutation, able }] : [];
  });
  test.each(table)('$name', ({ mutation, able }) => {
    const found = able.map((each) => moved(each, mutation));
    const told = able.map(({ fixture }, i) => `${fixture.cases.name} by ${found[i]?.toExponential(1)}`).join(', ');
    expect(Math.max(...found), told).toBeGreaterThan(mutation.least ?? WIDE);
  });
  const scaled = fixtures.flatMap((each) => {
    const config = unscaled(each.fixture.config);
    return config ? [{ name: each.fixture.cases.name, each, config }] : [];
  });
  test.each(scaled)('scaled frequencies left plain: $name', ({ each, config }) => expect(moved(each, {}, config)).toBeGreaterThan(WIDE));
});
