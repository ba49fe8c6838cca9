/** Who reads which file of tensors, by its ending. A file whose ending has no reader is left aside, and the drop says so. */
import type { LooseFile } from './loose';
import { readLooseSafetensors } from './loose-safetensors';

export type ReadLoose = (file: File, name: string) => Promise<LooseFile>;
export type Wrapping = 'safetensors' | 'npz' | 'pt';
export type LooseReaders = Partial<Record<Wrapping, ReadLoose>>;

/** PyTorch's and NumPy's readers are chunks of their own: read when such a file is dropped. */
export const LOOSE_READERS: LooseReaders = {
  safetensors: readLooseSafetensors,
  npz: async (file, name) => (await import('./npy')).readNpz(file, name),
  pt: async (file, name) => (await import('./torch-zip')).readTorch(file, name),
};

const WRAPPINGS: readonly [RegExp, Wrapping][] = [
  [/\.safetensors$/i, 'safetensors'],
  [/\.npz$/i, 'npz'],
  [/\.pth?$/i, 'pt'],
];
export const wrappingOf = (name: string): Wrapping | undefined => WRAPPINGS.find(([ending]) => ending.test(name))?.[1];
