/**
 * Sweeps as the engine runs them: each batch in its turn, so that a text that is being written goes on beside one; what was computed kept until the model changes, so
 * that a cancelled one can be taken up again. Fetched when first asked for.
 */
import type { Grid, PatchSetResult, Planned, SweepPlan } from './api';
import type { EnginePatchSet, EnginePath, EngineSweep } from './contract-sweep';
import { printed } from './engine-requests';
import { throwIfAborted } from './errors';
import { baselineRows, bytesOf, costOf, rowLayers, type Limits } from './experiments/sweep/chunks';
import { latentLayer } from './experiments/sweep/latents';
import { checkReceivers, PathRun } from './experiments/sweep/path';
import { rowsPlanned } from './experiments/sweep/planned';
import { patchSet } from './experiments/sweep/set';
import { SweepRun, type Swept, type Turn } from './experiments/sweep/sweep';
import { changed, heard, keyOf, type Lent } from './engine-turns';
import { checkGrid } from './model/causal/grid';
import { drawn, embeddingDeviation } from './model/causal/noise';
import { checkPairs } from './model/causal/pairs';
import { paceOf, type Pace } from './model/pace';
import { checkIds, type Runtime } from './model/runtime';

/** Bytes of a chunk's buffers, and how long one chunk may keep others waiting. */
const BYTES = 256 << 20;
const CHUNK_MS = 500;
/** Unfinished sweeps that are remembered. */
const KEPT = 4;

export class Sweeps {
  private count = 0;
  private readonly kept = new Map<string, Run>();

  constructor(private readonly lent: Lent) {}

  private turnOf(model: Runtime, stop: () => void): Turn {
    const pace = paceOf(model.gpu);
    const { dictionary } = this.lent;
    return { model, dictionary, limits: limitsOf(model, pace), by: pace.runner(model.gpu, stop) };
  }

  sweep(request: EngineSweep, signal: AbortSignal, progress?: OnDone): Promise<Grid> {
    return heard(
      signal,
      this.all(request, (model) => this.sweepRun(model, request, signal), signal, progress),
    );
  }

  pathPatch(request: EnginePath, signal: AbortSignal, progress?: OnDone): Promise<Grid> {
    const begin = (model: Runtime): Promise<PathRun> => {
      checkIdsOf(model, request.pairs);
      checkReceivers(model, request.receivers);
      return Promise.resolve(new PathRun(request, this.name()));
    };
    return heard(signal, this.all(request, begin, signal, progress));
  }

  patchSet(request: EnginePatchSet, signal: AbortSignal): Promise<PatchSetResult> {
    const stop = (): void => throwIfAborted(signal);
    const work = this.lent.turn(async (model) => {
      checkIdsOf(model, request.pairs);
      const name = this.name();
      try {
        return await patchSet(this.turnOf(model, stop), request, name);
      } finally {
        model.scratch.drop(`${name}.`);
      }
    });
    return heard(signal, work);
  }

  private name(): string {
    return `sweep.${++this.count}`;
  }

  /** Turn after turn until nothing is left, from where the same request was left before. */
  private async all(request: object, begin: (model: Runtime) => Promise<Run>, signal: AbortSignal, progress?: OnDone): Promise<Grid> {
    const stop = (): void => throwIfAborted(signal);
    const { key, run } = await this.lent.turn(async (model) => {
      stop();
      const key = keyOf(model, request);
      const run = this.kept.get(key) ?? (await begin(model));
      this.kept.delete(key);
      this.kept.set(key, run);
      for (const old of this.kept.keys()) if (this.kept.size > KEPT) this.kept.delete(old);
      return { key, run };
    });
    for (;;) {
      stop();
      const { out, done } = await this.lent.turn(async (model) => {
        if (keyOf(model, request) !== key) throw changed();
        stop();
        let more = false;
        try {
          more = await run.step(this.turnOf(model, stop));
          return { out: more ? undefined : run.result(model), done: run.progress(model) };
        } finally {
          if (!more) run.rest(model);
        }
      });
      progress?.(...done);
      if (!out) continue;
      this.kept.delete(key);
      return out;
    }
  }

  private async sweepRun(model: Runtime, request: EngineSweep, signal?: AbortSignal): Promise<SweepRun> {
    const swept = this.checked(model, request);
    const { noise } = request;
    if (!noise) return new SweepRun(request, swept, this.name());
    const deviation = await embeddingDeviation(model, () => throwIfAborted(signal));
    const tokens = request.pairs[0]?.clean.length ?? 0;
    return new SweepRun(request, swept, this.name(), drawn(noise, deviation, tokens, model.spec.dModel));
  }

  private checked(model: Runtime, { over, grid, pairs, ablate }: EngineSweep): Swept {
    checkGrid(model.spec, over, grid, ablate);
    checkIdsOf(model, pairs);
    if (typeof over !== 'object') return { over };
    latentLayer(this.lent.dictionary(over.dictionary));
    return { dictionary: over.dictionary };
  }

  planSweep(request: EngineSweep): Promise<SweepPlan> {
    return this.lent.turn((model) => {
      const swept = this.checked(model, request);
      checkPairs(request.noise ? [] : request.pairs, false);
      const pace = paceOf(model.gpu);
      const what = swept.over === undefined ? { dictionary: this.lent.dictionary(swept.dictionary) } : { over: swept.over };
      const { spec, planner } = model;
      const { chunks, shapes, ...rows } = rowsPlanned({ spec, layout: planner.layout }, request, what, limitsOf(model, pace));
      let bytes = 0;
      let submissions = 0;
      for (const { shape, laid } of chunks) {
        const layers = laid.reduce((sum, each) => sum + rowLayers(shape, each), 0);
        const many = laid.reduce((sum, { from }) => sum + shape.tokens - from, 0);
        bytes = Math.max(bytes, bytesOf(shape, many, laid.length).all);
        submissions += Math.ceil(costOf(shape, layers, laid.length) / pace.piece);
      }
      for (const shape of shapes) submissions += Math.ceil(costOf(shape, baselineRows(shape), 2) / pace.piece);
      return Promise.resolve({ ...rows, chunks: chunks.length, bytes, submissions });
    });
  }

  /** The pair's runs, then the first chunk. The pair is run for it, since what the chunk starts from is what they give. */
  explainSweep(request: EngineSweep): Promise<Planned[]> {
    return this.lent.turn(async (model) => {
      const run = await this.sweepRun(model, request);
      const turn = this.turnOf(model, () => undefined);
      try {
        return printed(await run.explained(turn));
      } finally {
        run.rest(model);
      }
    });
  }
}

type OnDone = (done: number, of: number) => void;
/** A grid on its way. */
type Run = Pick<SweepRun | PathRun, 'step' | 'progress' | 'result' | 'rest'>;

function limitsOf({ gpu }: Runtime, pace: Pace): Limits {
  const { maxBufferSize, maxStorageBufferBindingSize } = gpu.limits;
  return {
    binding: Math.min(maxBufferSize, maxStorageBufferBindingSize),
    bytes: BYTES,
    chunk: pace.rate * CHUNK_MS,
  };
}

function checkIdsOf(model: Runtime, pairs: readonly { clean: number[]; corrupted: number[] }[]): void {
  for (const { clean, corrupted } of pairs) {
    checkIds(model, clean);
    checkIds(model, corrupted);
  }
}
