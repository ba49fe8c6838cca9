/**
 * Scores of a dictionary against SAELens's own evaluation of the same files on the same model and texts (make_evals.py): what is active, what is
 * explained, and what the model loses, with special tokens at the front of texts, inside one, and in one not at all.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import type { OpenedFile } from '../../workers/contract';
import { openBench, type Bench } from '../support/engine';
import { loadFixture } from './fixture';

const TOLERANCE = 1e-3;
const CASES = ['standard-resid', 'topk-mlp-out', 'jumprelu-z'] as const;

interface EvalCase {
  files: string[];
  special: number[];
  texts: number[][];
  /** Under SAELens's names. */
  scores: Record<string, number>;
  density: number[];
}

const here = import.meta.url;
const fetched = (path: string): Promise<Response> => fetch(new URL(`./fixtures/evals/${path}`, here));

/** SAELens's names of what Loupe measures. */
const SAME: Readonly<Record<string, string>> = {
  ...{ l0: 'l0', l1: 'l1', mse: 'mse' },
  ...{ ce_loss_score: 'ce_score', ce_loss_without_sae: 'ce_clean', ce_loss_with_sae: 'ce_spliced', ce_loss_with_ablation: 'ce_zero' },
  ...{ kl_div_score: 'kl_score', kl_div_with_sae: 'kl_spliced', kl_div_with_ablation: 'kl_zero' },
};

let bench: Bench;
beforeAll(async () => {
  bench = await openBench((await loadFixture('gpt2-odd')).files);
});

describe.each(CASES)('%s', (name) => {
  test('scores are SAELens’s', async () => {
    const about = (await (await fetched(`${name}/case.json`)).json()) as EvalCase;
    const files = about.files.map(async (path): Promise<OpenedFile> => {
      const bytes = await (await fetched(`${name}/files/${path}`)).arrayBuffer();
      return { path, file: new File([bytes], path.split('/').pop() ?? path) };
    });
    const { dictionaries } = await bench.files.open(await Promise.all(files), 'open');
    const id = dictionaries[0]?.id ?? '';
    await bench.engine.attach(await bench.files.dictionary(id), 'attach');
    const { texts, special } = about;
    const { scores, density } = await bench.engine.evaluate({ dictionary: id, texts, special }, 'evaluate');
    const ours: Record<string, number> = { explained_variance: 1 - (scores['fvu'] ?? NaN) };
    for (const [theirs, key] of Object.entries(SAME)) ours[theirs] = scores[key] ?? NaN;
    for (const [key, value] of Object.entries(ours))
      expect(Math.abs(value - (about.scores[key] ?? NaN)) / Math.max(1, Math.abs(value)), key).toBeLessThan(TOLERANCE);
    expect(density).toHaveLength(about.density.length);
    about.density.forEach((each, m) => expect(density[m], `density of latent ${m}`).toBeCloseTo(each, 6));
    expect(scores['dead']).toBeCloseTo(about.density.filter((each) => each === 0).length / about.density.length, 12);
  });
});
