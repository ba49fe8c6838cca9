/**
 * Gradients of a metric at every hook of every fixture against PyTorch's autograd (make_gradients.py), and of two fixtures under every edited run. A row is held to
 * 5e-5 of its largest value, or of a hundredth of the hook's largest where it is smaller: a row that hardly matters (a query whose softmax cannot move) is a remainder
 * of what cancelled and has no scale of its own. At hook_scale a row is one number, a sum over d_model that may cancel to nothing, so a column of positions is the row.
 * PyTorch's own float32 is within the same bound by the same measure, which make_gradients.py asserts.
 */
import { beforeAll, expect, test } from 'vitest';
import { VARIANTS, type Bench, type Opened, type Run } from '../../support/engine';
import { engineRun, promptIds } from '../cases';
import { loadGradients, type Fixture, type GoldenGradients } from '../fixture';

const GOLDEN = 5e-5;
const FLOOR = 1e-2;

/** The worst error of any row, over its scale. */
export function worstRow(actual: ArrayLike<number>, expected: ArrayLike<number>, width: number): { worst: number; row: number } {
  let most = 0;
  for (let i = 0; i < expected.length; i++) most = Math.max(most, Math.abs(expected[i] ?? NaN));
  let [worst, row] = [actual.length === expected.length ? 0 : Infinity, -1];
  for (let start = 0; start < expected.length; start += width) {
    let [scale, error] = [FLOOR * most, 0];
    for (let i = start; i < start + width; i++) {
      scale = Math.max(scale, Math.abs(expected[i] ?? NaN));
      error = Math.max(error, Math.abs((actual[i] ?? NaN) - (expected[i] ?? NaN)));
    }
    if (!(error / (scale || 1) <= worst)) [worst, row] = [error / (scale || 1), start / width];
  }
  return { worst, row };
}

export function gradients(opened: () => Opened, { name, variants }: Run): void {
  if (variants !== VARIANTS[0]) return;
  let fixture: Fixture;
  let bench: Bench;
  let reference: GoldenGradients;
  beforeAll(async () => {
    ({ fixture, bench } = opened());
    reference = await loadGradients(name);
  });
  const metric = (token: number) => ({ kind: 'log-prob' as const, position: -1, tokens: [token] });

  test('at every hook, as PyTorch', async () => {
    const { tensors, prompt, token } = reference;
    const ids = promptIds(fixture.cases, prompt);
    const at = (await bench.engine.hooks()).map((hook) => hook.name);
    expect([...tensors.keys()].sort()).toEqual([...at].sort());
    const [found = {}] = await bench.engine.gradient([{ ids, promptLength: ids.length, edits: [], metric: metric(token) }], at, 'job');
    const far: string[] = [];
    let most = 0;
    for (const [hook, expected] of tensors) {
      const actual = found[hook];
      expect(actual?.shape, hook).toEqual(expected.shape);
      const width = hook.endsWith('hook_scale') ? expected.data.length : (expected.shape.at(-1) ?? 1);
      const { worst, row } = worstRow(actual?.data ?? [], expected.data, width);
      most = Math.max(most, worst);
      if (!(worst <= GOLDEN)) far.push(`${hook}: ${worst.toExponential(1)} in row ${row}`);
    }
    console.log(`${name}: gradients within ${most.toExponential(1)}`);
    expect(far).toEqual([]);
  });

  test('through every edit, as PyTorch', async () => {
    const far: string[] = [];
    const cases = [...reference.edits].flatMap(([key, each]) => {
      const golden = fixture.cases.edits.find((other) => other.name === key);
      return golden ? [{ ...each, golden }] : [];
    });
    expect(cases.length).toBe(reference.edits.size);
    if (cases.length === 0) return;
    const requests = cases.map(({ golden, token }) => ({ ...engineRun(fixture.cases, golden), metric: metric(token) }));
    const found = await bench.engine.gradient(requests, ['hook_embed'], 'job');
    cases.forEach(({ golden, expected }, i) => {
      const { worst, row } = worstRow(found[i]?.['hook_embed']?.data ?? [], expected.data, expected.shape.at(-1) ?? 1);
      if (!(worst <= GOLDEN)) far.push(`${golden.name}: ${worst.toExponential(1)} in row ${row}`);
    });
    expect(far).toEqual([]);
  });
}
