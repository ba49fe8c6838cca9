/** What is asked of the backward pass, for the engine to fetch when it is first asked. */
import type { Grid, Tensor } from './api';
import type { EngineAttribution, EngineGradient } from './contract-gradient';
import type { Attached } from './engine-dictionaries';
import { LabError } from './errors';
import { attribution } from './experiments/attribution/attribution';
import { estimateOf } from './experiments/attribution/call';
import { latentAttribution } from './experiments/attribution/latents';
import { gradients } from './model/backward/gradient';
import { metricPosition } from './model/causal/metric';
import { runBatch } from './model/run';
import { checkIds, type Runtime } from './model/runtime';

export async function gradient(
  model: Runtime,
  requests: readonly EngineGradient[],
  at: readonly string[],
): Promise<Record<string, Tensor>[]> {
  for (const { ids } of requests) checkIds(model, ids);
  const references = await unedited(model, requests);
  const found = await gradients(
    model,
    requests.map((each, i) => {
      const reference = references[i];
      return reference ? { ...each, reference } : each;
    }),
    at,
  );
  return found.map((each) => each.gradients);
}

/** The logits of the unedited runs, of those whose metric is measured from them. */
async function unedited(model: Runtime, requests: readonly EngineGradient[]): Promise<(Float32Array | undefined)[]> {
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
  );
  return requests.map((request) => runs[some.indexOf(request)]?.logits);
}

/** A patching grid estimated from gradients. */
export function estimate(
  model: Runtime,
  attached: Attached,
  request: EngineAttribution,
  progress?: (done: number, of: number) => void,
  stop?: () => void,
): Promise<Grid> {
  for (const { clean, corrupted } of request.pairs) for (const ids of [clean, corrupted]) checkIds(model, ids);
  if (request.noise)
    throw new LabError(
      'option-unsupported',
      `Causal tracing is not estimated by ${request.method}: its corrupted runs are many.`,
      "Ask for method: 'exact', or give a corrupted prompt.",
    );
  const { over, ...rest } = estimateOf(request);
  return typeof over === 'object'
    ? latentAttribution({ model, dictionary: attached.get(over.dictionary), request: { ...rest, over }, progress, stop })
    : attribution({ model, request: { ...rest, over }, progress, stop });
}
