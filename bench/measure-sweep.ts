/** A layer × position grid beside the same number of whole runs, in one page: what sharing prefixes, layers and baselines is worth. */
import { shaders } from '../workers/gpu/shaders';
import { Gpu } from '../workers/gpu/device';
import type { EngineSweep } from '../workers/contract-sweep';
import { isSoftware } from './bandwidth';
import { GPT2_SMALL, promptOf, SMALL, weightsOf } from './model';
import { median } from './numbers';
import { logitsOf, openEngine } from './ours';
import type { Say } from './side-by-side';

export interface SweepReport {
  model: string;
  software: boolean;
  tokens: number;
  cells: number;
  /** Milliseconds: of all rounds, the median. */
  forward: number;
  forwards: number[];
  sweep: number;
  /** The sweep over `cells` times the median forward: the median of the rounds, and each, against the forwards just before and after it. */
  ratio: number;
  ratios: number[];
  /** The same of processor seconds, which other work on the machine does not lengthen: of a software renderer, where the opener can tell them. */
  ofProcessor: number;
  rows: number;
  submits: number;
}

export interface SweepOptions {
  small: boolean;
  /** Fewer layers than the model has: a shorter measurement of the same kernels. */
  layers?: number;
  rounds: number;
}

const TOKENS = 16;
const FORWARDS = 5;

export async function measureSweep(
  gpu: GPU | undefined,
  { small, layers, rounds }: SweepOptions,
  say: Say,
  processor?: () => Promise<number>,
): Promise<SweepReport> {
  const whole = small ? SMALL : GPT2_SMALL;
  const shape = layers === undefined ? whole : { ...whole, layers, name: `${whole.name}, ${layers} layers` };
  const probe = await Gpu.open(gpu, shaders);
  const software = isSoftware(probe);
  probe.device.destroy();
  say(`making the weights of ${shape.name}`);
  const engine = await openEngine(shape, weightsOf(shape), { gpu });
  const clean = promptOf(shape, TOKENS);
  const corrupted = clean.map((id, p) => (p === 0 ? id : (id + 7) % shape.vocab));
  const request: EngineSweep = {
    pairs: [{ clean, corrupted }],
    metric: { kind: 'logit-diff', position: -1, tokens: [5, 9] },
    edits: [],
    direction: 'denoise',
    over: 'resid_pre',
    grid: 'layer-position',
    skip: false,
  };
  // Kernels are compiled once, on either side, and are in neither time.
  await logitsOf(engine, clean, 'last');
  await engine.sweep({ ...request, pairs: [{ clean: clean.slice(0, 4), corrupted: corrupted.slice(0, 4) }] }, 'warm');
  await engine.sweep({ ...request, direction: 'noise' }, 'warm');
  const spent = async (): Promise<number> => (await processor?.()) ?? Number.NaN;
  const time = async (work: () => Promise<unknown>): Promise<number> => {
    const start = performance.now();
    await work();
    return performance.now() - start;
  };
  let [secondsForward, secondsSweep] = [0, 0];
  const some = async (): Promise<number[]> => {
    const times: number[] = [];
    const from = await spent();
    for (let i = 0; i < FORWARDS; i++) times.push(await time(() => logitsOf(engine, clean, 'last')));
    secondsForward += (await spent()) - from;
    return times;
  };
  const forwards = [await some()];
  const sweeps: number[] = [];
  const ratios: number[] = [];
  let [cells, rows, submits] = [0, 0, 0];
  for (let round = 0; round < rounds; round++) {
    const before = (await engine.device()).counters.submits;
    const from = await spent();
    const sweep = await time(async () => {
      const grid = await engine.sweep(request, `sweep ${round}`);
      cells = grid.raw.data.length;
      rows = grid.rowsComputed / grid.rowsNaive;
    });
    secondsSweep += (await spent()) - from;
    submits = (await engine.device()).counters.submits - before;
    const around = [...(forwards.at(-1) ?? []), ...(await some())];
    forwards.push(around.slice(FORWARDS));
    sweeps.push(sweep);
    ratios.push(sweep / (cells * median(around)));
    say(`sweep ${sweep.toFixed(0)} ms, forward ${median(around).toFixed(0)} ms, ratio ${ratios.at(-1)?.toFixed(3)}`);
  }
  return {
    model: shape.name,
    software,
    tokens: TOKENS,
    cells,
    forward: median(forwards.flat()),
    forwards: forwards.flat(),
    sweep: median(sweeps),
    ratio: median(ratios),
    ratios,
    ofProcessor: secondsSweep / rounds / (cells * (secondsForward / ((rounds + 1) * FORWARDS))),
    rows,
    submits,
  };
}
