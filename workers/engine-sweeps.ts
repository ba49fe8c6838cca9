/**
 * Sweeps as the engine runs them: each batch in its turn, so that a text that is being written goes on beside one; what was computed kept until the model changes, so
 * that a cancelled one can be taken up again. Fetched when first asked for.
 */
import type { Grid, PatchSetResult, Planned, SweepPlan } from './api';
import type { EnginePatchSet, EnginePath, EngineSweep } from './contract-sweep';
import { printed } from './engine-requests';
import { cancelled, LabError, throwIfAborted } from './errors';
import { baselineRows, bytesOf, costOf, rowLayers, type Limits } from './experiments/sweep/chunks';
import { rowsPlanned, SweepRun, type Turn } from './experiments/sweep/sweep';
import type { AnyDictionary } from './dictionary/neurons';
import { checkGrid, type Over } from './model/causal/grid';
import { Pace } from './model/pace';
import { checkIds, type Runtime } from './model/runtime';
import { isSoftware } from './model/variants';

/** What the engine lends: its turns, and the dictionaries that are on the GPU. */
export interface Lent {
  turn<T>(work: (model: Runtime) => Promise<T>): Promise<T>;
  dictionary(id: string): AnyDictionary;
}

/** Bytes of a chunk's buffers, and how long one chunk may keep others waiting. */
const BYTES = 256 << 20;
const CHUNK_MS = 500;
/** Unfinished sweeps that are remembered. */
const KEPT = 4;

export class Sweeps {
  private count = 0;
  private pace: Pace | undefined;
  private readonly kept = new Map<string, SweepRun>();

  constructor(private readonly lent: Lent) {}

  private turnOf(model: Runtime, stop: () => void): Turn {
    const pace = this.paceOf(model);
    return { model, limits: limitsOf(model, pace), run: (program, ops) => pace.run(model.gpu, program, ops, stop) };
  }
  private paceOf({ gpu }: Runtime): Pace {
    return (this.pace ??= new Pace(isSoftware(gpu)));
  }

  sweep(request: EngineSweep, signal: AbortSignal, progress?: (done: number, of: number) => void): Promise<Grid> {
    return heard(signal, this.all(request, signal, progress));
  }

  private async all(request: EngineSweep, signal: AbortSignal, progress?: (done: number, of: number) => void): Promise<Grid> {
    const stop = (): void => throwIfAborted(signal);
    const { key, run } = await this.lent.turn((model) => Promise.resolve(this.begin(model, request)));
    for (;;) {
      stop();
      const out = await this.lent.turn(async (model) => {
        if (keyOf(model, request) !== key) throw changed();
        stop();
        try {
          if (await run.step(this.turnOf(model, stop))) return undefined;
          run.rest(model);
          return run.result(model);
        } catch (thrown) {
          run.rest(model);
          throw thrown;
        }
      });
      progress?.(...run.progress());
      if (!out) continue;
      this.kept.delete(key);
      return out;
    }
  }

  /** The run of this request, taken up where it was left. */
  private begin(model: Runtime, request: EngineSweep): { key: string; run: SweepRun } {
    const checked = checkedSweep(model, request);
    const key = keyOf(model, request);
    const run = this.kept.get(key) ?? new SweepRun(checked, `sweep.${++this.count}`);
    this.kept.delete(key);
    this.kept.set(key, run);
    for (const old of this.kept.keys()) if (this.kept.size > KEPT) this.kept.delete(old);
    return { key, run };
  }

  planSweep(request: EngineSweep): Promise<SweepPlan> {
    return this.lent.turn((model) => {
      const checked = checkedSweep(model, request);
      const pace = this.paceOf(model);
      const { chunks, shapes, ...rows } = rowsPlanned(model, checked, request.noise, limitsOf(model, pace));
      let bytes = 0;
      let submissions = 0;
      chunks.forEach((chunk, i) => {
        const shape = shapes[i];
        if (!shape) return;
        const layers = chunk.reduce((sum, each) => sum + rowLayers(shape, each), 0);
        const many = chunk.reduce((sum, { from }) => sum + shape.tokens - from, 0);
        bytes = Math.max(bytes, bytesOf(shape, many, chunk.length).all);
        submissions += Math.ceil(costOf(shape, layers, chunk.length) / pace.piece);
      });
      for (const shape of new Set(shapes)) submissions += Math.ceil(costOf(shape, baselineRows(shape), 2) / pace.piece);
      return Promise.resolve({ ...rows, chunks: chunks.length, bytes, submissions });
    });
  }

  patchSet(request: EnginePatchSet, signal: AbortSignal): Promise<PatchSetResult> {
    return heard(
      signal,
      Promise.reject(new LabError('not-yet', `Sets of ${request.parts.length} parts are not patched yet.`, 'Sweep a grid.')),
    );
  }

  pathPatch(request: EnginePath, signal: AbortSignal, _progress?: (done: number, of: number) => void): Promise<Grid> {
    return heard(
      signal,
      Promise.reject(new LabError('not-yet', `Paths to ${request.receivers.length} receivers are not patched yet.`, 'Sweep a grid.')),
    );
  }

  explainSweep(request: EngineSweep): Promise<Planned[]> {
    return this.lent.turn(async (model) => {
      const run = new SweepRun(checkedSweep(model, request), `sweep.${++this.count}`);
      const turn = this.turnOf(model, () => undefined);
      try {
        return printed(await run.firstChunk(turn));
      } finally {
        run.rest(model);
      }
    });
  }
}

/** A cancel is heard at once, though the turn that is under way may still end its submission. */
function heard<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const abort = (): void => reject(cancelled());
    signal.addEventListener('abort', abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
    if (signal.aborted) abort();
  });
}

function limitsOf({ gpu }: Runtime, pace: Pace): Limits {
  const { maxBufferSize, maxStorageBufferBindingSize } = gpu.limits;
  return {
    binding: Math.min(maxBufferSize, maxStorageBufferBindingSize),
    bytes: BYTES,
    dispatch: pace.piece,
    chunk: pace.rate * CHUNK_MS,
  };
}

function checkedSweep(model: Runtime, request: EngineSweep): EngineSweep & { over: Over } {
  const { over, grid, pairs } = request;
  checkGrid(model.spec, over, grid);
  for (const { clean, corrupted } of pairs) {
    checkIds(model, clean);
    checkIds(model, corrupted);
  }
  if (typeof over === 'object') throw new LabError('not-yet', 'Latents are not swept yet.', 'Sweep the stream or the heads.');
  if (request.ablate === 'mean' && over === 'pattern')
    throw new LabError(
      'sweep-grid',
      'Patterns of different queries have no common keys to average over.',
      "Ablate z by its mean, or the pattern by 'zero' or 'resample'.",
    );
  return { ...request, over };
}

/** Under another model, or the same otherwise processed, the numbers are others. */
const keyOf = ({ id, processing, planner }: Runtime, request: EngineSweep): string =>
  JSON.stringify([id, processing, planner.weights.matrices.get('embed')?.dtype, request], (_, value: unknown) =>
    value instanceof Float32Array ? [...value] : value,
  );

const changed = (): LabError =>
  new LabError(
    'sweep-changed',
    'The model was changed while the sweep ran.',
    'Ask for the sweep again under the model that is in use now.',
  );
