/**
 * One meaning (DESIGN §1.4): whatever way a run is computed, the same run gives the same numbers, to 1e-5 of the row's scale,
 * with two edits in force: cached = uncached replay of the recorded dials, alone = in a ragged batch, tapped = untapped.
 * And what generation promises about dials, seeds and counts.
 */
import { beforeAll, expect, test } from 'vitest';
import type { EngineEdit, EngineStep } from '../../../workers/contract';
import { add, generate, project, run, steps, VARIANTS, vector, type Bench, type Opened, type Run } from '../../support/engine';
import { promptIds } from '../cases';
import { compareRows, describeComparison } from '../compare';
import { EVERY_FEATURE, type Fixture } from '../fixture';
import { deepLayer, specOf } from '../twin';

const SAME = 1e-5;

export function meaning(opened: () => Opened, { name, variants }: Run): void {
  const chosen = EVERY_FEATURE.includes(name) && variants === VARIANTS[0];
  // Asked of the fixtures that have every feature between them, in one set of kernels: it is of sampling and dials. Elsewhere there is no such test.
  const chosenTest = (title: string, body: () => Promise<void>): void => void (chosen && test(title, body));
  let fixture: Fixture;
  let bench: Bench;
  let edits: EngineEdit[];
  let ids: number[];
  let width: number;
  beforeAll(() => {
    ({ fixture, bench } = opened());
    const d = bench.record.info.dModel;
    edits = [
      add('blocks.0.hook_resid_post', vector(d, 3), { scale: 0.7 } as Partial<EngineEdit>),
      project(`blocks.${deepLayer(fixture)}.hook_attn_out`, vector(d, 5), 0.2),
    ];
    ids = promptIds(fixture.cases, 1);
    width = specOf(fixture).vocabOut;
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

  chosenTest('a dial is obeyed by the third token after the last one taken, and by none that was ahead', async () => {
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

  chosenTest('moving a dial builds no pipeline and writes at most 64 bytes', async () => {
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

  chosenTest('same seed, same text; another seed, another; the noise is shared by the streams', async () => {
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
}

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
