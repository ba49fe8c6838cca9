/** An engine with a model in use, as the page would have it, but without workers: files opened by the real import, kept in memory. */
import type { Sequence } from '../../workers/model/run';
import type { EngineEdit, EngineGenerate, EngineRun, EngineStep, ModelRecord, OpenedFile, UseOptions } from '../../workers/contract';
import { Engine } from '../../workers/engine';
import { Files } from '../../workers/files';
import { shaders } from '../../workers/gpu/shaders';
import type { TensorReader } from '../../workers/gpu/stored';
import { Library } from '../../workers/library/library';
import { noLocks } from '../../workers/library/locks';
import { openTensors } from '../../workers/library/tensors';
import { EVERY_FEATURE, FIXTURES, type Fixture, type FixtureName } from '../golden/fixture';

export interface Bench {
  engine: Engine;
  files: Files;
  record: ModelRecord;
}

export const VARIANTS = [
  'matvec:register,matmul:register,attention:serial',
  'matvec:workgroup,matmul:tiled,attention:workgroup',
  'matvec:subgroup,matmul:tiled,attention:workgroup',
] as const;

/** A fixture, and the kernels that it is run with. */
export interface Run {
  name: FixtureName;
  variants: (typeof VARIANTS)[number];
}
export interface Opened {
  fixture: Fixture;
  bench: Bench;
}

/** Every fixture with the plain kernels; those with every feature in the others too. Subgroups serve decoding alone: meaning.test.ts has them. */
export const RUNS: readonly Run[] = [
  ...FIXTURES.map((name) => ({ name, variants: VARIANTS[0] })),
  ...EVERY_FEATURE.map((name) => ({ name, variants: VARIANTS[1] })),
];

/** Who reads a dictionary, by its name, where a test made one. */
export const readers = new Map<string, TensorReader & { close(): void }>();

const engines = new Map<string, Promise<Engine>>();
/** One engine for each set of options of a test file: a kernel is compiled for each device anew, and on a processor that is where the time goes. */
function engineWith(options: { variants: string; limits?: 'default' }): Promise<Engine> {
  const key = JSON.stringify(options);
  const found = engines.get(key) ?? started(options);
  engines.set(key, found);
  return found;
}
async function started(options: { variants: string; limits?: 'default' }): Promise<Engine> {
  const engine = new Engine({
    gpu: () => navigator.gpu as GPU | undefined,
    shaders,
    openTensors: (each) => Promise.resolve(readers.get(each.name) ?? openTensors(each, noLocks)),
  });
  await engine.start(options);
  return engine;
}

/** A model dropped and put to use. */
export async function openBench(
  dropped: readonly OpenedFile[],
  options: { variants?: string; limits?: 'default'; weights?: UseOptions['weights'] } = {},
): Promise<Bench> {
  const files = new Files(
    new Library({ locks: noLocks, estimate: () => Promise.resolve({ usage: 0, quota: 0 }), persisted: () => Promise.resolve(false) }),
  );
  const opened = await files.open(dropped, 'open');
  const record = await files.record(opened.models[0]?.id ?? '');
  const wanted = { variants: options.variants ?? VARIANTS[0], ...(options.limits ? { limits: options.limits } : {}) };
  const engine = await engineWith(wanted);
  const vocabulary = await files.vocabulary(record.id);
  await engine.use(record, { weights: options.weights ?? 'stored' }, vocabulary.special, 'use');
  return { engine, files, record };
}

/** A run with everything left at rest. */
export const run = (ids: readonly number[], rest: Partial<EngineRun> = {}): EngineRun => ({
  ids: [...ids],
  promptLength: ids.length,
  edits: [],
  taps: [],
  logits: 'all',
  ...rest,
});

export const generate = (ids: readonly number[], rest: Partial<EngineGenerate> = {}): EngineGenerate => ({
  ids: [...ids],
  promptLength: ids.length,
  edits: [],
  baseline: false,
  shadow: false,
  tokens: 12,
  temperature: 0,
  topK: 0,
  topP: 1,
  seed: 0,
  eos: [],
  watch: [],
  ...rest,
});

/** Every step of a generation, and why it ended. */
export async function steps(
  engine: Engine,
  request: EngineGenerate,
  each?: (step: EngineStep, id: string) => void | Promise<void>,
): Promise<EngineStep[]> {
  const id = await engine.open(request);
  const all: EngineStep[] = [];
  for (;;) {
    const step = await engine.next(id);
    if ('ended' in step) break;
    all.push(step);
    await each?.(step, id);
  }
  await engine.close(id);
  return all;
}

export const add = (at: string, vector: Float32Array, rest: Partial<EngineEdit> = {}): EngineEdit =>
  ({ at, where: 'all', skipSpecial: false, strength: 1, enabled: true, kind: 'add', vector, scale: 1, ...rest }) as EngineEdit;

export const project = (at: string, vector: Float32Array, keep: number, rest: Partial<EngineEdit> = {}): EngineEdit =>
  ({ at, where: 'all', skipSpecial: false, strength: 1, enabled: true, kind: 'project', vector, keep, ...rest }) as EngineEdit;

/** A fixed vector of plausible numbers. */
export function vector(length: number, seed = 1): Float32Array {
  let state = seed * 2654435761;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

export type { Sequence };
