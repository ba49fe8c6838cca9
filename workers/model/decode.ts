/** What one decoded token is made of: its operations, its edits, its result. Pure, but for a replace edit's source runs. */
import type { EngineChoice, EngineGenerate, EngineStep } from '../contract';
import type { Op } from '../gpu/commands';
import { HEADER, resultWords, sample } from '../kernels/distribution';
import { listWords, readList } from '../kernels/dictionary';
import { compileEdits, type CompiledEdits, type PlacedEdit } from './edits';
import { unembed } from './head';
import { plan, type CacheShape } from './plan';
import { readHook } from './run';
import { withDictionaries, type Runtime, type Watched } from './runtime';
import { sourceOf } from './sources';
import { sampledStreams, type Stream } from './streams';

/** First candidates that come with every step. */
const TOP = 10;
/** The cache is allocated once: at least so many tokens beyond the prompt, so that a text can go on. */
export const ROOM = 256;

const candidates = (model: Runtime): number => Math.min(TOP, model.spec.vocabOut);
export const resultBytes = (model: Runtime, streams: readonly Stream[]): number => 4 * streams.length * resultWords(candidates(model));

/** (latent, value) pairs of a watched dictionary that come back with a token: 3,848 bytes. */
export const WATCH_ROOM = 480;
const WATCH_BYTES = 4 * listWords(WATCH_ROOM);
export const watchBytes = (request: Pick<EngineGenerate, 'watch'>): number => WATCH_BYTES * request.watch.length;
/** Each watched dictionary's list, one after the other, of the steered stream alone. */
export const watchesOf = (request: Pick<EngineGenerate, 'watch'>): Watched[] =>
  request.watch.map((dictionary, i) => ({ dictionary, room: WATCH_ROOM, rows: 1, lists: { to: 'watch', offset: i * WATCH_BYTES } }));

export function capacityOf(model: Runtime, request: Pick<EngineGenerate, 'ids' | 'tokens'>): number {
  return Math.min(model.context, request.ids.length + Math.max(request.tokens, ROOM));
}

/** From the row table to the next token in it. `setup` once, before the first. */
export function decodeOps(
  model: Runtime,
  streams: readonly Stream[],
  cache: CacheShape,
  edits: CompiledEdits,
  watches: readonly Watched[],
): { ops: Op[]; setup: Op[]; needs: ReadonlyMap<string, number> } {
  const { inserts, setup, needs } = withDictionaries(model, streams.length, edits, watches);
  const { ops, stream } = plan(model.planner, { rows: streams.length, cache, keys: cache.cap, sites: edits.sites, taps: [], inserts });
  return { ops: [...ops, ...headOps(model, streams, stream.buffer, stream.normed)], setup, needs };
}

/** From the final stream of each row (one row a stream) to the next token. */
export function headOps(model: Runtime, streams: readonly Stream[], x: string, normed: boolean): Op[] {
  const { planner, spec } = model;
  const shadow = streams.find((each) => each.kind === 'shadow');
  return [
    ...unembed(planner, { x, row0: 0, rows: streams.length, normed }),
    sample({
      sampled: sampledStreams(streams),
      rows: streams.length,
      n: spec.vocabOut,
      stride: planner.layout.vocab,
      k: candidates(model),
      ...(shadow ? { shadow: { row: shadow.row, of: 0 } } : {}),
    }),
  ];
}

/** The copy that brings a step's result to the host; counted like the rest. */
export const resultCopy = (model: Runtime, streams: readonly Stream[]): Op => ({
  op: 'copy',
  from: 'result',
  fromOffset: 0,
  to: 'step',
  toOffset: 0,
  bytes: resultBytes(model, streams),
  hook: 'sample',
});

/** Compiles a request's edits for positions up to the cache's capacity. */
export async function compileFor(model: Runtime, request: EngineGenerate, capacity: number): Promise<CompiledEdits> {
  const placed: PlacedEdit[] = [];
  for (const edit of request.edits) {
    // Negative positions count from promptLength; a replace from another prompt covers that prompt's positions.
    const target = { promptLength: request.promptLength, length: capacity, end: request.promptLength, tokens: request.ids.length };
    const source = await sourceOf(model.planner.hooks, edit, target, (ids, hook) => readHook(model, ids, hook));
    placed.push({ edit, sequence: 0, ...target, ...(source ? { source } : {}) });
  }
  return compileEdits(model.planner.hooks, placed, capacity, model.special, model.spec.vocab);
}

/** A step from the sampler's words (shaders/sample.wgsl); the logarithms of the divergence are taken here, in float64. */
export function stepOf(
  model: Runtime,
  streams: readonly Stream[],
  bytes: ArrayBuffer,
  rest: Pick<EngineStep, 'position' | 'dials' | 'reread'>,
  watch: readonly string[] = [],
): EngineStep {
  const k = candidates(model);
  const size = resultWords(k);
  const words = new Uint32Array(bytes);
  const floats = new Float32Array(bytes);
  const f = (i: number): number => floats[i] ?? NaN;
  const choice = (row: number): EngineChoice => {
    const at = row * size;
    return {
      id: words[at] ?? 0,
      probability: f(at + 1),
      top: Array.from({ length: k }, (_, j) => ({ id: words[at + HEADER + 2 * j] ?? 0, probability: f(at + HEADER + 2 * j + 1) })),
    };
  };
  const baseline = streams.find((each) => each.kind === 'baseline');
  const shadow = streams.some((each) => each.kind === 'shadow');
  return {
    ...rest,
    steered: choice(0),
    ...(watch.length ? { latents: watched(words, resultBytes(model, streams) / 4, watch) } : {}),
    ...(baseline ? { baseline: choice(baseline.row) } : {}),
    // KL(shadow ‖ steered) = Σ p_s((x_s − m_s) − (x − m)) − log Σ_s + log Σ
    ...(shadow ? { kl: Math.max(0, f(2) - Math.log(f(6)) + Math.log(f(4))) } : {}),
  };
}

function watched(words: Uint32Array, at: number, watch: readonly string[]): NonNullable<EngineStep['latents']> {
  return Object.fromEntries(watch.map((id, i) => [id, readList(words, at + (i * WATCH_BYTES) / 4)]));
}
