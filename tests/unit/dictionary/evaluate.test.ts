/**
 * What an evaluation means, without a GPU: the float64 twins of model and dictionary, summed as the engine sums, score what SAELens's own evaluation
 * scores. Which positions count where (special tokens keep their place under a splice, the last one has a divergence and no loss) is what this holds.
 */
import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { Scores } from '../../../workers/dictionary/scores';
import { asSaeLens, EVALUATIONS, loadEvaluation } from '../../golden/eval-fixtures';
import { at } from '../../reference/array';
import { encode, reconstruct } from '../../reference/dictionary';
import { forward, record } from '../../reference/forward';
import { logSoftmax } from '../../reference/softmax';
import { readDictionary } from '../../support/read-dictionary';
import { twin as modelTwin } from '../reference/node-fixture';

const ROOT = new URL('../../golden/fixtures/', import.meta.url);

test.each(EVALUATIONS)('%s', async (name) => {
  const { about, files } = await loadEvaluation(name, async (path) => new Uint8Array(await readFile(new URL(path, ROOT))));
  const { spec, weights } = await modelTwin(about.model);
  const { twin } = await readDictionary(files);
  const { hookOut, dOut, latents } = twin.spec;
  const sums = new Scores(twin.spec);
  for (const ids of about.texts) {
    const x = record(spec, weights, ids).get(hookOut)?.data ?? new Float64Array(0);
    const [activations, back] = [encode(twin, x), reconstruct(twin, x)];
    const left = (r: number): boolean => about.special.includes(ids[r] ?? NaN);
    const spliced = x.map((value, i) => (left(Math.floor(i / dOut)) ? value : at(back, i)));
    const [clean, withIt, without] = [undefined, spliced, x.map(() => 0)].map((into) => {
      const logits = forward(spec, weights, ids, (hook) => (hook === hookOut ? into : undefined));
      return ids.map((_, r) => logSoftmax(logits.subarray(r * spec.vocabOut, (r + 1) * spec.vocabOut)));
    });
    ids.forEach((_, r) => {
      if (left(r)) return;
      const norm = (v: Float64Array): number => Math.hypot(...v);
      const target = x.subarray(r * dOut, (r + 1) * dOut);
      const pairs = [...activations.subarray(r * latents, (r + 1) * latents).entries()].filter(([, value]) => value !== 0);
      const errorNorm = norm(target.map((value, i) => value - at(back, r * dOut + i)));
      sums.see({ pairs, active: pairs.length, truncated: false, errorNorm, norm: norm(target), target });
      const of = (rows: typeof clean): ArrayLike<number> => rows?.[r] ?? [];
      const kl = (rows: typeof clean): number =>
        Array.from(of(clean)).reduce((sum, log, t) => sum + Math.exp(log) * (log - at(of(rows), t)), 0);
      sums.diverge({ spliced: kl(withIt), zero: kl(without) });
      const next = ids[r + 1];
      if (next !== undefined) sums.predict({ clean: at(of(clean), next), spliced: at(of(withIt), next), zero: at(of(without), next) });
    });
  }
  // SAELens counts in float32 here and there.
  for (const [key, value] of Object.entries(asSaeLens(sums.scores()))) expect(value / (about.scores[key] ?? NaN), key).toBeCloseTo(1, 5);
  about.density.forEach((each, m) => expect(sums.density()[m]).toBeCloseTo(each, 6));
});
