/**
 * Qwen 2 and 2.5: Llama with biases on q, k and v alone. A window, where it is used at all, starts at max_window_layers.
 * Source: Yang et al. 2024; tensor names as in Hugging Face's qwen2 checkpoints.
 */
import { count, flag, windows, type Config, type Family } from '../family';
import type { ModelSpec } from '../spec';
import { LLAMA_IGNORABLE, llamaSpec, llamaTensors } from './llama';

/** The windows of Qwen 2 and 3: off unless asked for, then over the upper layers. */
export function qwenWindows(config: Config, layers: number): number[] {
  if (!flag(config, 'use_sliding_window', false) || config['sliding_window'] === null) return new Array<number>(layers).fill(0);
  const first = typeof config['max_window_layers'] === 'number' ? config['max_window_layers'] : 28;
  return windows(config, layers, count(config, ['sliding_window'], 4096), (layer) => layer >= first);
}

export const qwen2: Family = {
  types: ['qwen2'],
  title: 'Qwen 2',
  // Trained without one, as TransformerLens has it.
  prependBos: false,
  prefixes: ['model.'],
  ignorable: LLAMA_IGNORABLE,
  spec(config): ModelSpec {
    const spec = llamaSpec('qwen2', config);
    return {
      ...spec,
      attention: { ...spec.attention, windows: qwenWindows(config, spec.layers) },
      bias: { ...spec.bias, qkv: true, out: false },
    };
  },
  tensors: (spec) => llamaTensors(spec),
};
