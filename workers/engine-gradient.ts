/**
 * Gradients as the engine runs them, and what is made of them: at hooks, and as estimates of patching grids. In short submissions, each awaited, so that a cancel submits
 * nothing more. Fetched when first asked for.
 */
import type { Grid, Tensor } from './api';
import type { EngineAttribution, EngineGradient } from './contract-gradient';
import { composeBack } from './dictionary/backward';
import type { Lent } from './engine-sweeps';
import { LabError, throwIfAborted } from './errors';
import { attribution } from './experiments/attribution/attribution';
import { estimateOf } from './experiments/attribution/call';
import { latentAttribution } from './experiments/attribution/latents';
import { heard } from './heard';
import { gradients, type GradientHands } from './model/backward/gradient';
import { metricPosition } from './model/causal/metric';
import { Pace } from './model/pace';
import { runBatch } from './model/run';
import { checkIds, type Runtime } from './model/runtime';
import { isSoftware } from './model/variants';

export class Gradients {
  private pace: Pace | undefined;

  constructor(private readonly lent: Lent) {}

  private hands(model: Runtime, stop: () => void): Required<GradientHands> {
    const { gpu, planner } = model;
    const pace = (this.pace ??= new Pace(isSoftware(gpu)));
    return {
      run: (program, ops) => pace.run(gpu, program, ops, stop),
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
    const stop = (): void => throwIfAborted(signal);
    const work = this.lent.turn((model) => {
      stop();
      for (const { clean, corrupted } of request.pairs) for (const ids of [clean, corrupted]) checkIds(model, ids);
      if (request.noise)
        throw new LabError(
          'option-unsupported',
          `Causal tracing is not estimated by ${request.method}: its corrupted runs are many.`,
          "Ask for method: 'exact', or give a corrupted prompt.",
        );
      const { over, ...rest } = estimateOf(request);
      const common = { model, progress, stop, hands: this.hands(model, stop) };
      return typeof over === 'object'
        ? latentAttribution({ ...common, dictionary: this.lent.dictionary(over.dictionary), request: { ...rest, over } })
        : attribution({ ...common, request: { ...rest, over } });
    });
    return heard(signal, work);
  }
}

/** The logits of the unedited runs, of those whose metric is measured from them. */
async function unedited(
  model: Runtime,
  requests: readonly EngineGradient[],
  { run }: Required<GradientHands>,
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
    { run },
  );
  return requests.map((request) => runs[some.indexOf(request)]?.logits);
}
