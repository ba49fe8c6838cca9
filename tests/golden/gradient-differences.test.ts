/**
 * Gradients against central differences of the engine itself, on a model that was trained: along a few directions, ±0.05 added at one position of a hook, the
 * difference of the metric over 0.1 is g·v within 5e-4 + 1 %. And what strength 0 leaves as it was. All moved runs are one batch.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { add, openBench, project, run, vector, type Bench } from '../support/engine';
import { sharedData, whySkipped } from '../support/shared';

const STEP = 0.05;
const FILES = ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'];
const TEXT = 'Once upon a time, there was a little girl named';
const HOOKS = [
  'hook_embed',
  'blocks.0.attn.hook_q',
  'blocks.1.hook_resid_pre',
  'blocks.1.attn.hook_k',
  'blocks.2.attn.hook_v',
  'blocks.2.attn.hook_z',
  'blocks.3.mlp.hook_pre',
  'blocks.3.mlp.hook_pre_linear',
  'blocks.3.hook_mlp_out',
  'blocks.4.ln2.hook_normalized',
  'blocks.4.hook_resid_mid',
];

describe.skipIf(sharedData === undefined)(`stories260K${sharedData === undefined ? `: ${whySkipped}` : ''}`, () => {
  let bench: Bench;
  let ids: number[];
  let tokens: number[];
  beforeAll(async () => {
    const dropped = await Promise.all(
      FILES.map(async (name) => {
        const response = await fetch(`${sharedData}/stories260K/${name}`);
        if (!response.ok) throw new Error(`${name}: ${response.status} ${response.statusText}`);
        return { path: `stories260K/${name}`, file: new File([await response.arrayBuffer()], name) };
      }),
    );
    bench = await openBench(dropped);
    ({ ids } = await bench.files.tokenize(bench.record.id, TEXT, true));
    const [plain] = await bench.engine.batch([run(ids, { logits: 'last' })], 'plain');
    const logits = plain?.logits?.data ?? new Float32Array(0);
    tokens = [...logits.keys()].sort((a, b) => (logits[b] ?? 0) - (logits[a] ?? 0)).slice(0, 2);
  });
  afterAll(async () => bench.engine.unload(bench.record.id));
  const metric = () => ({ kind: 'logit-diff' as const, position: -1, tokens });

  test('central differences', async () => {
    const [gradient = {}] = await bench.engine.gradient([{ ids, promptLength: ids.length, edits: [], metric: metric() }], HOOKS, 'g');
    const cases = HOOKS.flatMap((hook, h) => {
      const { shape, data } = gradient[hook] ?? { shape: [], data: new Float32Array(0) };
      const width = data.length / (shape[0] ?? 1);
      return [ids.length - 1, 3].map((position) => {
        const v = vector(width, 10 * h + position);
        const length = Math.sqrt(v.reduce((sum, x) => sum + x * x, 0));
        const unit = v.map((x) => x / length);
        const along = unit.reduce((sum, x, i) => sum + x * (data[position * width + i] ?? NaN), 0);
        return { hook, position, unit, along };
      });
    });
    const moved = await bench.engine.batch(
      cases.flatMap(({ hook, position, unit }) =>
        [STEP, -STEP].map((scale) => run(ids, { logits: 'last', edits: [add(hook, unit, { where: [position], strength: scale })] })),
      ),
      'moved',
    );
    const value = (i: number): number => {
      const logits = moved[i]?.logits?.data;
      return (logits?.[tokens[0] ?? 0] ?? NaN) - (logits?.[tokens[1] ?? 0] ?? NaN);
    };
    const far = cases.flatMap(({ hook, position, along }, i) => {
      const difference = (value(2 * i) - value(2 * i + 1)) / (2 * STEP);
      return Math.abs(difference - along) <= 5e-4 + 0.01 * Math.abs(difference)
        ? []
        : [`${hook} at ${position}: ${along} for ${difference}`];
    });
    expect(far).toEqual([]);
    expect(cases.some(({ along }) => Math.abs(along) > 0.05)).toBe(true);
  });

  test('strength 0 leaves gradients as they are', async () => {
    const at = ['blocks.0.hook_resid_pre', 'blocks.1.attn.hook_z'];
    const [gradient] = await bench.engine.gradient([{ ids, promptLength: ids.length, edits: [], metric: metric() }], at, 'g');
    const width = gradient?.[at[0] ?? '']?.shape[1] ?? 1;
    const off = [
      add('blocks.2.hook_resid_pre', vector(width, 3), { strength: 0 }),
      project('blocks.3.hook_resid_mid', vector(width, 4), 0, { strength: 0 }),
      project('blocks.1.attn.hook_pattern', vector(ids.length, 5), 0, { enabled: false }),
    ];
    const [edited] = await bench.engine.gradient([{ ids, promptLength: ids.length, edits: off, metric: metric() }], at, 'g');
    for (const hook of at) {
      const [a, b] = [gradient?.[hook]?.data ?? [], edited?.[hook]?.data ?? []];
      const scale = Math.max(...Array.from(a, Math.abs));
      expect(a.length).toBe(b.length);
      expect(Math.max(...Array.from(a, (x, i) => Math.abs(x - (b[i] ?? NaN))))).toBeLessThanOrEqual(1e-5 * scale);
    }
  });
});
