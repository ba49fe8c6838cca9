/**
 * onnxruntime-web, loaded when it is first needed, its WebAssembly from the page's own origin. One thread: more would be workers that the library starts from a URL,
 * which no policy binds, and they need headers that a plain static host does not send.
 */
import type { OnnxRuntime } from './embedder';
import { LabError } from './errors';

let loading: Promise<OnnxRuntime> | undefined;

/** What failed once (a network that was away) is tried again at the next call. */
export function loadOnnxRuntime(): Promise<OnnxRuntime> {
  loading ??= load().catch((thrown: unknown) => {
    loading = undefined;
    throw new LabError(
      'runtime-missing',
      `The part of Loupe that runs embedding models could not be loaded (${thrown instanceof Error ? thrown.message : String(thrown)}).`,
      'It is fetched from this site at its first use and kept from then on. Connect once, and try again.',
    );
  });
  return loading;
}

async function load(): Promise<OnnxRuntime> {
  const [runtime, { default: wasm }] = await Promise.all([
    import('onnxruntime-web/wasm'),
    import('onnxruntime-web/ort-wasm-simd-threaded.wasm?url'),
  ]);
  // Fetched here: the runtime remembers a failed fetch of its own for ever.
  const response = await fetch(wasm);
  if (!response.ok) throw new Error(`${wasm} answered ${response.status}`);
  runtime.env.wasm.wasmBinary = await response.arrayBuffer();
  runtime.env.wasm.numThreads = 1;
  runtime.env.wasm.proxy = false;
  runtime.env.logLevel = 'fatal';
  return runtime;
}
