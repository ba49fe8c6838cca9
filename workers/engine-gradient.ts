/**
 * Gradients as the engine runs them, and what is made of them: at hooks, and as estimates of patching grids. In short submissions, each awaited, so that a cancel submits
 * nothing more. Fetched when first asked for.
 */
import type { Grid, Planned, SweepPlan, Tensor } from './api';
import type { EngineAttribution, EngineGradient } from './contract-gradient';
import { composeBack } from './dictionary/backward';
import { printed } from './engine-requests';
import { changed, heard, keyOf, type Lent } from './engine-turns';
import { throwIfAborted } from './errors';
import { attribution } from './experiments/attribution/attribution';
import { estimateOf } from './experiments/attribution/call';
import { latentAttribution } from './experiments/attribution/latents';
import { plannedEstimate } from './experiments/attribution/planned';
import { gradients, type GradientHands } from './model/backward/gradient';
import { checkGrid } from './model/causal/grid';
import { metricPosition } from './model/causal/metric';
import { drawn, embeddingDeviation } from './model/causal/noise';
import { paceOf, submissionsOf } from './model/pace';
import { runBatch } from './model/run';
import { checkIds, type Runtime } from './model/runtime';

/** The model is another object than when the work began. */
const MOVED = new Error('another model');

export class Gradients {
  constructor(private readonly lent: Lent) {}

  private hands(model: Runtime, stop: () => void): Required<GradientHands> {
    const { gpu, planner } = model;
    const pace = paceOf(model.gpu);
    return {
      by: pace.runner(gpu, stop),
      dictionaries: (call) => composeBack({ ...call, variants: planner.variants }, this.lent.dictionary),
    };
  }

  gradient(requests: readonly EngineGradient[], at: readonly string[], signal: AbortSignal): Promise<Record<string, Tensor>[]> {
    const stop = (): void => throwIfAborted(signal);
    const work = this.lent.turn(async (model) => {
      stop();
      for (const { ids } of requests) checkIds(model, ids);
      const hands = this.hands(model, stop);
      const references = await unedited(model, requests, hands);
      const found = await gradients(
        model,
        requests.map((each, i) => {
          const reference = references[i];
          return reference ? { ...each, reference } : each;
        }),
        at,
        [],
        hands,
      );
      return found.map((each) => each.gradients);
    });
    return heard(signal, work);
  }

  /** A patching grid estimated from gradients. */
  estimate(request: EngineAttribution, signal: AbortSignal, progress?: (done: number, of: number) => void): Promise<Grid> {
    return heard(
      signal,
      this.estimated(request, () => throwIfAborted(signal), progress),
    );
  }

  /** A run or a gradient a turn. On a device that came back all is done once more; under another model nothing is. */
  private async estimated(request: EngineAttribution, stop: () => void, progress?: (done: number, of: number) => void): Promise<Grid> {
    for (;;) {
      const { model, draws } = await this.lent.turn(async (model) => {
        stop();
        this.check(model, request);
        const { noise, pairs } = request;
        const tokens = pairs[0]?.clean.length ?? 0;
        return { model, draws: noise ? drawn(noise, await embeddingDeviation(model, stop), tokens, model.spec.dModel) : [] };
      });
      const turn = <T>(work: () => Promise<T>): Promise<T> =>
        this.lent.turn((now) => {
          if (now !== model) throw MOVED;
          stop();
          return work();
        });
      const { over, ...rest } = estimateOf(request, draws);
      const common = { model, progress, stop, turn, hands: this.hands(model, stop) };
      try {
        return await (typeof over === 'object'
          ? latentAttribution({ ...common, dictionary: this.lent.dictionary(over.dictionary), request: { ...rest, over } })
          : attribution({ ...common, request: { ...rest, over } }));
      } catch (thrown) {
        if (thrown !== MOVED) throw thrown;
        const now = await this.lent.turn((now) => Promise.resolve(keyOf(now, request)));
        if (now !== keyOf(model, request)) throw changed();
      }
    }
  }

  private check(model: Runtime, { pairs, over, grid, ablate }: EngineAttribution): void {
    checkGrid(model.spec, over, grid, ablate);
    for (const { clean, corrupted } of pairs) for (const ids of [clean, corrupted]) checkIds(model, ids);
  }

  private planned(model: Runtime, request: EngineAttribution): ReturnType<typeof plannedEstimate> {
    this.check(model, request);
    const { over } = request;
    return plannedEstimate(model, request, typeof over === 'object' ? this.lent.dictionary(over.dictionary) : undefined);
  }

  /** What an estimate would take, at the speed measured so far. */
  plan(request: EngineAttribution): Promise<SweepPlan> {
    return this.lent.turn(async (model) => {
      const { batches, ...rows } = await this.planned(model, request);
      const pace = paceOf(model.gpu);
      const out: SweepPlan = { ...rows, chunks: 0, bytes: 0, submissions: 0 };
      for (const { programs, bytes, times } of batches.flat()) {
        out.chunks += times;
        out.bytes = Math.max(out.bytes, bytes);
        for (const ops of programs) out.submissions += times * submissionsOf(ops, pace);
      }
      return out;
    });
  }

  /** The first pair's runs and gradient; of integrated ones, the first batch of each layer. Nothing is run. */
  explain(request: EngineAttribution): Promise<Planned[]> {
    return this.lent.turn(async (model) => {
      const { batches } = await this.planned(model, request);
      return printed((batches[0] ?? []).flatMap(({ programs }) => programs.flat()));
    });
  }
}

/** The logits of the unedited runs, of those whose metric is measured from them. */
async function unedited(
  model: Runtime,
  requests: readonly EngineGradient[],
  { by }: Required<GradientHands>,
): Promise<(Float32Array | undefined)[]> {
  const some = requests.filter(({ metric }) => metric.kind === 'kl');
  if (some.length === 0) return [];
  const runs = await runBatch(
    model,
    some.map(({ ids, promptLength, metric }) => ({
      ids,
      promptLength,
      edits: [],
      taps: [],
      logits: [metricPosition(metric.position, ids.length)],
    })),
    [],
    { by },
  );
  return requests.map((request) => runs[some.indexOf(request)]?.logits);
}
