/**
 * What is read off the logits, against float64: the logit lens (top tokens, entropy, KL to the final, rank and probability of
 * a tracked token), the loss, the first k, and the choice of `skipSpecial`.
 */
import { beforeAll, expect, test } from 'vitest';
import { lensLayers } from '../../../workers/model/lens';
import type { ModelSpec } from '../../../workers/model/spec';
import { at } from '../../reference/array';
import { readStream } from '../../reference/forward';
import { entropy, kl, logSoftmax, rank, topK } from '../../reference/softmax';
import type { Weights } from '../../reference/weights';
import { add, run, vector, type Bench, type Opened } from '../../support/engine';
import { promptIds } from '../cases';
import { compareRows, describeComparison } from '../compare';
import { golden, type Fixture } from '../fixture';
import { twinOf } from '../twin';

export function readouts(opened: () => Opened): void {
  let fixture: Fixture;
  let bench: Bench;
  let spec: ModelSpec;
  let weights: Weights;
  beforeAll(async () => {
    ({ fixture, bench } = opened());
    ({ spec, weights } = await twinOf(fixture));
  });

  test('the logit lens at every layer and position', async () => {
    const ids = promptIds(fixture.cases, 1);
    const track = fixture.cases.greedy[1]?.ids[0] ?? 1;
    const found = await bench.engine.lens({ ids, top: 5, track, edits: [] }, 'job');
    expect(found.layers).toEqual(lensLayers(spec.layers));
    const rows = found.layers.map((hook) => {
      const resid = golden(fixture, `1/${hook}`).data;
      const logits = readStream(spec, weights, resid);
      return ids.map((_, p) => logits.slice(p * spec.vocabOut, (p + 1) * spec.vocabOut));
    });
    found.layers.forEach((hook, l) =>
      ids.forEach((_, p) => {
        const row = rows[l]?.[p] ?? new Float64Array(0);
        const final = rows.at(-1)?.[p] ?? new Float64Array(0);
        const where = `${hook} at ${p}`;
        const logp = logSoftmax(row);
        const best = topK(row, 5);
        best.forEach((id, j) => expect(found.probabilities[l]?.[p]?.[j], where).toBeCloseTo(Math.exp(at(logp, id)), 4));
        if (at(logp, best[0] ?? 0) - at(logp, best[1] ?? 0) > 1e-3) expect(found.ids[l]?.[p]?.[0], where).toBe(best[0]);
        expect(found.entropy[l]?.[p], where).toBeCloseTo(entropy(row), 4);
        expect(found.klToFinal[l]?.[p], where).toBeCloseTo(kl(final, row), 3);
        expect(found.probability?.[l]?.[p], where).toBeCloseTo(Math.exp(at(logp, track)), 4);
        expect(Math.abs((found.rank?.[l]?.[p] ?? NaN) - rank(row, track)), where).toBeLessThanOrEqual(1);
      }),
    );
  });

  test('the loss of every prompt', async () => {
    for (const prompt of fixture.cases.prompts.filter((each) => each.ids.length > 1)) {
      const nats = await bench.engine.loss({ ids: prompt.ids, edits: [] });
      const expected = prompt.nextLogProbs.map((each) => -each);
      const compared = compareRows(nats, expected, expected.length, 5e-5);
      expect(compared.within, describeComparison('loss', compared)).toBe(true);
    }
  });

  test('the first k of every position', async () => {
    const ids = promptIds(fixture.cases, 1);
    const [result] = await bench.engine.batch([run(ids, { logits: { top: 3 } })], 'job');
    const logits = golden(fixture, '1/logits').data;
    const vocab = spec.vocabOut;
    ids.forEach((_, p) => {
      const row = logits.subarray(p * vocab, (p + 1) * vocab);
      const logp = logSoftmax(row);
      topK(row, 3).forEach((id, j) => expect(result?.top?.probabilities[p]?.[j]).toBeCloseTo(Math.exp(at(logp, id)), 4));
      expect(result?.top?.ids[p]?.[0]).toBe(fixture.cases.prompts[1]?.argmax[p]);
    });
  });

  test('skipSpecial leaves special tokens alone', async () => {
    const ids = promptIds(fixture.cases, 1);
    // A toy has no special tokens.
    if (fixture.cases.special.length === 0) return;
    expect(fixture.cases.special).toContain(ids[0]);
    const edit = add('blocks.0.hook_resid_post', vector(bench.record.info.dModel, 4), { skipSpecial: true });
    const rest = ids.map((_, p) => p).filter((p) => !fixture.cases.special.includes(ids[p] ?? -1));
    const [skipped] = await bench.engine.batch([run(ids, { edits: [edit] })], 'job');
    const [listed] = await bench.engine.batch([run(ids, { edits: [{ ...edit, skipSpecial: false, where: rest }] })], 'job');
    const [all] = await bench.engine.batch([run(ids, { edits: [{ ...edit, skipSpecial: false }] })], 'job');
    expect(skipped?.logits?.data).toEqual(listed?.logits?.data);
    expect(skipped?.logits?.data).not.toEqual(all?.logits?.data);
  });
}
