/**
 * The float64 twin and PyTorch agree: every hook of every prompt, every edited run, the log-probs and the greedy text.
 * The references are float32 roundings of float64 values (at most 6e-8 off), hence the bound of 2e-7 a row.
 */
import { describe, expect, test } from 'vitest';
import { windowOf } from '../../../workers/model/spec';
import { describeComparison, compareRows } from '../../golden/compare';
import { engineRun, promptIds } from '../../golden/cases';
import { FIXTURES, golden, goldenHooks } from '../../golden/fixture';
import { at } from '../../reference/array';
import { editHook } from '../../reference/edits';
import { forward, record } from '../../reference/forward';
import { logSoftmax, topK } from '../../reference/softmax';
import { twin } from './node-fixture';

const TOLERANCE = 2e-7;

function expectRows(name: string, actual: ArrayLike<number>, expected: { shape: number[]; data: Float32Array }, shape: readonly number[]) {
  expect(shape, name).toEqual(expected.shape);
  const found = compareRows(actual, expected.data, at(expected.shape, expected.shape.length - 1), TOLERANCE);
  expect(found.within, describeComparison(name, found)).toBe(true);
}

describe.each(FIXTURES)('%s', async (name) => {
  const { fixture, spec, weights } = await twin(name);
  const { cases } = fixture;
  const vocab = spec.vocabOut;
  const special = new Set(cases.special);
  const runs = new Map<string, ReturnType<typeof record>>();
  const unedited = (ids: readonly number[]) => {
    const known = runs.get(ids.join()) ?? record(spec, weights, ids);
    runs.set(ids.join(), known);
    return known;
  };

  test.each(cases.prompts.map((prompt, index) => ({ index, ids: prompt.ids })))(
    'every hook of prompt $index ($ids.length tokens)',
    ({ index, ids }) => {
      const seen = unedited(ids);
      expect([...seen.keys()].sort()).toEqual(goldenHooks(fixture, index).sort());
      for (const [hook, { data, shape }] of seen) expectRows(`${index}/${hook}`, data, golden(fixture, `${index}/${hook}`), shape);
      const logits = forward(spec, weights, ids);
      expectRows(`${index}/logits`, logits, golden(fixture, `${index}/logits`), [ids.length, vocab]);
      const prompt = cases.prompts[index];
      ids.forEach((_, t) => {
        const row = logits.subarray(t * vocab, (t + 1) * vocab);
        expect(topK(row, 1)[0]).toBe(prompt?.argmax[t]);
        const next = ids[t + 1];
        if (next !== undefined) expect(at(logSoftmax(row), next)).toBeCloseTo(at(prompt?.nextLogProbs ?? [], t), 10);
      });
    },
  );

  test.each(cases.edits.map((each) => ({ each, title: each.name })))('edited run $title', ({ each }) => {
    const run = engineRun(cases, each);
    const hook = editHook(run.edits, {
      ids: run.ids,
      promptLength: run.promptLength,
      special,
      window: (layer) => windowOf(spec, layer),
      unedited: (ids, hookName) => {
        const found = unedited(ids).get(hookName);
        if (!found) throw new Error(`no hook ${hookName}`);
        return found;
      },
    });
    const logits = forward(spec, weights, run.ids, hook);
    expectRows(each.name, logits, golden(fixture, `edit/${each.name}/logits`), [run.ids.length, vocab]);
    // A fair reference of an edit is far from the unedited run: the bound above could not be met by doing nothing.
    const clean = golden(fixture, `${each.prompt}/logits`);
    expect(compareRows(clean.data, logits, vocab, 0).worst).toBeGreaterThan(1e-3);
  });

  test('greedy continuations', () => {
    for (const continuation of cases.greedy) {
      const start = promptIds(cases, continuation.prompt);
      const ids = [...start, ...continuation.ids];
      const logits = forward(spec, weights, ids.slice(0, -1));
      const greedy = ids.slice(0, -1).map((_, t) => topK(logits.subarray(t * vocab, (t + 1) * vocab), 1)[0]);
      expect(greedy.slice(start.length - 1)).toEqual(continuation.ids);
    }
  });
});
