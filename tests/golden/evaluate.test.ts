/**
 * Scores of a dictionary against SAELens's own evaluation of the same files on the same model and texts: what is active, what is explained, and what
 * the model loses, with special tokens at the front of texts, inside one, and in one not at all.
 */
import { beforeAll, expect, test } from 'vitest';
import { openBench, type Bench } from '../support/engine';
import { asSaeLens, EVALUATIONS, loadEvaluation } from './eval-fixtures';
import { loadFixture } from './fixture';

const TOLERANCE = 1e-3;
const MODEL = 'gpt2-odd';

let bench: Bench;
beforeAll(async () => {
  bench = await openBench((await loadFixture(MODEL)).files);
});

test.each(EVALUATIONS)('%s', async (name) => {
  const { about, files } = await loadEvaluation(name);
  expect(about.model).toBe(MODEL);
  const { dictionaries } = await bench.files.open(files, 'open');
  const id = dictionaries[0]?.id ?? '';
  await bench.engine.attach(await bench.files.dictionary(id), 'attach');
  const { texts, special } = about;
  const { scores, density } = await bench.engine.evaluate({ dictionary: id, texts, special }, 'evaluate');
  for (const [key, value] of Object.entries(asSaeLens(scores)))
    expect(Math.abs(value - (about.scores[key] ?? NaN)) / Math.max(1, Math.abs(value)), key).toBeLessThan(TOLERANCE);
  expect(density).toHaveLength(about.density.length);
  about.density.forEach((each, m) => expect(density[m], `density of latent ${m}`).toBeCloseTo(each, 6));
  expect(scores['dead']).toBeCloseTo(about.density.filter((each) => each === 0).length / about.density.length, 12);
});
