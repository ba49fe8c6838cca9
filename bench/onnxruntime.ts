/**
 * The runtime we are compared with: onnxruntime-web on the same weights. Loaded only when used, its WebAssembly from the same origin as
 * the page. One thread, because a page without isolation headers has one. Keys and values are fed back as the exporters' loops do:
 * through JS memory with `wasm`, as GPU buffers with `webgpu`.
 */
import type { InferenceSession, Tensor, Env } from 'onnxruntime-web';
import { argmax } from './numbers';
import type { Shape } from './model';
import { pastName, presentName, type OnnxModel } from './onnx-graph';

export type Provider = 'wasm' | 'webgpu';

interface Runtime {
  InferenceSession: { create(model: Uint8Array, options: InferenceSession.SessionOptions): Promise<InferenceSession> };
  Tensor: typeof Tensor;
  env: Env;
}

/** The import with its own WebAssembly: 14 MB for wasm, 27 MB for webgpu. */
async function load(provider: Provider): Promise<Runtime> {
  if (provider === 'wasm') {
    const [runtime, { default: wasm }] = await Promise.all([
      import('onnxruntime-web/wasm'),
      import('onnxruntime-web/ort-wasm-simd-threaded.wasm?url'),
    ]);
    runtime.env.wasm.wasmPaths = { wasm };
    return runtime;
  }
  const [runtime, { default: wasm }] = await Promise.all([
    import('onnxruntime-web/webgpu'),
    import('onnxruntime-web/ort-wasm-simd-threaded.asyncify.wasm?url'),
  ]);
  runtime.env.wasm.wasmPaths = { wasm };
  return runtime;
}

const MASKED = -1e30;

export class OnnxGpt2 {
  private constructor(
    readonly provider: Provider,
    private readonly shape: Shape,
    private readonly runtime: Runtime,
    private readonly session: InferenceSession,
  ) {}

  static async open(provider: Provider, shape: Shape, { model, externalData }: OnnxModel): Promise<OnnxGpt2> {
    const runtime = await load(provider);
    runtime.env.wasm.numThreads = 1;
    runtime.env.logLevel = 'error';
    const locations: Record<string, 'gpu-buffer'> = {};
    for (let layer = 0; layer < shape.layers; layer++)
      for (const which of ['key', 'value'] as const) locations[presentName(layer, which)] = 'gpu-buffer';
    const session = await runtime.InferenceSession.create(model, {
      executionProviders: [provider],
      externalData,
      graphOptimizationLevel: 'all',
      ...(provider === 'webgpu' ? { preferredOutputLocation: locations } : {}),
    });
    return new OnnxGpt2(provider, shape, runtime, session);
  }

  /** Reads `ids` after what `past` holds; logits at `rows` of them, and the past to go on from. */
  private async step(ids: readonly number[], rows: readonly number[], past?: Past): Promise<{ logits: Float32Array; past: Past }> {
    const { Tensor } = this.runtime;
    const before = past?.length ?? 0;
    const total = before + ids.length;
    const int32 = (values: readonly number[]): Tensor => new Tensor('int32', Int32Array.from(values), [values.length]);
    const mask = new Float32Array(ids.length * total);
    ids.forEach((_, row) => mask.fill(MASKED, row * total + before + row + 1, (row + 1) * total));
    const feeds: Record<string, Tensor> = {
      ids: int32(ids),
      positions: int32(ids.map((_, i) => before + i)),
      rows: int32(rows),
      mask: new Tensor('float32', mask, [ids.length, total]),
    };
    const { layers, heads, width } = this.shape;
    for (let layer = 0; layer < layers; layer++)
      for (const which of ['key', 'value'] as const)
        feeds[pastName(layer, which)] =
          past?.tensors.get(presentName(layer, which)) ?? new Tensor('float32', new Float32Array(0), [heads, 0, width / heads]);
    const out = await this.session.run(feeds);
    const tensors = new Map(Object.entries(out).filter(([name]) => name !== 'logits'));
    for (const tensor of past?.tensors.values() ?? []) tensor.dispose();
    return { logits: (await out['logits']?.getData()) as Float32Array, past: { length: total, tensors } };
  }

  /** Logits after every one of `ids`: [T, vocab]. */
  async all(ids: readonly number[]): Promise<Float32Array> {
    const rows = ids.map((_, i) => i);
    const { logits, past } = await this.step(ids, rows);
    free(past);
    return logits;
  }

  /** Logits after the last of `ids`. */
  async prefill(ids: readonly number[]): Promise<Float32Array> {
    const { logits, past } = await this.step(ids, [ids.length - 1]);
    free(past);
    return logits;
  }

  /** Greedy: reads `ids`, then yields one chosen token a step. */
  async *generate(ids: readonly number[]): AsyncGenerator<number, void> {
    let { logits, past } = await this.step(ids, [ids.length - 1]);
    try {
      for (;;) {
        const token = argmax(logits);
        yield token;
        ({ logits, past } = await this.step([token], [0], past));
      }
    } finally {
      free(past);
    }
  }

  async close(): Promise<void> {
    await this.session.release();
  }
}

interface Past {
  length: number;
  tensors: Map<string, Tensor>;
}

function free(past: Past): void {
  for (const tensor of past.tensors.values()) tensor.dispose();
}
