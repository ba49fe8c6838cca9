/** The part of `window.lab` that asks for gradients: a metric's tokens and position as the engine wants them. A chunk of its own, fetched when it is first asked for. */
import type { Remote } from 'comlink';
import type { Job, Lab, Metric, RunRequest } from '../../workers/api';
import type { EngineApi, EngineRun } from '../../workers/contract';
import { LabError, throwIfAborted } from '../../workers/errors';
import type { ResolvedMetric } from '../../workers/model/causal/metric';
import { asJob } from './jobs';
import type { Text } from './text';

interface Parts {
  engine: Remote<EngineApi>;
  text: Text;
  run(request: RunRequest): Promise<EngineRun>;
}

export function useGradient({ engine, text, run }: Parts): Pick<Lab, 'gradient'> {
  return {
    gradient: ({ metric, at, ...request }, job?: Job) =>
      asJob(
        job,
        (id) => engine.cancel(id),
        async (id) => {
          if (!Array.isArray(at) || at.length === 0)
            throw new LabError(
              'request-invalid',
              'at names no hook.',
              "Give at as a list of hooks, for example ['blocks.0.hook_resid_pre'].",
            );
          const { ids, promptLength, edits } = await run(request);
          const resolved = await resolveMetric(text, metric);
          throwIfAborted(job?.signal);
          const [found] = await engine.gradient([{ ids, promptLength, edits, metric: resolved }], [...at], id);
          throwIfAborted(job?.signal);
          if (!found) throw new LabError('internal', 'The engine gave no answer.', 'Please report this.');
          return found;
        },
      ),
  };
}

/** `not-one-token` where a metric's word is none; its position is checked against the prompt by the engine. */
export async function resolveMetric(text: Text, metric: Metric): Promise<ResolvedMetric> {
  const id = async (token: string | number): Promise<number> => (await text.token(token)).id;
  const { kind, position = -1 } = metric;
  switch (kind) {
    case 'logit-diff':
      return { kind, position, tokens: [await id(metric.correct), await id(metric.wrong)] };
    case 'log-prob':
    case 'probability':
      return { kind, position, tokens: [await id(metric.token)] };
    case 'kl':
      return { kind, position, tokens: [] };
    default:
      throw new LabError('request-invalid', `“${String(kind)}” is no metric.`, 'The metrics are logit-diff, log-prob, probability and kl.');
  }
}
