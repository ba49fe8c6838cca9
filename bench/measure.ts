/** One whole measurement, in a page or in Node: our engine opened, held against its peers where there are any, counted, and its kernels raced. */
import { Gpu } from '../workers/gpu/device';
import { shaders } from '../workers/gpu/shaders';
import { copyBandwidth, isSoftware } from './bandwidth';
import { costOf } from './cost';
import { kernelTimes } from './kernels';
import { bytesOf, GPT2_SMALL, promptOf, SMALL, weightsOf, type Shape, type Weight } from './model';
import { median } from './numbers';
import type { Provider } from './onnxruntime';
import { logitsOf, openEngine } from './ours';
import type { PeerReport, Report } from './report';
import { decodeOurs, type Say } from './side-by-side';
import type { Engine } from '../workers/engine';

export interface Options {
  small: boolean;
  peers: Provider[];
  kernels: boolean;
  rounds: number;
  tokens: number;
  variants?: string;
}

export interface Contest {
  engine: Engine;
  shape: Shape;
  weights: readonly Weight[];
  options: Options;
  software: boolean;
  say: Say;
}
/** Measures our engine beside one peer (beside.ts). Handed in, so that a bundle without peers carries none of their code. */
export type Beside = (provider: Provider, contest: Contest) => Promise<PeerReport>;

export async function measureAll(gpu: GPU | undefined, where: string, options: Options, say: Say, beside?: Beside): Promise<Report> {
  const shape = options.small ? SMALL : GPT2_SMALL;
  say(`making the weights of ${shape.name}`);
  const weights = weightsOf(shape);
  const probe = await Gpu.open(gpu, shaders);
  const software = isSoftware(probe);
  const { bytesPerSecond } = await copyBandwidth(probe);
  const kernels = options.kernels ? await kernelTimes(probe, say, options.rounds) : [];
  probe.device.destroy();
  let start = performance.now();
  const engine = await openEngine(shape, weights, { gpu, ...(options.variants === undefined ? {} : { variants: options.variants }) });
  const openMs = performance.now() - start;
  say(`engine open after ${(openMs / 1e3).toFixed(1)} s`);
  const peers: PeerReport[] = [];
  for (const provider of beside ? options.peers : []) {
    start = performance.now();
    const peer = await beside?.(provider, { engine, shape, weights, options, software, say });
    if (peer) peers.push(peer);
    say(`${provider}: done after ${((performance.now() - start) / 1e3).toFixed(0)} s`);
  }
  const alone = peers.length ? [] : await timeAlone(engine, shape, options);
  const cost = await costOf(engine, shape);
  const { adapter, features, variants } = await engine.device();
  return {
    where,
    shape,
    weightBytes: bytesOf(weights),
    openMs,
    device: { adapter, features, variants, software, copyBytesPerSecond: bytesPerSecond },
    cost,
    alone,
    peers,
    kernels,
  };
}

async function timeAlone(engine: Engine, shape: Shape, { rounds, tokens }: Options): Promise<Report['alone']> {
  const alone: Report['alone'] = [];
  for (const length of [16, 64, Math.min(512, shape.context)]) {
    const ids = promptOf(shape, length);
    await logitsOf(engine, ids, 'last');
    const samples: number[] = [];
    for (let round = 0; round < 2 * rounds; round++) {
      const start = performance.now();
      await logitsOf(engine, ids, 'last');
      samples.push(performance.now() - start);
    }
    alone.push({ what: `prefill ${length} tokens`, milliseconds: median(samples) });
  }
  const each: number[] = [];
  for (let round = 0; round < rounds; round++) each.push((await decodeOurs(engine, promptOf(shape, 16), tokens)).milliseconds);
  alone.push({ what: 'decode, a token', milliseconds: median(each) });
  return alone;
}
