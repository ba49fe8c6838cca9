/** Our engine beside one onnxruntime-web: opened on the same weights, held to the same logits, timed in turn. */
import type { Beside } from './measure';
import { SMALL } from './model';
import { onnxModel } from './onnx-graph';
import { OnnxGpt2 } from './onnxruntime';
import { agreement, sideBySide } from './side-by-side';

export const beside: Beside = async (provider, { engine, shape, weights, options: { rounds, tokens }, software, say }) => {
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
      measures: await sideBySide(
        engine,
        onnx,
        shape,
        smoke ? { lengths: [16], rounds: 1, tokens: 2 } : { lengths: [16, 64], rounds, tokens },
        say,
      ),
    };
  } catch (thrown) {
    // The wasm runtime is the reference: a run that disagrees with it is worth nothing.
    if (provider === 'wasm') throw thrown;
    return { name, measures: [], failed: thrown instanceof Error ? thrown.message : String(thrown) };
  } finally {
    await onnx?.close();
  }
};
