/** Our engine with the model in use, opened as the page opens it (the real import, the real upload), in a window or in Node with Dawn. */
import { Engine } from '../workers/engine';
import { Files } from '../workers/files';
import type { EngineGenerate, EngineRun } from '../workers/contract';
import { shaders } from '../workers/gpu/shaders';
import { Library } from '../workers/library/library';
import { noLocks } from '../workers/library/locks';
import { openTensors } from '../workers/library/tensors';
import { folderOf, type Shape, type Weight } from './model';

export interface OpenOptions {
  gpu: GPU | undefined;
  variants?: string;
}

export async function openEngine(shape: Shape, weights: readonly Weight[], { gpu, variants }: OpenOptions): Promise<Engine> {
  const files = new Files(
    new Library({ locks: noLocks, estimate: () => Promise.resolve({ usage: 0, quota: 0 }), persisted: () => Promise.resolve(false) }),
  );
  const opened = await files.open(folderOf(shape, weights), 'open');
  const record = await files.record(opened.models[0]?.id ?? '');
  const engine = new Engine({ gpu: () => gpu, shaders, openTensors: (each) => openTensors(each, noLocks) });
  await engine.start(variants === undefined ? {} : { variants });
  await engine.use(record, { weights: 'stored' }, [], 'use');
  return engine;
}

export const runOf = (ids: readonly number[], logits: EngineRun['logits']): EngineRun => ({
  ids: [...ids],
  promptLength: ids.length,
  edits: [],
  taps: [],
  logits,
});

/** Greedy, nothing edited, no end but the number of tokens. */
export const greedy = (ids: readonly number[], tokens: number): EngineGenerate => ({
  ids: [...ids],
  promptLength: ids.length,
  edits: [],
  baseline: false,
  shadow: false,
  tokens,
  temperature: 0,
  topK: 0,
  topP: 1,
  seed: 0,
  eos: [],
  watch: [],
});

export async function logitsOf(engine: Engine, ids: readonly number[], which: 'all' | 'last'): Promise<Float32Array> {
  const [result] = await engine.batch([runOf(ids, which)], 'bench');
  return result?.logits?.data ?? new Float32Array(0);
}
