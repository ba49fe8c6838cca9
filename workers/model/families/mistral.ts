/**
 * Mistral: Llama with a window over every layer, where the config sets one (v0.1 does, later ones do not).
 * Source: Jiang et al. 2023; tensor names as in Hugging Face's mistral checkpoints.
 */
import { count, type Family } from '../family';
import { LLAMA_IGNORABLE, llamaSpec, llamaTensors } from './llama';

export const mistral: Family = {
  types: ['mistral'],
  title: 'Mistral',
  prependBos: true,
  prefixes: ['model.'],
  ignorable: LLAMA_IGNORABLE,
  spec(config) {
    const spec = llamaSpec('mistral', config);
    // A window that is null means none; one that is absent, transformers' default.
    const window = config['sliding_window'] === null ? 0 : count(config, ['sliding_window'], 4096);
    return { ...spec, attention: { ...spec.attention, windows: new Array<number>(spec.layers).fill(window) } };
  },
  tensors: (spec) => llamaTensors(spec),
};
