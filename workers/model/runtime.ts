/**
 * A model on the GPU: its spec, weights, hooks, and the scratch that runs share. Everything that computes is given one.
 */
import { LabError } from '../errors';
import type { Processing } from '../api';
import type { ModelRecord, OnProgress, UseOptions } from '../contract';
import { Pool, type Op } from '../gpu/commands';
import type { Gpu } from '../gpu/device';
import type { Variants } from '../kernels/linear';
import type { CompiledEdits } from './edits';
import { familyOf } from './families';
import type { Family } from './family';
import { hooksOf } from './hooks';
import { layoutOf } from './layout';
import { ropeBuffer, type Inserts, type Planner } from './plan';
import { anyOf, applicable, askedFor, processedSpec, processingSteps } from './processing';
import { processWeights } from './process-weights';
import type { ModelSpec, Rotary } from './spec';
import type { TensorReader } from '../gpu/stored';
import { loadWeights } from './weights';

/** The rotary table grows with the context; longer sequences than this are refused for now. */
const MOST_POSITIONS = 32768;

export interface Runtime {
  gpu: Gpu;
  id: string;
  planner: Planner;
  /** As it runs: processed where that was asked for. */
  spec: ModelSpec;
  /** What was done to the weights. */
  processing: Processing;
  /** Weights and tables. */
  weights: Pool;
  /** Scratch for runs (not for generation, which keeps its own). */
  scratch: Pool;
  /** Longest sequence. */
  context: number;
  /** Ids of special tokens, for skipSpecial. */
  special: readonly number[];
  /** The words of `vecs` before any processing. */
  storedVectors: Float32Array;
  /** Brings dictionaries into a plan; set by whoever holds them. */
  compose?: Compose;
}

interface BufferPlace {
  to: string;
  offset: number;
}
/**
 * A dictionary that is to be read in a plan (workers/dictionary/compose.ts): lists of at most `room` active latents of the first `rows` rows; `measured`: and how
 * far its reconstructions are from what they reconstruct, and, where wanted, the reconstructions.
 */
export interface Watched {
  dictionary: string;
  room: number;
  rows: number;
  lists: BufferPlace;
  /** Where there are more active latents than room, any of them will do. */
  any?: boolean;
  measured?: { errors: BufferPlace; y?: BufferPlace };
}
export type Compose = (call: {
  rows: number;
  segments: CompiledEdits['segments'];
  sites: CompiledEdits['sites'];
  watches: readonly Watched[];
}) => { inserts: ReadonlyMap<string, Inserts>; setup: Op[]; needs: ReadonlyMap<string, number> };

/** What the edits' dictionaries and those that are watched add to a plan; nothing where there are none. */
export function withDictionaries(
  model: Runtime,
  rows: number,
  { segments, sites }: Pick<CompiledEdits, 'segments' | 'sites'>,
  watches: readonly Watched[] = [],
): ReturnType<Compose> {
  if (segments.size === 0 && watches.length === 0) return { inserts: new Map(), setup: [], needs: new Map() };
  if (!model.compose) throw new LabError('internal', 'No dictionaries are at hand.', 'Please report this.');
  return model.compose({ rows, segments, sites, watches });
}

export interface LoadOptions {
  gpu: Gpu;
  record: ModelRecord;
  /** Who reads the checkpoint, where it is not the family that its config names: tests read it wrongly on purpose. */
  family?: Family;
  reader: TensorReader;
  use: UseOptions;
  special: readonly number[];
  variants: Variants;
  signal?: AbortSignal;
  progress?: OnProgress | undefined;
}

export async function loadModel(options: LoadOptions): Promise<Runtime> {
  const { gpu, record } = options;
  const family = options.family ?? familyOf(record.config);
  const stored = family.spec(record.config);
  const processing = applicable(stored, askedFor(options.use));
  const spec = processedSpec(stored, processing);
  const layout = layoutOf(spec);
  const weights = new Pool(gpu);
  const call = {
    gpu,
    pool: weights,
    spec,
    layout,
    progress: options.progress,
    ...(options.signal ? { signal: options.signal } : {}),
  };
  try {
    const asked = anyOf(processing) ? 'f32' : options.use.weights;
    const { table, stored: storedVectors } = await loadWeights({ ...call, family, stored, record, reader: options.reader, weights: asked });
    if (anyOf(processing)) await processWeights({ ...call, table, steps: processingSteps(stored, processing) });
    const context = Math.min(spec.context, MOST_POSITIONS);
    if (spec.positions.kind === 'rotary')
      spec.positions.tables.forEach((table, i) => {
        const words = ropeTable(context, table);
        gpu.write(weights.need(ropeBuffer(i), words.byteLength), 0, words);
      });
    await gpu.check();
    const planner: Planner = { spec, layout, weights: table, hooks: hooksOf(spec, layout), variants: options.variants };
    const scratch = new Pool(gpu, weights);
    return { gpu, id: record.id, planner, spec, processing, weights, scratch, context, special: options.special, storedVectors };
  } catch (thrown) {
    weights.free();
    throw thrown;
  }
}

export function freeModel(model: Runtime): void {
  model.scratch.free();
  model.weights.free();
}

/** cos and sin of position · frequency, in float64 rounded once: [context][pairs] of two. */
export function ropeTable(context: number, { frequencies, scale }: Rotary): Float32Array<ArrayBuffer> {
  const half = frequencies.length;
  const table = new Float32Array(context * half * 2);
  frequencies.forEach((frequency, i) => {
    for (let position = 0; position < context; position++) {
      const angle = position * frequency;
      table[2 * (position * half + i)] = scale * Math.cos(angle);
      table[2 * (position * half + i) + 1] = scale * Math.sin(angle);
    }
  });
  return table;
}

export function checkIds(model: Runtime, ids: readonly number[]): void {
  if (ids.length === 0) throw new LabError('prompt-empty', 'The prompt has no tokens.', 'Type some text, or ask for a BOS token.');
  if (ids.length > model.context)
    throw new LabError('prompt-too-long', `The prompt has ${ids.length} tokens; this model reads ${model.context}.`, 'Shorten the text.');
  const bad = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= model.spec.vocab);
  if (bad !== undefined)
    throw new LabError(
      'token-range',
      `${bad} is no token of this model; ids go from 0 to ${model.spec.vocab - 1}.`,
      'Tokenise the text with this model’s tokeniser.',
    );
}
