/**
 * One meaning (DESIGN §1.4): whatever way a run is computed, the same run gives the same numbers, to 1e-5 of the row's scale,
 * with two edits in force: cached = uncached replay of the recorded dials, alone = in a ragged batch, tapped = untapped,
 * from a shared prefix and a stored residual = from the start. And what generation promises about dials, seeds and counts.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { EngineEdit, EngineStep } from '../../workers/contract';
import { openTensors } from '../../workers/library/tensors';
import { noLocks } from '../../workers/library/locks';
import { Gpu } from '../../workers/gpu/device';
import { shaders } from '../../workers/gpu/shaders';
import { runBatch, type Sequence } from '../../workers/model/run';
import { freeModel, loadModel } from '../../workers/model/runtime';
import { firstGuess, selfTest } from '../../workers/model/variants';
import type { Variants } from '../../workers/kernels/linear';
import { add, generate, openBench, project, run, steps, vector, RUNS, VARIANTS, type Bench } from '../support/engine';
import { promptIds } from './cases';
import { compareRows, describeComparison } from './compare';
import { FIXTURES, loadFixture, type Fixture } from './fixture';
import { deepLayer, specOf } from './twin';

const SAME = 1e-5;

describe.each(RUNS)('%s, %s', (name, variants) => {
  let fixture: Fixture;
  let bench: Bench;
  let edits: EngineEdit[];
  let ids: number[];
  let width: number;
  beforeAll(async () => {
    fixture = await loadFixture(name);
    bench = await openBench(fixture.files, { variants });
    const d = bench.record.info.dModel;
    edits = [
      add('blocks.0.hook_resid_post', vector(d, 3), { scale: 0.7 } as Partial<EngineEdit>),
      project(`blocks.${deepLayer(fixture)}.hook_attn_out`, vector(d, 5), 0.2),
    ];
    ids = promptIds(fixture.cases, 1);
    width = specOf(fixture).vocabOut;
  });
  afterAll(async () => {
    await bench.engine.unload(bench.record.id);
  });
  const same = (actual: ArrayLike<number> | undefined, expected: ArrayLike<number> | undefined, row: number, what: string): void => {
    const found = compareRows(actual ?? [], expected ?? [], row, SAME);
    expect(found.within, describeComparison(what, found)).toBe(true);
  };

  test('greedy text is the reference’s', async () => {
    for (const each of fixture.cases.greedy) {
      const prompt = promptIds(fixture.cases, each.prompt);
      const found = await steps(bench.engine, generate(prompt, { tokens: each.ids.length }));
      expect(found.map((step) => step.steered.id)).toEqual(each.ids);
    }
  });

  test('alone = in a ragged batch = tapped, with edits', async () => {
    const [alone] = await bench.engine.batch([run(ids, { edits })], 'job');
    const others = fixture.cases.prompts.map((prompt) => run(prompt.ids));
    const ragged = await bench.engine.batch([...others, run(ids, { edits }), ...others], 'job');
    same(ragged[others.length]?.logits?.data, alone?.logits?.data, width, 'in a batch');
    const taps = (await bench.engine.hooks()).map((each) => each.name);
    const [tapped] = await bench.engine.batch([run(ids, { edits, taps })], 'job');
    same(tapped?.logits?.data, alone?.logits?.data, width, 'tapped');
    const [plain] = await bench.engine.batch([run(ids)], 'job');
    expect(compareRows(plain?.logits?.data ?? [], alone?.logits?.data ?? [], width, SAME).within, 'the edits do something').toBe(false);
  });

  test('cached generation = an uncached replay of the recorded dials', async () => {
    const values = [0.7, -0.4, 1.1, 0.2];
    const request = generate(ids, { edits, tokens: 10, baseline: true, shadow: true });
    const got = await steps(bench.engine, request, (step, id) => {
      bench.engine.dial(id, 0, { value: values[step.position % 4] ?? 0 });
      bench.engine.dial(id, 1, { strength: step.position % 3 === 0 ? 0 : 1 });
    });
    expect(new Set(got.map((step) => JSON.stringify(step.dials))).size).toBeGreaterThan(2);
    const text = [...ids, ...got.map((step) => step.steered.id)];
    // Where a layer has a window, the text outgrows it while it is generated: keys leave that the cache still holds.
    for (const window of specOf(fixture).attention.windows) expect(text.length).toBeGreaterThan(window + 3);
    const [replayed] = await bench.engine.batch(
      [run(text.slice(0, -1), { edits: replay(edits, got, ids.length), promptLength: ids.length })],
      'job',
    );
    const [shadow] = await bench.engine.batch([run(text.slice(0, -1))], 'job');
    for (const step of got) {
      const row = rowOf(replayed?.logits?.data, step.position - 1, width);
      const p = softmax(row);
      expect(argmax(row)).toBe(step.steered.id);
      // A log-probability is a logit less a log-sum: twice the bound on a logit.
      const scale = Math.max(...row.map(Math.abs));
      for (const { id, probability } of step.steered.top)
        expect(Math.abs(Math.log(probability) - Math.log(p[id] ?? 0))).toBeLessThan(2 * SAME * Math.max(1, scale));
      const q = softmax(rowOf(shadow?.logits?.data, step.position - 1, width));
      const kl = q.reduce((sum, each, i) => sum + each * Math.log(each / (p[i] ?? 1)), 0);
      expect(step.kl).toBeCloseTo(kl, 4);
    }
    const base = await steps(bench.engine, generate(ids, { tokens: 10 }));
    expect(got.map((step) => step.baseline?.id)).toEqual(base.map((step) => step.steered.id));
  });

  test('a dial is obeyed by the third token after the last one taken, and by none that was ahead', async () => {
    const id = await bench.engine.open(generate(ids, { edits, tokens: 8 }));
    const seen: number[] = [];
    for (let i = 0; i < 8; i++) {
      const step = await bench.engine.next(id);
      if ('ended' in step) break;
      seen.push(step.dials[0]?.value ?? NaN);
      if (i === 1) bench.engine.dial(id, 0, { value: 5 });
    }
    await bench.engine.close(id);
    expect(seen[1]).toBeCloseTo(0.7);
    const first = seen.indexOf(5);
    expect(first).toBeGreaterThanOrEqual(2);
    expect(first).toBeLessThanOrEqual(4);
    expect(seen.slice(first).every((value) => value === 5)).toBe(true);
  });

  test('moving a dial builds no pipeline and writes at most 64 bytes', async () => {
    const id = await bench.engine.open(generate(ids, { edits, tokens: 8 }));
    await bench.engine.next(id);
    await bench.engine.next(id);
    const before = (await bench.engine.device()).counters;
    bench.engine.dial(id, 0, { value: 0.1 });
    const after = (await bench.engine.device()).counters;
    expect(after.bytesWritten - before.bytesWritten).toBeGreaterThan(0);
    expect(after.bytesWritten - before.bytesWritten).toBeLessThanOrEqual(64);
    await bench.engine.next(id);
    expect((await bench.engine.device()).counters.pipelines).toBe(before.pipelines);
    await bench.engine.close(id);
  });

  test('reread = a fresh run with today’s dials; rewind keeps what lies before', async () => {
    const id = await bench.engine.open(generate(ids, { edits, tokens: 8 }));
    const got: EngineStep[] = [];
    const take = async (): Promise<EngineStep> => {
      const step = await bench.engine.next(id);
      if ('ended' in step) throw new Error(step.ended);
      return step;
    };
    for (let i = 0; i < 4; i++) got.push(await take());
    bench.engine.dial(id, 0, { value: -1 });
    await bench.engine.reread(id);
    const next = await take();
    expect(next.reread).toBe(true);
    const text = [...ids, ...got.map((step) => step.steered.id)];
    const moved = [{ ...edits[0], scale: -1 }, edits[1]] as EngineEdit[];
    const [fresh] = await bench.engine.batch([run(text, { edits: moved, logits: 'last' })], 'job');
    expect(next.steered.id).toBe(argmax([...(fresh?.logits?.data ?? [])]));
    expect(next.steered.top[0]?.probability).toBeCloseTo(softmax([...(fresh?.logits?.data ?? [])])[next.steered.id] ?? 0, 4);
    await bench.engine.rewind(id, ids.length + 2, 3);
    const again = await take();
    expect(again.position).toBe(ids.length + 2);
    const [short] = await bench.engine.batch([run(text.slice(0, ids.length + 2), { edits: moved, logits: 'last' })], 'job');
    expect(again.steered.id).toBe(argmax([...(short?.logits?.data ?? [])]));
    await take();
    await take();
    expect(await bench.engine.next(id)).toEqual({ ended: 'length' });
    await bench.engine.close(id);
  });

  test('same seed, same text; another seed, another; the noise is shared by the streams', async () => {
    const request = generate(ids, { tokens: 10, temperature: 1.3, topK: 40, topP: 0.95, seed: 7, baseline: true });
    const text = async (rest: Partial<typeof request>): Promise<number[]> =>
      (await steps(bench.engine, { ...request, ...rest })).map((step) => step.steered.id);
    const first = await text({});
    expect(await text({})).toEqual(first);
    expect(await text({ baseline: false, shadow: true })).toEqual(first);
    expect(await text({ seed: 8 })).not.toEqual(first);
    const both = await steps(bench.engine, request);
    expect(both.map((step) => step.baseline?.id)).toEqual(first);
  });

  test('decoding: a family’s dispatches a layer + 4, one more for plain edits at any hook; explain agrees with the counters', async () => {
    const spec = specOf(fixture);
    // tests/unit/model/plan.test.ts has the table of real models.
    const most = (spec.dMlp > 0 ? 5 : 3) + (spec.attention.qkNorm ? 1 : 0) + (spec.block.postNorms ? 2 : 0);
    const request = generate(ids, { tokens: 12 });
    const dispatched = async (): Promise<number> => {
      const id = await bench.engine.open(request);
      for (let i = 0; i < 5; i++) await bench.engine.next(id);
      const before = (await bench.engine.device()).counters;
      for (let i = 0; i < 4; i++) await bench.engine.next(id);
      const after = (await bench.engine.device()).counters;
      await bench.engine.close(id);
      expect(after.submits - before.submits).toBe(4);
      expect(after.copies - before.copies).toBe(4);
      expect(after.bytesWritten - before.bytesWritten).toBe(0);
      return (after.dispatches - before.dispatches) / 4;
    };
    const planned = (await bench.engine.explainGenerate(request)).filter((each) => each.kernel !== 'copy').length;
    expect(planned).toBeLessThanOrEqual(most * spec.layers + 4);
    expect(await dispatched()).toBe(planned);
    for (const { name: at, shape } of await bench.engine.hooks()) {
      const length = at.endsWith('scores') || at.endsWith('pattern') ? ids.length : Number(shape.at(-1));
      const edited = await bench.engine.explainGenerate({ ...request, edits: [add(at, vector(length)), project(at, vector(length), 0)] });
      expect(edited.filter((each) => each.kernel !== 'copy').length - planned, at).toBeLessThanOrEqual(1);
    }
  });
});

test.each(['gpt2-scaled', 'llama-bf16'] as const)('%s with subgroups: the reference’s greedy text', async (name) => {
  const fixture = await loadFixture(name);
  const bench = await openBench(fixture.files, { variants: VARIANTS[2] });
  for (const each of fixture.cases.greedy) {
    const found = await steps(bench.engine, generate(promptIds(fixture.cases, each.prompt), { tokens: each.ids.length }));
    expect(found.map((step) => step.steered.id)).toEqual(each.ids);
  }
  await bench.engine.unload(bench.record.id);
});

test('the self-test: kernels that agree pass, and one that is wrong is noticed', async () => {
  const fixture = await loadFixture('llama-gqa');
  const bench = await openBench(fixture.files);
  const gpu = await Gpu.open(navigator.gpu, shaders);
  const reader = await openTensors(bench.record, noLocks);
  const load = (variants: Variants) => loadModel({ gpu, record: bench.record, reader, use: { weights: 'stored' }, special: [], variants });
  const model = await load({ matvec: 'workgroup', matmul: 'tiled', attention: 'workgroup' });
  expect(await selfTest(model)).toBeLessThan(SAME);
  expect(model.planner.variants.matvec).toBe('workgroup');
  freeModel(model);
  // A driver that drops the reduction's last step.
  const broken = await Gpu.open(navigator.gpu, (file) => {
    const text = shaders(file);
    if (!file.startsWith('linear-tiled')) return text;
    const wrong = text.replace('for (var i = 0u; i < 4u; i++)', 'for (var i = 0u; i < 3u; i++)');
    expect(wrong).not.toBe(text);
    return wrong;
  });
  const wrong = await loadModel({
    gpu: broken,
    record: bench.record,
    reader,
    use: { weights: 'stored' },
    special: [],
    variants: { matvec: 'workgroup', matmul: 'tiled', attention: 'workgroup' },
  });
  expect(await selfTest(wrong)).toBeGreaterThan(1e-3);
  freeModel(wrong);
  reader.close();
});

describe('a batch whose rows share a prefix and start at a stored residual', () => {
  test.each(FIXTURES)('%s: the same logits as from the start', async (name) => {
    const fixture = await loadFixture(name);
    const bench = await openBench(fixture.files);
    const gpu = await Gpu.open(navigator.gpu, shaders);
    const reader = await openTensors(bench.record, noLocks);
    const model = await loadModel({
      gpu,
      record: bench.record,
      reader,
      use: { weights: 'stored' },
      special: [],
      variants: firstGuess(gpu),
    });
    const ids = promptIds(fixture.cases, 1);
    const width = specOf(fixture).vocabOut;
    const layer = deepLayer(fixture);
    const at = `blocks.${layer}.hook_resid_pre` as const;
    const all = ids.map((_, i) => i);
    const base: Sequence = { ids, promptLength: ids.length, edits: [], taps: [at], logits: all };
    const [whole] = await runBatch(model, [base]);
    const resid = whole?.taps[at]?.data ?? new Float32Array(0);
    const d = bench.record.info.dModel;
    // Row 1: position 3 on, from the start. Row 2: position 5 on, from layer 1's residual. Row 3: as row 2, patched.
    const from = (p: number): Float32Array => resid.slice(p * d);
    const patched = from(5);
    patched.set(vector(d, 9), 0);
    const rest = { promptLength: ids.length, edits: [], taps: [] };
    const results = await runBatch(model, [
      base,
      { ...rest, ids, logits: all.slice(3), prefix: { of: 0, length: 3 } },
      { ...rest, ids, logits: all.slice(5), prefix: { of: 0, length: 5 }, start: { layer, residual: from(5) } },
      { ...rest, ids, logits: all.slice(5), prefix: { of: 0, length: 5 }, start: { layer, residual: patched } },
    ]);
    const expected = whole?.logits ?? new Float32Array(0);
    for (const [i, first] of [
      [1, 3],
      [2, 5],
    ] as const) {
      const found = compareRows(results[i]?.logits ?? [], expected.subarray(first * width), width, SAME);
      expect(found.within, describeComparison(`row ${i}`, found)).toBe(true);
    }
    // The patched row equals a run in which that residual was replaced.
    const edit: EngineEdit = {
      kind: 'replace',
      at,
      where: [5],
      skipSpecial: false,
      strength: 1,
      enabled: true,
      value: { shape: [d], data: patched.slice(0, d) },
    };
    const [replaced] = await runBatch(model, [{ ...base, edits: [edit] }]);
    const found = compareRows(results[3]?.logits ?? [], (replaced?.logits ?? new Float32Array(0)).subarray(5 * width), width, SAME);
    expect(found.within, describeComparison('patched', found)).toBe(true);
    expect(compareRows(results[3]?.logits ?? [], expected.subarray(5 * width), width, SAME).within, 'the patch does something').toBe(false);
    // A row that enters at layer 0 is not embedded; one that stands behind it in the list is.
    const [first] = await runBatch(model, [{ ...base, taps: ['blocks.0.hook_resid_pre'] }]);
    const residual = first?.taps['blocks.0.hook_resid_pre']?.data ?? new Float32Array(0);
    for (const result of await runBatch(model, [{ ...base, start: { layer: 0, residual }, taps: [] }, base])) {
      const entered = compareRows(result.logits, expected, width, SAME);
      expect(entered.within, describeComparison('from layer 0', entered)).toBe(true);
    }
    freeModel(model);
    reader.close();
  });
});

/** The recorded dials as edits: one copy of each edit for each position, as it was when that position was computed. */
function replay(edits: readonly EngineEdit[], got: readonly EngineStep[], prompt: number): EngineEdit[] {
  return edits.flatMap((edit, i) =>
    got.map((step, s): EngineEdit => {
      const dial = step.dials[i];
      const where = s === 0 ? Array.from({ length: prompt }, (_, p) => p) : [step.position - 1];
      const moved =
        dial?.value === undefined ? {} : edit.kind === 'add' ? { scale: dial.value } : edit.kind === 'project' ? { keep: dial.value } : {};
      return { ...edit, ...moved, where, strength: dial?.strength ?? 0 } as EngineEdit;
    }),
  );
}

const rowOf = (data: Float32Array | undefined, row: number, width: number): number[] => [
  ...(data?.subarray(row * width, (row + 1) * width) ?? []),
];
const argmax = (row: readonly number[]): number => row.indexOf(Math.max(...row));
function softmax(row: readonly number[]): number[] {
  const high = Math.max(...row);
  const e = row.map((x) => Math.exp(x - high));
  const sum = e.reduce((a, b) => a + b, 0);
  return e.map((x) => x / sum);
}
