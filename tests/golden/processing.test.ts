/**
 * Weight processing: the same function of the tokens, in other weights. Log-probabilities and text stay what they were (1e-5 of the
 * row), every hook is what float64 gives with weights processed by the formulas (5e-5), and a centred stream has no mean.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Processing, ProcessingOptions } from '../../workers/api';
import type { EngineRunResult, ModelRecord } from '../../workers/contract';
import { Engine } from '../../workers/engine';
import { shaders } from '../../workers/gpu/shaders';
import { Gpu } from '../../workers/gpu/device';
import { applicable, askedFor, processingWords } from '../../workers/model/processing';
import { runBatch } from '../../workers/model/run';
import { freeModel, loadModel } from '../../workers/model/runtime';
import type { ModelSpec } from '../../workers/model/spec';
import { at } from '../reference/array';
import { forward, record } from '../reference/forward';
import { centre } from '../reference/norm';
import { processed } from '../reference/process';
import { logSoftmax } from '../reference/softmax';
import type { Weights } from '../reference/weights';
import { generate, openBench, run, steps, VARIANTS } from '../support/engine';
import { CONFIGS, randomModel } from '../support/random-model';
import { promptIds } from './cases';
import { compareRows, describeComparison } from './compare';
import { loadFixture, loadProcessed, type FixtureName } from './fixture';
import { twinOf } from './twin';

const SAME = 1e-5;
const GOLDEN = 5e-5;

const SETTINGS: Readonly<Record<string, ProcessingOptions>> = {
  fold: { fold: true },
  center: { center: true },
  'fold and center': { fold: true, center: true },
  foldLn: { foldLn: true },
  foldValueBiases: { foldValueBiases: true },
  centerWritingWeights: { centerWritingWeights: true },
  centerUnembed: { centerUnembed: true },
};

interface Subject {
  engine: Engine;
  record: ModelRecord;
  spec: ModelSpec;
  weights: Weights;
  ids: number[];
}
const noted = new Map<string, number>();

function close(what: string, actual: ArrayLike<number>, expected: ArrayLike<number>, width: number, tolerance: number): void {
  const found = compareRows(actual, expected, width, tolerance);
  const kind = what.split(',')[0] ?? what;
  noted.set(kind, Math.max(noted.get(kind) ?? 0, found.worst));
  expect(found.within, describeComparison(what, found)).toBe(true);
}
afterAll(() => {
  for (const [kind, worst] of noted) console.log(`${kind}: worst error ${worst.toExponential(1)} of a row's scale`);
});

const rowsOf = (result: EngineRunResult | undefined, width: number): Float64Array[] => {
  const data = result?.logits?.data ?? new Float32Array(0);
  return Array.from({ length: data.length / width }, (_, row) => Float64Array.from(data.subarray(row * width, (row + 1) * width)));
};
const flat = (rows: readonly Float64Array[]): number[] => rows.flatMap((row) => [...row]);

function suite(open: () => Promise<Subject>, names: readonly string[] = Object.keys(SETTINGS)): void {
  let subject: Subject;
  let raw: EngineRunResult | undefined;
  let text: number[];
  const written = async (): Promise<number[]> =>
    (await steps(subject.engine, generate(subject.ids.slice(0, 4)))).map((step) => step.steered.id);
  beforeAll(async () => {
    subject = await open();
    [raw] = await subject.engine.batch([run(subject.ids)], 'job');
    text = await written();
  });
  afterAll(async () => {
    await subject.engine.unload(subject.record.id);
  });

  test.each(names)('%s', async (name) => {
    const options = SETTINGS[name] ?? {};
    const { engine, spec, ids } = subject;
    const done = applicable(spec, askedFor(options));
    const info = await engine.use(subject.record, { weights: 'stored', ...options }, [], 'use');
    expect(info.processing).toEqual(done);
    expect(info.badge).toContain(processingWords(spec, done));
    if (Object.values(done).some(Boolean)) expect(info.weights).toBe('f32');

    const hooks = (await engine.hooks()).map(({ name }) => name);
    const [result] = await engine.batch([run(ids, { taps: hooks })], 'job');
    const expected = record(spec, processed(spec, subject.weights, done), ids);
    expect([...expected.keys()].sort()).toEqual([...hooks].sort());
    for (const [hook, { shape, data }] of expected) {
      expect(result?.taps[hook]?.shape, hook).toEqual(shape);
      // The first query's row of scores is one number, which may be near 0 by cancellation: a head's scores have one scale.
      const width = hook.endsWith('attn_scores') ? ids.length ** 2 : (shape.at(-1) ?? 1);
      const found = result?.taps[hook]?.data ?? new Float32Array(0);
      close(`hooks, ${hook}`, found, data, width, GOLDEN);
      if (done.centerWritingWeights && /hook_(resid_|embed|pos_embed|attn_out|mlp_out)/.test(hook)) expectNoMean(hook, found, width);
    }

    const width = spec.vocabOut;
    const [plain] = await engine.batch([run(ids)], 'job');
    const [before, after] = [rowsOf(raw, width), rowsOf(plain, width)];
    const logProbs = (rows: readonly Float64Array[]) => flat(rows.map((row) => logSoftmax(row)));
    close('log-probs against raw', logProbs(after), logProbs(before), width, SAME);
    const level = (rows: readonly Float64Array[]) => (done.centerUnembed ? centre(flat(rows), width, 'layer') : flat(rows));
    close('logits against raw', level(after), level(before), width, SAME);
    close('logits against float64', flat(after), forward(spec, processed(spec, subject.weights, done), ids), width, GOLDEN);
    if (done.centerUnembed) for (const row of after) expect(Math.abs(mean(row)) / largest(row)).toBeLessThan(SAME);
    expect(await written()).toEqual(text);
  });

  test('the unembedding’s column is the file’s, whatever was done', async () => {
    const { engine, weights, spec } = subject;
    await engine.use(subject.record, { weights: 'stored', fold: true, center: true }, [], 'use');
    for (const token of [0, 7, spec.vocabOut - 1]) {
      const column = await engine.unembedding(token);
      expect([...column]).toEqual([
        ...Float32Array.from({ length: spec.dModel }, (_, i) => at(weights.unembed.weight, token * spec.dModel + i)),
      ]);
    }
    await expect(engine.unembedding(spec.vocabOut)).rejects.toMatchObject({ code: 'token-range' });
  });
}

const mean = (row: ArrayLike<number>): number => Array.from(row).reduce((sum, value) => sum + value, 0) / row.length;
const largest = (row: ArrayLike<number>): number => Math.max(...Array.from(row, Math.abs));
function expectNoMean(hook: string, data: Float32Array, width: number): void {
  for (let start = 0; start < data.length; start += width) {
    const row = data.subarray(start, start + width);
    expect(Math.abs(mean(row)), hook).toBeLessThanOrEqual(SAME * largest(row));
  }
}

/** One of each form of block is held to every switch; one of each other family to all of them together. */
const WHOLE = ['gpt2-odd', 'neox-partial', 'qwen2-bias', 'gemma2-caps'] as const;
const TOGETHER = [
  ...['gpt2-scaled', 'gptneo-local', 'llama-gqa', 'llama-bf16', 'mistral-window', 'qwen3-norm'],
  ...['gemma3-windows', 'phi2-partial', 'phi3-fused', 'starcoder2-bias', 'toy-ln'],
] as FixtureName[];

describe.each([...WHOLE, ...TOGETHER])('%s', (name) => {
  suite(
    async () => {
      const fixture = await loadFixture(name);
      return { ...(await openBench(fixture.files)), ...(await twinOf(fixture)), ids: promptIds(fixture.cases, 1) };
    },
    TOGETHER.includes(name) ? ['fold and center'] : undefined,
  );
});

const IDS = [1, 17, 42, 8, 60, 3, 3, 29, 11];

/** One engine for every random model: kernels that fit two of them are built once. */
const readers = new Map<string, ReturnType<typeof randomModel>['reader']>();
let shared: Promise<Engine> | undefined;
const start = async (): Promise<Engine> => {
  const engine = new Engine({
    gpu: () => navigator.gpu as GPU | undefined,
    shaders,
    openTensors: ({ name }) => {
      const reader = readers.get(name);
      return reader ? Promise.resolve(reader) : Promise.reject(new Error(`no model ${name}`));
    },
  });
  await engine.start({ variants: VARIANTS[0] });
  return engine;
};
function engineFor({ record, reader }: ReturnType<typeof randomModel>): Promise<Engine> {
  readers.set(record.name, reader);
  return (shared ??= start());
}

// Biases that come to be, and a gate behind a LayerNorm: no fixture has them.
describe.each(Object.entries(CONFIGS).filter(([name]) => /without attention biases|toy/.test(name)))('a random %s', (_name, config) => {
  suite(async () => {
    const model = randomModel(config);
    const engine = await engineFor(model);
    await engine.use(model.record, { weights: 'stored' }, [], 'use');
    return { engine, record: model.record, spec: model.spec, weights: model.weights, ids: IDS };
  }, ['fold and center']);
});

describe.each(['gpt2-odd', 'llama-gqa', 'toy-ln'] as const)('%s against TransformerLens itself', (name) => {
  test.each([
    ['fold', { fold: true }],
    ['center', { center: true }],
    ['both', { fold: true, center: true }],
  ])('%s', async (setting, options) => {
    const fixture = await loadFixture(name);
    const theirs = await loadProcessed(name);
    const bench = await openBench(fixture.files);
    await bench.engine.use(bench.record, { weights: 'stored', ...options }, [], 'use');
    const hooks = (await bench.engine.hooks()).map((each) => each.name);
    const [result] = await bench.engine.batch([run(promptIds(fixture.cases, 1), { taps: hooks })], 'job');
    for (const hook of [...hooks, 'logits']) {
      const expected = theirs.get(`${setting}/${hook}`);
      const found = hook === 'logits' ? result?.logits : result?.taps[hook];
      expect(found?.shape, hook).toEqual(expected?.shape);
      const width = hook.endsWith('attn_scores') ? (found?.shape[1] ?? 1) ** 2 : (found?.shape.at(-1) ?? 1);
      close(`TransformerLens, ${hook}`, found?.data ?? [], expected?.data ?? [], width, GOLDEN);
    }
    await bench.engine.unload(bench.record.id);
  });
});

test('matrices in several pieces', async () => {
  const model = randomModel(CONFIGS['GPT-2'] ?? {});
  const gpu = await Gpu.open(navigator.gpu as GPU | undefined, shaders);
  // A third of the embedding fits a binding, and so for every matrix; other buffers are as they are.
  const limit = 21 * 36 * 4;
  const small = Object.create(gpu, {
    limits: { value: { maxStorageBufferBindingSize: limit, maxBufferSize: limit, minUniformBufferOffsetAlignment: 256 } },
    buffer: { value: gpu.buffer.bind(gpu) },
  }) as Gpu;
  const options: ProcessingOptions = { fold: true, center: true };
  const loaded = await loadModel({
    gpu: small,
    record: model.record,
    reader: model.reader,
    use: { weights: 'stored', ...options },
    special: [],
    variants: { matvec: 'register', matmul: 'register', attention: 'serial' },
  });
  for (const name of ['embed', 'unembed', 'blocks.0.attn.qkv', 'blocks.1.mlp.out'])
    expect(loaded.planner.weights.matrices.get(name)?.pieces.length, name).toBeGreaterThan(1);
  const positions = IDS.map((_, i) => i);
  const [out] = await runBatch(loaded, [
    { ids: IDS, promptLength: IDS.length, edits: [], taps: ['blocks.1.hook_resid_post'], logits: positions },
  ]);
  const done: Processing = applicable(model.spec, askedFor(options));
  const seen = record(model.spec, processed(model.spec, model.weights, done), IDS);
  close(
    'hooks, in pieces',
    out?.taps['blocks.1.hook_resid_post']?.data ?? [],
    seen.get('blocks.1.hook_resid_post')?.data ?? [],
    35,
    GOLDEN,
  );
  close('logits, in pieces', out?.logits ?? [], forward(model.spec, processed(model.spec, model.weights, done), IDS), 61, GOLDEN);
  freeModel(loaded);
  gpu.device.destroy();
});

test('processed weights do not run as f16, and the model in use stays', async () => {
  const model = randomModel(CONFIGS['GPT-2'] ?? {});
  const engine = await engineFor(model);
  await engine.use(model.record, { weights: 'stored', fold: true }, [], 'use');
  await expect(engine.use(model.record, { weights: 'f16', center: true }, [], 'use')).rejects.toMatchObject({ code: 'option-unsupported' });
  expect((await engine.batch([run(IDS)], 'job')).length).toBe(1);
  // All switched off again by their own names: raw, and so f16 it may be.
  const off = { fold: true, foldLn: false, foldValueBiases: false };
  const info = await engine.use(model.record, { weights: 'f16', ...off }, [], 'use');
  expect(info.badge).toContain('f32 run as f16 · raw weights, not folded, not centred');
  await engine.unload(model.record.id);
});

test('a lost device comes back with the weights processed', async () => {
  const model = randomModel(CONFIGS['GPT-2'] ?? {});
  const engine = await engineFor(model);
  await engine.use(model.record, { weights: 'stored', fold: true, center: true }, [], 'use');
  const taps = ['blocks.1.hook_resid_post', 'blocks.0.attn.hook_v'];
  const [before] = await engine.batch([run(IDS, { taps })], 'job');
  (engine as unknown as { gpu: Gpu }).gpu.device.destroy();
  const [after] = await engine.batch([run(IDS, { taps })], 'job');
  for (const hook of taps) expect(after?.taps[hook]?.data, hook).toEqual(before?.taps[hook]?.data);
  await engine.unload(model.record.id);
});

test('a model in use tells the context that it is read with, where its config promises more', async () => {
  const model = randomModel({ ...CONFIGS['Llama'], max_position_embeddings: 131072 });
  const engine = await engineFor(model);
  const { context } = await engine.use(model.record, { weights: 'stored' }, [], 'use');
  await expect(engine.batch([run(new Array<number>(context + 1).fill(1))], 'job')).rejects.toMatchObject({ code: 'prompt-too-long' });
  expect(context).toBe(32768);
  await engine.unload(model.record.id);
});
