/** The part of `window.lab` that asks for gradients: a metric's tokens and position as the engine wants them. A chunk of its own, fetched when it is first asked for. */
import type { Remote } from 'comlink';
import type { Job, Lab, RunRequest } from '../../workers/api';
import type { EngineApi, EngineRun } from '../../workers/contract';
import { LabError, throwIfAborted } from '../../workers/errors';
import { asJob } from './jobs';
import { resolveMetric } from './metrics';
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
          const resolved = await resolveMetric(metric, text);
          throwIfAborted(job?.signal);
          const [found] = await engine.gradient([{ ids, promptLength, edits, metric: resolved }], [...at], id);
          throwIfAborted(job?.signal);
          if (!found) throw new LabError('internal', 'The engine gave no answer.', 'Please report this.');
          return found;
        },
      ),
  };
}
