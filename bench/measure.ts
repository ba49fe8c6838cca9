/** One whole measurement, in a page or in Node: our engine opened, held against its peers where there are any, counted, and its kernels raced. */
import { Gpu } from '../workers/gpu/device';
import { shaders } from '../workers/gpu/shaders';
import { copyBandwidth, isSoftware } from './bandwidth';
import { costOf } from './cost';
import { kernelTimes } from './kernels';
import { bytesOf, GPT2_SMALL, promptOf, SMALL, weightsOf, type Shape, type Weight } from './model';
import { median } from './numbers';
import { onnxModel } from './onnx-graph';
import { OnnxGpt2, type Provider } from './onnxruntime';
import { logitsOf, openEngine } from './ours';
import type { PeerReport, Report } from './report';
import { agreement, decodeOurs, sideBySide, type Say } from './side-by-side';
import type { Engine } from '../workers/engine';

export interface Options {
  small: boolean;
  peers: Provider[];
  kernels: boolean;
  rounds: number;
  tokens: number;
  variants?: string;
}

export async function measureAll(gpu: GPU | undefined, where: string, options: Options, say: Say): Promise<Report> {
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
  for (const provider of options.peers) {
    start = performance.now();
    peers.push(await besidePeer(engine, provider, shape, weights, { ...options, software }, say));
    say(`${provider}: done after ${((performance.now() - start) / 1e3).toFixed(0)} s`);
  }
  const alone = options.peers.length ? [] : await timeAlone(engine, shape, options);
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

async function besidePeer(
  engine: Engine,
  provider: Provider,
  shape: Shape,
  weights: readonly Weight[],
  { rounds, tokens, software }: Options & { software: boolean },
  say: Say,
): Promise<PeerReport> {
  const name = `onnxruntime-web ${provider}`;
  let onnx: OnnxGpt2 | undefined;
  try {
    const start = performance.now();
    onnx = await OnnxGpt2.open(provider, shape, onnxModel(shape, weights));
    const openMs = performance.now() - start;
    say(`${name} open after ${(openMs / 1e3).toFixed(1)} s`);
    const error = await agreement(engine, onnx, shape);
    say(`${name}: logits agree to ${error.toExponential(1)}`);
    // Its shaders take seconds a token on a CPU: a smoke test there, a measurement on a GPU.
    const smoke = provider === 'webgpu' && software && shape !== SMALL;
    return {
      name,
      error,
      openMs,
      measures: await sideBySide(engine, onnx, shape, smoke ? { rounds: 1, tokens: 2 } : { rounds, tokens }, say),
    };
  } catch (thrown) {
    // The wasm runtime is the reference: a run that disagrees with it is worth nothing.
    if (provider === 'wasm') throw thrown;
    return { name, measures: [], failed: thrown instanceof Error ? thrown.message : String(thrown) };
  } finally {
    await onnx?.close();
  }
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
  for (let round = 0; round < rounds; round++) each.push(...(await decodeOurs(engine, promptOf(shape, 16), tokens)).each);
  alone.push({ what: 'decode, a token', milliseconds: median(each) });
  return alone;
}
