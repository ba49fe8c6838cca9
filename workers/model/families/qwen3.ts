/**
 * Qwen 3: Llama whose heads' q and k pass an RMSNorm of their own before they are turned; the width of a head is its own.
 * Source: Yang et al. 2025; tensor names as in Hugging Face's qwen3 checkpoints.
 */
import { count, type Family } from '../family';
import { LLAMA_IGNORABLE, llamaSpec, llamaTensors } from './llama';
import { qwenWindows } from './qwen2';

export const qwen3: Family = {
  types: ['qwen3'],
  title: 'Qwen 3',
  prependBos: false,
  prefixes: ['model.'],
  ignorable: LLAMA_IGNORABLE,
  spec(config) {
    const spec = llamaSpec('qwen3', { ...config, head_dim: count(config, ['head_dim'], 128) });
    return { ...spec, attention: { ...spec.attention, qkNorm: true, windows: qwenWindows(config, spec.layers) } };
  },
  tensors: (spec) => llamaTensors(spec),
};
