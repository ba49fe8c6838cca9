/** A question put: the estimate first, which is quick, then the exact grid; a path is only run. Which stage it is in, how far, and how long it will take is told on the way. */
import type { Grid, Job, Lab } from '../../workers/api';
import { isPath, type Request } from './patch-question';

export type Method = 'exact' | 'attribution' | 'both';
export interface Running {
  stage: string;
  done: number;
  of: number;
  secondsLeft?: number;
}

export async function put(
  lab: Pick<Lab, 'sweep' | 'pathPatch'>,
  request: Request,
  method: Method,
  signal: AbortSignal,
  told: (running: Running) => void,
): Promise<{ exact: Grid | undefined; approximate: Grid | undefined }> {
  const began = performance.now();
  const job = (stage: string): Job => ({
    signal,
    progress: (done, of) => {
      const left = done > 0 ? ((performance.now() - began) / done) * (of - done) : Number.NaN;
      told({ stage, done, of, ...(Number.isFinite(left) ? { secondsLeft: left / 1000 } : {}) });
    },
  });
  if (isPath(request)) return { exact: await lab.pathPatch(request, job('Patching')), approximate: undefined };
  const approximate = method === 'exact' ? undefined : await lab.sweep({ ...request, method: 'attribution' }, job('Approximating'));
  if (method === 'attribution') return { exact: undefined, approximate };
  // Cell by cell beside the estimate: the same latents in the same order.
  const same = approximate && request.grid === 'latent' ? { latents: approximate.axes[0]?.labels.map(Number) ?? [] } : {};
  return { exact: await lab.sweep({ ...request, ...same, method: 'exact' }, job('Patching')), approximate };
}
