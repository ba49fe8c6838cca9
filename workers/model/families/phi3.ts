/**
 * Phi-3 (3.5, 4-mini): Llama with q, k, v in one tensor and gate and up in another, rotary over part of a head where the config
 * says so, LongRoPE in the long-context ones (read up to their original context), and a window where the config sets one.
 * Source: Abdin et al. 2024; tensor names as in Hugging Face's phi3 checkpoints.
 */
import { count, type Family } from '../family';
import { LLAMA_IGNORABLE, llamaSpec, llamaTensors } from './llama';

export const phi3: Family = {
  types: ['phi3'],
  title: 'Phi-3',
  prependBos: true,
  prefixes: ['model.'],
  ignorable: LLAMA_IGNORABLE,
  spec(config) {
    const spec = llamaSpec('phi3', config);
    const window = (config['sliding_window'] ?? null) === null ? 0 : count(config, ['sliding_window']);
    return { ...spec, attention: { ...spec.attention, windows: new Array<number>(spec.layers).fill(window) } };
  },
  tensors: (spec) => llamaTensors(spec, { fused: true }),
};
