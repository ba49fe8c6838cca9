/** The pure parts of the backward pass: a metric's slope, edits as gradients meet them, and the plan, without a GPU. */
import { describe, expect, test } from 'vitest';
import { adjointEdits, inOrder } from '../../../workers/model/backward/adjoint';
import { metricGradient } from '../../../workers/model/backward/metric-gradient';
import { planBackward } from '../../../workers/model/backward/plan';
import type { PlacedEdit } from '../../../workers/model/edits';
import { hooksOf } from '../../../workers/model/hooks';
import { layoutOf } from '../../../workers/model/layout';
import { weightTable } from '../../../workers/model/matrices';
import type { Planner } from '../../../workers/model/plan';
import type { ModelSpec } from '../../../workers/model/spec';
import { PLAIN } from '../../../workers/model/variants';
import { editOf, SMALL } from '../../support/small-model';
import { numbers } from '../../support/numbers';

describe('a metric’s slope', () => {
  const logits = Float64Array.from(numbers(9, 1, 3));
  const reference = numbers(9, 2, 3);
  test.each([
    { kind: 'logit-diff' as const, tokens: [3, 5] },
    { kind: 'log-prob' as const, tokens: [4] },
    { kind: 'probability' as const, tokens: [4] },
    { kind: 'kl' as const, tokens: [] },
  ])('$kind: central differences', (metric) => {
    const { gradient } = metricGradient(metric, logits, { reference });
    const h = 1e-5;
    const moved = (i: number, by: number): number =>
      metricGradient(
        metric,
        logits.map((x, j) => (i === j ? x + by : x)),
        { reference },
      ).value;
    gradient.forEach((g, i) => expect(g).toBeCloseTo((moved(i, h) - moved(i, -h)) / (2 * h), 8));
  });

  test('goes on through a cap', () => {
    const cap = 2;
    const raw = Float64Array.from(numbers(9, 3, 4));
    const capped = (x: Float64Array): Float64Array => x.map((u) => cap * Math.tanh(u / cap));
    const metric = { kind: 'log-prob' as const, tokens: [2] };
    const { gradient } = metricGradient(metric, capped(raw), { cap });
    const h = 1e-5;
    raw.forEach((_, i) => {
      const at = (by: number): number => metricGradient(metric, capped(raw.map((x, j) => (i === j ? x + by : x)))).value;
      expect(gradient[i]).toBeCloseTo((at(h) - at(-h)) / (2 * h), 8);
    });
  });

  test('of a run against itself, KL has none', () => {
    const { value, gradient } = metricGradient({ kind: 'kl', tokens: [] }, reference, { reference });
    expect(value).toBe(0);
    expect(gradient.every((g) => g === 0)).toBe(true);
  });
});

describe('edits of a gradient', () => {
  const placed = (edit: PlacedEdit['edit'], source?: PlacedEdit['source']): PlacedEdit => ({
    edit,
    sequence: 0,
    promptLength: 4,
    length: 4,
    end: 4,
    ...(source ? { source } : {}),
  });
  const vector = numbers(5, 1);
  const z = 'blocks.0.attn.hook_z';

  test('in reverse order; an added vector is gone, a projection is its own', () => {
    const project = placed(editOf(z, { kind: 'project', vector, keep: 0.25 }, { strength: 0.5 }));
    const zero = placed(editOf(z, { kind: 'replace', value: 'zero' }, { head: 1 }));
    const edits = [placed(editOf(z, { kind: 'add', vector, scale: 2 })), project, zero];
    expect(adjointEdits(edits, () => [])).toEqual([zero, project]);
  });

  test('a replacement is one by zeros, at the same rows', () => {
    const source = { data: numbers(10, 2), width: 5, rowWords: 5, map: new Map([[2, 1]]) };
    const [only] = adjointEdits([placed(editOf(z, { kind: 'replace', value: 'zero' }), source)], () => []);
    expect(only?.source).toEqual({ ...source, data: new Float32Array(10) });
  });

  test('a cap projects where it was in force', () => {
    const cap = placed(editOf(z, { kind: 'cap', vector, cap: 1 }, { strength: 0.75 }));
    const found = adjointEdits([cap], () => [
      { position: 1, head: 0 },
      { position: 3, head: 0 },
      { position: 2, head: 2 },
    ]);
    expect(found.map(({ edit }) => edit)).toMatchObject([
      { kind: 'project', keep: 0, strength: 0.75, where: [2], head: 2, vector },
      { kind: 'project', keep: 0, strength: 0.75, where: [1, 3], head: 0, vector },
    ]);
    expect(adjointEdits([cap], () => [])).toEqual([]);
  });

  test('those of dictionaries stay as they are, but for a splice that keeps its error; latents of one dictionary act where the first of them stands', () => {
    const latent = (latent: number, dictionary = 'd'): PlacedEdit =>
      placed(editOf(z, { kind: 'latent', dictionary, latent, op: 'set', value: 1 }));
    const splice = (keepError: boolean): PlacedEdit => placed(editOf(z, { kind: 'splice', dictionary: 'd', keepError }));
    expect(adjointEdits([latent(1), splice(true), splice(false)], () => [])).toEqual([splice(false), latent(1)]);
    const project = placed(editOf(z, { kind: 'project', vector, keep: 0 }));
    const elsewhere = { ...latent(4), sequence: 1 };
    const list = [latent(1), project, latent(9, 'other'), elsewhere, latent(2)];
    expect(inOrder(list)).toEqual([latent(1), latent(2), project, latent(9, 'other'), elsewhere]);
  });
});

describe('the plan', () => {
  const planner = (spec: ModelSpec): Planner => {
    const layout = layoutOf(spec);
    return { spec, layout, weights: weightTable(spec, () => 'f32', 1 << 30), hooks: hooksOf(spec, layout), variants: PLAIN };
  };
  const planned = (at: readonly string[], rest: { edited?: string[]; sites?: string[] } = {}, spec: ModelSpec = SMALL) =>
    planBackward(planner(spec), {
      rows: 6,
      keys: 6,
      wanted: [5],
      edited: new Set(rest.edited),
      sites: new Map((rest.sites ?? []).map((hook) => [hook, { first: 4, count: 1 }])),
      at: new Map(at.map((hook, i) => [hook, { to: 'read.0', offset: i }])),
    });
  const kernels = (plan: ReturnType<typeof planned>): string[] => plan.ops.map((op) => (op.op === 'copy' ? 'copy' : op.kernel));

  test('ends with the lowest hook that is asked for', () => {
    expect(kernels(planned(['ln_final.hook_normalized']))).toEqual(['linear-back', 'copy', 'norm-back', 'copy']);
    expect(kernels(planned(['blocks.1.mlp.hook_post']))).toEqual(['linear-back', 'copy', 'norm-back', 'linear-back', 'copy']);
    const all = planned(['hook_embed']);
    expect(all.ops.at(-1)).toMatchObject({ op: 'copy', from: 'g.resid', to: 'read.0', hook: 'hook_embed' });
    expect(kernels(all).filter((kernel) => kernel === 'attention-back-kv')).toHaveLength(SMALL.layers);
  });

  test('keeps of the forward run what it needs, and no pattern', () => {
    const kept = [...planned(['hook_embed']).kept.keys()];
    expect(kept).toContain('blocks.0.hook_resid_mid');
    expect(kept).toContain('blocks.1.attn.hook_k');
    expect(kept.some((hook) => hook.endsWith('hook_pattern') || hook.endsWith('hook_attn_scores') || hook.endsWith('hook_scale'))).toBe(
      false,
    );
    expect(planned(['blocks.1.attn.hook_q']).kept.has('blocks.0.hook_resid_mid')).toBe(false);
  });

  test('an edited pattern is kept, and its gradient edited after it was read', () => {
    const pattern = 'blocks.1.attn.hook_pattern';
    const plan = planned([pattern, 'hook_embed'], { edited: [pattern], sites: [pattern] });
    expect(plan.kept.has(pattern)).toBe(true);
    const at = plan.ops.findIndex((op) => op.hook === pattern && op.op === 'copy');
    expect(kernels(plan).slice(at, at + 3)).toEqual(['copy', 'edit', 'attention-back-scores']);
  });

  test('an edited norm comes in three steps', () => {
    const scale = 'blocks.0.ln1.hook_scale';
    const steps = planned(['hook_embed'], { edited: [scale] }).ops.filter((op) => op.op === 'dispatch' && op.kernel === 'norm-back');
    expect(steps.map((op) => op.op === 'dispatch' && op.variant).slice(-3)).toEqual(['step 1', 'step 2', 'step 3']);
  });

  test('branches side by side read what came from above', () => {
    const plan = planned(['hook_embed'], {}, { ...SMALL, block: { parallel: true, sharedNorm: false, postNorms: false } });
    expect(plan.ops.filter((op) => op.op === 'copy' && op.to === 'g.both')).toHaveLength(SMALL.layers);
    expect(plan.kept.has('blocks.0.hook_resid_mid')).toBe(false);
  });
});
