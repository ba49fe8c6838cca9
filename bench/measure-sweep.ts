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
  /** Milliseconds. */
  forward: number;
  forwards: number[];
  sweep: number;
  /** The sweep over `cells` times the median forward. */
  ratio: number;
  rows: number;
  submits: number;
}

const TOKENS = 16;

export async function measureSweep(gpu: GPU | undefined, small: boolean, say: Say): Promise<SweepReport> {
  const shape = small ? SMALL : GPT2_SMALL;
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
  const forwards: number[] = [];
  const time = async (): Promise<void> => {
    const start = performance.now();
    await logitsOf(engine, clean, 'last');
    forwards.push(performance.now() - start);
  };
  for (let i = 0; i < 5; i++) await time();
  const before = (await engine.device()).counters.submits;
  const start = performance.now();
  const grid = await engine.sweep(request, 'sweep');
  const sweep = performance.now() - start;
  const submits = (await engine.device()).counters.submits - before;
  for (let i = 0; i < 5; i++) await time();
  const cells = grid.raw.data.length;
  const forward = median(forwards);
  say(`sweep ${sweep.toFixed(0)} ms, forward ${forward.toFixed(0)} ms`);
  return {
    model: shape.name,
    software,
    tokens: TOKENS,
    cells,
    forward,
    forwards,
    sweep,
    ratio: sweep / (cells * forward),
    rows: grid.rowsComputed / grid.rowsNaive,
    submits,
  };
}
