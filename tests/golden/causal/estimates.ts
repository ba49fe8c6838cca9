/**
 * Estimates by gradients beside the exact grids. Three things can be held sharply: behind the last pattern of a model without norms and MLPs all is linear, so that an estimate
 * is the exact cell; the integral over one latent alone is its exact cell, as steps grow; and of noise that is faint, the first order is all there is.
 */
import { beforeAll, expect, test } from 'vitest';
import type { Grid } from '../../../workers/api';
import type { EngineAttribution } from '../../../workers/contract-gradient';
import type { EngineSweep } from '../../../workers/contract-sweep';
import { readers, type Bench, type Opened } from '../../support/engine';
import { randomDictionary, type Wanted } from '../../support/random-dictionary';

const CLEAN = [0, 5, 9, 14, 3, 22];
const CORRUPTED = [0, 6, 9, 14, 2, 22];
const OTHER = { clean: [0, 8, 9, 30, 3, 11], corrupted: [0, 6, 12, 14, 7, 11] };
const SECOND: EngineSweep['pairs'][number] = { ...OTHER, tokens: [9, 2] };

export const asked = (rest: Pick<EngineSweep, 'over' | 'grid'> & Partial<EngineSweep>): EngineSweep => ({
  pairs: [{ clean: CLEAN, corrupted: CORRUPTED }],
  metric: { kind: 'logit-diff', position: -1, tokens: [4, 7] },
  edits: [],
  direction: 'denoise',
  skip: false,
  ...rest,
});
const estimateOf = ({ skip: _, ...request }: EngineSweep, method: EngineAttribution['method'], steps = 8): EngineAttribution => ({
  ...request,
  method,
  steps,
});

/** Effects of the cells on the metric, of both, and how far the one is from the other, of the largest effect. */
function beside(exact: Grid, estimate: Grid, direction: EngineSweep['direction'], only: (cell: number) => boolean = () => true) {
  expect(estimate.axes.map(({ name, labels }) => [name, labels.length])).toEqual(
    exact.axes.map(({ name, labels }) => [name, labels.length]),
  );
  const base = direction === 'denoise' ? exact.corrupted : exact.clean;
  const cells = [...exact.raw.data.keys()].filter((i) => only(i) && !Number.isNaN(exact.raw.data[i]));
  expect(cells.filter((i) => Number.isNaN(estimate.raw.data[i]))).toEqual([]);
  const effects = cells.map((i) => (exact.raw.data[i] ?? NaN) - base);
  const largest = Math.max(...effects.map(Math.abs));
  const error = Math.max(...cells.map((i) => Math.abs((estimate.raw.data[i] ?? NaN) - (exact.raw.data[i] ?? NaN))));
  return { largest, relative: error / largest };
}

export function linear(opened: () => Opened): void {
  test.each([
    ['z', 'layer-position-head', 'attribution', undefined, 'denoise'],
    ['v', 'layer-head', 'attribution', 'mean', 'noise'],
    ['attn_out', 'layer-position', 'integrated', 'resample', 'denoise'],
    ['pattern', 'head-dest-src', 'attribution', undefined, 'denoise'],
    ['pattern', 'head-dest-src', 'integrated', 'zero', 'noise'],
    ['q', 'layer-position-head', 'atp-star', undefined, 'noise'],
    ['q', 'layer-head', 'atp-star', 'zero', 'denoise'],
    ['k', 'layer-position-head', 'atp-star', 'mean', 'denoise'],
    ['k', 'layer-head', 'atp-star', 'resample', 'noise'],
  ] as const)('%s by %s, %s, ablate %s, %s: behind the last pattern as it is', async (over, grid, method, ablate, direction) => {
    const { engine } = opened().bench;
    // The metric reads the last position alone, and nothing before it reaches the logits from the last layer but through patterns.
    const request = asked({
      over,
      grid,
      direction,
      pairs: [{ clean: CLEAN, corrupted: CORRUPTED }, SECOND],
      ...(ablate ? { ablate } : {}),
    });
    const exact = await engine.sweep(request, 'exact');
    const estimate = await engine.attribution(estimateOf(request, method, 4), 'estimate');
    const half = exact.raw.data.length / 2;
    const { largest, relative } = beside(exact, estimate, direction, (i) => i >= half);
    expect(largest).toBeGreaterThan(1e-2);
    expect(relative).toBeLessThan(1e-4);
  });

  test('integrated over patterns: a layer’s keys sum to what patching its patterns does', async () => {
    const { engine } = opened().bench;
    const request = asked({ over: 'pattern', grid: 'head-dest-src' });
    const { raw, corrupted } = await engine.attribution(estimateOf(request, 'integrated', 16), 'estimate');
    const { pairs, metric, edits, direction } = request;
    for (const layer of [0, 1]) {
      const half = raw.data.length / 2;
      const sum = raw.data.subarray(layer * half, (layer + 1) * half).reduce((all, x) => (Number.isNaN(x) ? all : all + x - corrupted), 0);
      const whole = await engine.patchSet({ pairs, metric, edits, direction, parts: [{ at: `blocks.${layer}.attn.hook_pattern` }] }, 'set');
      expect(Math.abs(sum - (whole.raw - corrupted))).toBeLessThan(0.01 * Math.abs(whole.raw - corrupted));
    }
  });
}

export const DICTIONARIES: Readonly<Record<string, Wanted>> = {
  relu: {
    activation: 'relu',
    dIn: 30,
    latents: 41,
    hookIn: 'blocks.1.hook_resid_pre',
    contract: { normalisation: 'layer_norm' },
    seed: 301,
  },
  transcoder: {
    activation: 'jumprelu',
    dIn: 30,
    latents: 41,
    hookIn: 'blocks.1.ln2.hook_normalized',
    hookOut: 'blocks.1.hook_mlp_out',
    seed: 302,
  },
  topk: {
    activation: 'topk',
    k: 7,
    dIn: 30,
    latents: 41,
    hookIn: 'blocks.2.attn.hook_z',
    contract: { reshape: 'hook_z', rescaleByDecoderNorm: true },
    seed: 303,
  },
};

/** The dictionaries on the GPU; → id by name. */
export async function attached({ engine }: Bench): Promise<Record<string, string>> {
  const ids: Record<string, string> = {};
  for (const [name, wanted] of Object.entries(DICTIONARIES)) {
    const { record, reader } = randomDictionary(wanted);
    readers.set(record.name, reader);
    await engine.attach(record, 'attach');
    ids[name] = record.id;
  }
  return ids;
}

export function estimates(opened: () => Opened): void {
  let bench: Bench;
  let ids: Record<string, string>;
  beforeAll(async () => {
    bench = opened().bench;
    ids = await attached(bench);
  });

  test.each([
    ['relu', 'mean', 'noise'],
    ['transcoder', 'resample', 'denoise'],
    ['topk', 'zero', 'denoise'],
    ['neurons', 'resample', 'noise'],
  ] as const)('the integral over one latent is its exact cell: %s, ablate %s, %s', async (name, ablate, direction) => {
    const { engine } = bench;
    const over = { dictionary: ids[name] ?? 'neurons:blocks.1' };
    const pairs = [{ clean: CLEAN, corrupted: CORRUPTED }, SECOND];
    const request = asked({ over, grid: 'latent', direction, pairs, ...(ablate ? { ablate } : {}) });
    const all = await engine.sweep(request, 'exact');
    const base = direction === 'denoise' ? all.corrupted : all.clean;
    const [best] = [...all.raw.data.keys()].sort(
      (a, b) => Math.abs((all.raw.data[b] ?? 0) - base) - Math.abs((all.raw.data[a] ?? 0) - base),
    );
    const latent = Number(all.axes[0]?.labels[best ?? 0]);
    const exact = (all.raw.data[best ?? 0] ?? NaN) - base;
    const one = await engine.attribution(estimateOf({ ...request, latents: [latent] }, 'integrated', 16), 'one');
    expect(Math.abs(exact)).toBeGreaterThan(0.02);
    expect(Math.abs((one.raw.data[0] ?? NaN) - base - exact)).toBeLessThan(0.01 * Math.abs(exact));
    // The same latents as the exact sweep chooses, by gradients alone.
    const plain = await engine.attribution(estimateOf(request, 'attribution'), 'plain');
    const chosen = ({ axes }: Grid): Set<string> => new Set(axes[0]?.labels);
    expect(chosen(plain)).toEqual(chosen(all));
  });

  test('integrated over all latents sums to what patching them together does', async () => {
    const { engine } = bench;
    const dictionary = ids['relu'] ?? '';
    const request = asked({ over: { dictionary }, grid: 'latent' });
    const { raw, corrupted, axes } = await engine.attribution(estimateOf(request, 'integrated', 32), 'estimate');
    const { pairs, metric, edits, direction } = request;
    const parts = (axes[0]?.labels ?? []).map((latent) => ({ at: 'blocks.1.hook_resid_pre', dictionary, latent: Number(latent) }) as const);
    const whole = await engine.patchSet({ pairs, metric, edits, direction, parts }, 'set');
    const sum = raw.data.reduce((all, x) => all + x - corrupted, 0);
    expect(Math.abs(whole.raw - corrupted)).toBeGreaterThan(0.05);
    expect(Math.abs(sum - (whole.raw - corrupted))).toBeLessThan(0.01 * Math.abs(whole.raw - corrupted));
  });

  test.each([
    ['resid_pre', 'layer-position', 'attribution'],
    ['z', 'layer-head', 'integrated'],
    ['k', 'layer-head', 'atp-star'],
  ] as const)('causal tracing: %s by %s, %s, of faint noise is the exact grid', async (over, grid, method) => {
    const noise = { positions: [1, 3], scale: 0.005, seed: 5, draws: 2 };
    for (const direction of ['denoise', 'noise'] as const) {
      const request = asked({ over, grid, noise, direction });
      const exact = await bench.engine.sweep(request, 'exact');
      const estimate = await bench.engine.attribution(estimateOf(request, method, 2), 'estimate');
      const { largest, relative } = beside(exact, estimate, direction);
      expect(largest).toBeGreaterThan(1e-4);
      expect(relative).toBeLessThan(0.03);
      expect(estimate.spread?.data.length).toBe(exact.raw.data.length);
    }
  });

  test('what is planned is what is computed, and what is explained is what runs', async () => {
    const { engine } = bench;
    const pairs = [{ clean: CLEAN, corrupted: CORRUPTED }, SECOND];
    const requests = [
      estimateOf(asked({ over: 'z', grid: 'layer-head', pairs }), 'attribution'),
      estimateOf(asked({ over: 'q', grid: 'layer-position', ablate: 'mean' }), 'atp-star'),
      estimateOf(
        asked({ over: 'attn_out', grid: 'layer-position', noise: { positions: [1], scale: 3, seed: 0, draws: 1 } }),
        'integrated',
        2,
      ),
      estimateOf(asked({ over: { dictionary: ids['transcoder'] ?? '' }, grid: 'latent', latents: [3, 5] }), 'integrated', 3),
    ];
    for (const request of requests) {
      const plan = await engine.planAttribution(request);
      const found = await engine.attribution(request, 'estimate');
      expect([plan.rowsComputed, plan.rowsNaive]).toEqual([found.rowsComputed, found.rowsNaive]);
      expect(plan.bytes).toBeGreaterThan(0);
    }
    // Steps that do not go into one batch take several.
    const many = await engine.planAttribution(estimateOf(asked({ over: 'z', grid: 'layer-head' }), 'integrated', 200));
    expect([many.rowsComputed, many.chunks]).toEqual([(2 + 3 * 200) * 3 * 6, 2 + 3 * 3]);
    const [first] = requests;
    const alone = { ...first, pairs: pairs.slice(0, 1) } as EngineAttribution;
    const explained = await engine.explainAttribution(alone);
    const { chunks, submissions } = await engine.planAttribution(alone);
    const before = (await engine.device()).counters;
    await engine.attribution(alone, 'estimate');
    const { dispatches, copies, submits } = (await engine.device()).counters;
    expect(chunks).toBe(2);
    expect(explained.filter(({ kernel }) => kernel !== 'copy').length).toBe(dispatches - before.dispatches);
    expect(explained.filter(({ kernel }) => kernel === 'copy').length).toBe(copies - before.copies);
    expect(submits - before.submits).toBeLessThanOrEqual(submissions);
    await expect(
      engine.planAttribution(estimateOf(asked({ over: 'pattern', grid: 'layer-head', ablate: 'mean' }), 'attribution')),
    ).rejects.toMatchObject({ code: 'sweep-grid' });
  });

  test('a cancel is heard within a gradient and within an estimate, and nothing is submitted after it', async () => {
    const { engine } = bench;
    const ids = Array.from({ length: 24 }, (_, i) => (7 * i) % 97);
    const gradient = Array.from({ length: 60 }, () => ({
      ids,
      promptLength: 24,
      edits: [],
      metric: { kind: 'log-prob' as const, position: -1, tokens: [3] },
    }));
    const hooks = ['hook_embed', 'blocks.0.attn.hook_z'];
    const request = estimateOf(
      asked({ over: 'resid_pre', grid: 'layer-position', pairs: Array.from({ length: 40 }, () => SECOND) }),
      'integrated',
      64,
    );
    for (const work of [() => engine.gradient(gradient, hooks, 'cancelled'), () => engine.attribution(request, 'cancelled')]) {
      const first = (await engine.device()).counters.submits;
      const running = work();
      const rejected = expect(running).rejects.toMatchObject({ code: 'cancelled' });
      // Until it has submitted something.
      while ((await engine.device()).counters.submits === first) await new Promise((resolve) => setTimeout(resolve, 5));
      const at = performance.now();
      await engine.cancel('cancelled');
      await rejected;
      expect(performance.now() - at).toBeLessThan(200);
      const { submits } = (await engine.device()).counters;
      await new Promise((resolve) => setTimeout(resolve, 300));
      expect((await engine.device()).counters.submits).toBe(submits);
    }
  });
}
