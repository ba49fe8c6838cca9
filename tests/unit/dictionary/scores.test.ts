/** The sums of an evaluation against what the libraries score themselves at over the same rows, and against hand-made positions. */
import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { Scores } from '../../../workers/dictionary/scores';
import { DICTIONARIES, expected, loadDictionary } from '../../golden/dictionary-fixtures';

const ROOT = new URL('../../golden/fixtures/', import.meta.url);
const norm = (x: Float32Array): number => Math.hypot(...x);

describe('as the libraries score themselves', async () => {
  const all = await Promise.all(
    DICTIONARIES.map((name) => loadDictionary(name, async (path) => new Uint8Array(await readFile(new URL(path, ROOT))))),
  );
  const scored = all.filter(({ about }) => about.scores);

  test.each(scored.map((fixture) => [fixture.about.name, fixture] as const))('%s', (_name, fixture) => {
    const { spec, scores: theirs = {} } = fixture.about;
    const [x, activations, back] = (['x', 'activations', 'reconstruction'] as const).map((key) => expected(fixture, key).data) as [
      Float32Array,
      Float32Array,
      Float32Array,
    ];
    const sums = new Scores(spec);
    for (let r = 0; r < x.length / spec.dIn; r++) {
      const row = activations.subarray(r * spec.latents, (r + 1) * spec.latents);
      const pairs = [...row.entries()].filter(([, value]) => value !== 0);
      const target = x.subarray(r * spec.dIn, (r + 1) * spec.dIn);
      const errorNorm = norm(target.map((value, i) => value - (back[r * spec.dIn + i] ?? NaN)));
      sums.see({ pairs, active: pairs.length, truncated: false, errorNorm, norm: norm(target), target });
    }
    const ours = sums.scores();
    const under: Record<string, number | undefined> = {
      ...{ l0: theirs.l0, l1: theirs.l1 },
      fvu: theirs.fvu ?? (theirs.explainedVarianceSaeLens === undefined ? undefined : 1 - theirs.explainedVarianceSaeLens),
    };
    const said = Object.entries(under).filter(([, value]) => value !== undefined);
    expect(said).not.toEqual([]);
    for (const [key, value] of said) expect((ours[key] ?? NaN) / (value ?? NaN), key).toBeCloseTo(1, 5);
  });
});

test('each share has its own count: positions, positions with a next token, rows of divergence', () => {
  const sums = new Scores({ latents: 4, dOut: 2 });
  expect(sums.empty).toBe(true);
  const seen = { truncated: false, errorNorm: 1, norm: 5 };
  sums.see({ ...seen, pairs: [[1, 2]], active: 1, target: [3, 4] });
  sums.see({ ...seen, pairs: [[1, 1]], active: 3, truncated: true, target: [4, 3] });
  expect(sums.empty).toBe(true);
  sums.predict({ clean: -1, spliced: -2, zero: -5 });
  sums.diverge({ spliced: 0.5, zero: 2 });
  sums.diverge({ spliced: -1e-9, zero: 2 });
  expect(sums.empty).toBe(false);
  // Σ‖y‖² is 50, ‖Σy‖²/2 is 49.
  expect(sums.scores()).toEqual({
    ...{ positions: 2, l0: 2, l1: 1.5, fvu: 2, mse: 1, truncated: 1 },
    ...{ ce_clean: 1, ce_spliced: 2, ce_zero: 5, ce_score: 0.75 },
    ...{ kl_spliced: 0.25, kl_zero: 2, kl_score: 0.875 },
    ...{ dead: 0.75, dense: 0.25 },
  });
  expect([...sums.density()]).toEqual([0, 1, 0, 0]);
});
