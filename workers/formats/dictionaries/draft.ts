/**
 * What a format's reader makes of dropped files: a dictionary checked against its headers, and for each canonical tensor where its numbers
 * come from and what must be done to them. Nothing is converted here (convert.ts does that, once the whole drop is known to be good).
 */
import type { StoredDtype } from '../../contract';
import type { DictionarySpec } from '../../dictionary/spec';
import type { Dropped } from '../drop';
import type { LooseTensor } from '../loose';
import type { ReadLoose } from '../loose-readers';

export interface CanonicalTensor {
  /** Of tensorNames(spec). */
  name: string;
  /** As SHAPES has it. */
  shape: readonly number[];
  /** Matrices keep what they came in; vectors, and whatever is computed with, are F32. */
  dtype: StoredDtype;
  /** The numbers, or the one number that fills it. */
  source: LooseTensor | { fill: number };
  /** The source is [columns, rows]. */
  transpose?: true;
  /** The source holds logarithms. */
  exp?: true;
  scale?: number;
  /** Row m is multiplied by the m-th number of this. */
  rows?: LooseTensor;
  /** Number m is divided by the length of row m of this matrix (of its column m, where it is transposed). */
  overNorms?: { of: LooseTensor; transposed: boolean };
}

export interface DictionaryDraft {
  name: string;
  format: string;
  spec: DictionarySpec;
  /** The model it says that it was trained on. */
  model?: string;
  /** Its id on Neuronpedia. */
  neuronpedia?: string;
  promised: { l0?: number; fvu?: number };
  tensors: CanonicalTensor[];
  /** What a person should know of how it was read. */
  notes: string[];
}

/** One folder of the drop, seen by the formats. */
export interface Place {
  folder: string;
  /** For messages. */
  where: string;
  /** What no format has taken yet. */
  files: readonly Dropped[];
  /** A file anywhere in the drop. */
  at(folder: string, name: string): Dropped | undefined;
  /** It holds a model, or lies below one: what cannot be read there may belong to the model. */
  ofModel: boolean;
  /** Reads a file of tensors, once; undefined where nobody reads its kind. */
  open: ReadTensors;
}
export type ReadTensors = (file: Dropped) => ReturnType<ReadLoose> | undefined;

/** A dictionary that a format has recognised: the files that are its, and how to read it. */
export interface Candidate {
  where: string;
  uses: readonly Dropped[];
  read(): Promise<DictionaryDraft>;
}
export interface Format {
  name: string;
  find(place: Place): Candidate[] | Promise<Candidate[]>;
}

export const named = (place: Place, name: string): Dropped | undefined => place.files.find((each) => each.name === name);
