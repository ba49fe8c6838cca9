/**
 * The part of `window.lab` that patches: grids, sets of components, paths. Prompts and tokens become ids here, every default is filled in, and what the engine hands
 * back gets the tokens' names. Fetched when first asked for.
 */
import * as Comlink from 'comlink';
import type { Remote } from 'comlink';
import type { Edit, Grid, Job, Lab, Metric, PatchSetRequest, PathRequest, Planned, Prompt, SweepRequest } from '../../workers/api';
import type { EngineApi, EngineEdit } from '../../workers/contract';
import type { EngineAttribution } from '../../workers/contract-gradient';
import type { EngineCausal, EngineMetric, EngineNoise, EngineSweep } from '../../workers/contract-sweep';
import { LabError, throwIfAborted } from '../../workers/errors';
import { asJob, told } from './jobs';
import { resolveMetric } from './metrics';
import { count, within } from './requests';
import type { Text } from './text';

interface Parts {
  engine: Remote<EngineApi>;
  text: Text;
  edits(list: readonly Edit[] | undefined, bos: boolean | undefined): Promise<EngineEdit[]>;
  /** Brings a dictionary onto the GPU. */
  attach(id: string): Promise<unknown>;
}

type Sweeps = Pick<Lab, 'sweep' | 'planSweep' | 'patchSet' | 'pathPatch'> & { explainSweep(request: SweepRequest): Promise<Planned[]> };

type Common = Pick<PathRequest, 'clean' | 'corrupted' | 'pairs' | 'bos' | 'metric' | 'direction'> & Pick<SweepRequest, 'edits' | 'ablate'>;

export function useSweeps({ engine, text, edits, attach }: Parts): Sweeps {
  const pair = async (clean: Prompt, corrupted: Prompt, bos: boolean | undefined) => ({
    clean: await text.ids(clean, bos),
    corrupted: await text.ids(corrupted, bos),
  });

  const causal = async (request: Common, noised = false): Promise<EngineCausal> => {
    const { bos, ablate } = request;
    oneOf(request.direction, ['denoise', 'noise'], 'direction');
    if (ablate !== undefined) oneOf(ablate, ['zero', 'mean', 'resample'], 'ablate');
    const [metric, resolved] = await Promise.all([resolveMetric(request.metric, text), edits(request.edits, bos)]);
    const pairs: NonNullable<Common['pairs']> = [{ clean: request.clean, corrupted: request.corrupted }, ...(request.pairs ?? [])];
    return {
      pairs: await Promise.all(
        pairs.map(async (each) => ({
          ...(await pair(each.clean, noised ? each.clean : each.corrupted, bos)),
          ...(each.metric ? { tokens: (await answersOf(each.metric, metric, text)).tokens } : {}),
        })),
      ),
      metric,
      edits: resolved,
      direction: request.direction,
      ...(ablate ? { ablate } : {}),
    };
  };

  const engineSweep = async (request: SweepRequest): Promise<EngineSweep> => {
    const { over, grid, skip = true, latents } = request;
    if (typeof over === 'object') await attach(over.dictionary);
    const noise = request.noise && checkedNoise(request.noise);
    return {
      ...(await causal(request, noise !== undefined)),
      over,
      grid,
      skip,
      ...(latents ? { latents: [...latents] } : {}),
      ...(noise ? { noise } : {}),
    };
  };

  /** An exact sweep, or an estimate. */
  const questionOf = async (request: SweepRequest): Promise<EngineSweep | EngineAttribution> => {
    const { method = 'exact', steps = 8 } = request;
    oneOf(method, ['exact', 'attribution', 'integrated', 'atp-star'], 'method');
    const { skip, ...resolved } = await engineSweep(request);
    return method === 'exact' ? { ...resolved, skip } : { ...resolved, method, steps: count(steps, 'steps') };
  };

  const asked = <T>(job: Job | undefined, work: (id: string, progress: ((done: number, of: number) => void) | undefined) => Promise<T>) =>
    asJob(
      job,
      (id) => engine.cancel(id),
      async (id) => {
        const out = await work(id, job?.progress && Comlink.proxy((done: number, of: number) => job.progress?.(done, of)));
        throwIfAborted(job?.signal);
        return out;
      },
    );

  /** Positions are called by their tokens: “3  Mary”. */
  const named = async (grid: Grid, ids: readonly number[]): Promise<Grid> => {
    const { pieces } = await text.vocabulary();
    const label = (i: string): string => `${i} ${pieces[ids[Number(i)] ?? -1] ?? ''}`;
    const places = ['position', 'destination', 'source'];
    return { ...grid, axes: grid.axes.map((axis) => (places.includes(axis.name) ? { ...axis, labels: axis.labels.map(label) } : axis)) };
  };

  return {
    sweep: (request, job) =>
      asked(job, async (id, progress) => {
        const asked = await questionOf(request);
        throwIfAborted(job?.signal);
        const made = 'method' in asked ? engine.attribution(asked, id, progress) : engine.sweep(asked, id, progress);
        return named(await made, asked.pairs[0]?.clean ?? []);
      }),
    planSweep: (request) =>
      told(async () => {
        const asked = await questionOf(request);
        return 'method' in asked ? engine.planAttribution(asked) : engine.planSweep(asked);
      }),
    explainSweep: (request) =>
      told(async () => {
        const asked = await questionOf(request);
        return 'method' in asked ? engine.explainAttribution(asked) : engine.explainSweep(asked);
      }),
    patchSet: (request: PatchSetRequest, job) =>
      asked(job, async (id) => {
        for (const { dictionary } of request.parts) if (dictionary !== undefined) await attach(dictionary);
        const resolved = await causal(request);
        throwIfAborted(job?.signal);
        return engine.patchSet({ ...resolved, parts: request.parts.map((part) => ({ ...part })) }, id);
      }),
    pathPatch: (request: PathRequest, job) =>
      asked(job, async (id, progress) => {
        const { receivers, positions, throughMlps = false } = request;
        const resolved = await causal(request);
        throwIfAborted(job?.signal);
        return engine.pathPatch(
          { ...resolved, receivers: [...receivers], throughMlps, ...(positions ? { positions: [...positions] } : {}) },
          id,
          progress,
        );
      }),
  };
}

/** A pair's own answers, to the question that all pairs are asked. */
async function answersOf(own: Metric, asked: EngineMetric, text: Text): Promise<EngineMetric> {
  const found = await resolveMetric(own, text);
  if (found.kind !== asked.kind || (own.position !== undefined && found.position !== asked.position))
    throw new LabError(
      'request-invalid',
      'A pair’s metric is of another kind, or at another position, than that of the whole.',
      'All pairs are asked the same question; only the tokens may be a pair’s own.',
    );
  return found;
}

function oneOf(given: unknown, known: readonly string[], name: string): void {
  if (typeof given !== 'string' || !known.includes(given))
    throw new LabError('request-invalid', `${name} is “${String(given)}”.`, `Give one of ${known.join(', ')}.`);
}

function checkedNoise({ positions, scale = 3, seed = 0, draws = 8 }: NonNullable<SweepRequest['noise']>): EngineNoise {
  if (positions.length === 0)
    throw new LabError('request-invalid', 'The noise has no positions.', 'Name the tokens that are to be noised.');
  return {
    positions: [...positions],
    scale: within(scale, 'noise.scale', (x) => x > 0, 'a number above 0'),
    seed: within(seed, 'noise.seed', Number.isSafeInteger, 'a whole number'),
    draws: count(draws, 'noise.draws'),
  };
}
