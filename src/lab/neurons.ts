/** A model's own MLP neurons among the dictionaries: they are on no shelf, and one id means those of whatever model is in use. */
import type { DictionaryInfo } from '../../workers/api';

export const isNeurons = (id: string | undefined): boolean => String(id).startsWith('neurons:');

/** The layer that an id of neurons names. */
export const layerOf = (id: string): number => Number(id.split('.').at(-1));

/** Those to open on: of the layer that was looked at last where the model has it, else of the middle. */
export const neuronsNear = (neurons: readonly DictionaryInfo[], layer: number | undefined): DictionaryInfo | undefined =>
  neurons[layer ?? -1] ?? neurons[Math.floor(neurons.length / 2)];
