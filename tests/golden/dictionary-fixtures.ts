/**
 * A dictionary's fixture as a test wants it: the files as if dropped, what a reader must come to, and what the format's own library makes of x
 * (make_dictionaries.py). In a browser the files are fetched from where this module was served; a test in Node hands in its own reader.
 */
import type { Tensor } from '../../workers/api';
import type { DictionarySpec } from '../../workers/dictionary/spec';
import type { OpenedFile } from '../../workers/contract';
import type { LatentEdit } from '../reference/dictionary-edits';
import type { Scores } from '../reference/dictionary-scores';
import type { Read } from './fixture';
import { readSafetensors } from './safetensors';

export const DICTIONARIES = [
  'saelens-standard',
  'saelens-standard-layernorm',
  'saelens-standard-average',
  'saelens-topk',
  'saelens-topk-rescaled',
  'saelens-jumprelu',
  'saelens-jumprelu-bf16',
  'saelens-jumprelu-checkpoint',
  'saelens-gated',
  'saelens-batchtopk',
  'saelens-matryoshka',
  'saelens-hook-z',
  'saelens-transcoder',
  'saelens-transcoder-layernorm',
  'saelens-skip-transcoder',
  'saelens-jumprelu-transcoder',
  'saelens-jumprelu-skip-transcoder',
  'saelens-before-6-standard',
  'saelens-before-6-topk',
  'saelens-before-6-hook-z',
  'saelens-before-6-gated',
  'dictionary-learning-standard',
  'dictionary-learning-gated',
  'dictionary-learning-jumprelu',
  'dictionary-learning-topk',
  'dictionary-learning-batchtopk',
  'dictionary-learning-matryoshka',
  'sparsify-topk',
  'sparsify-topk-ties',
  'sparsify-transcoder',
  'gemma-scope-res',
  'gemma-scope-mlp',
  'gemma-scope-att',
  'gemma-scope-transcoder',
  'gemma-scope-embedding',
  'gemma-scope-2-res',
  'gemma-scope-2-transcoder-affine',
  'openai-relu',
  'openai-topk',
  'llama-scope',
  'llama-scope-transcoder',
  'llama-scope-r1',
  'goodfire',
  'mwhanna-transcoder',
  'circuit-tracer-skip',
  'mntss-skip-transcoder',
  'circuit-tracer-jumprelu',
] as const;
export type DictionaryName = (typeof DICTIONARIES)[number];

export type DictionaryFormat =
  | 'saelens'
  | 'dictionary_learning'
  | 'sparsify'
  | 'gemma_scope'
  | 'gemma_scope_2'
  | 'openai'
  | 'llama_scope'
  | 'goodfire'
  | 'circuit_tracer';

export interface DictionaryCase {
  name: DictionaryName;
  format: DictionaryFormat;
  /** What wrote the files, and what computed the numbers. */
  writer: string;
  oracle: string;
  /** Libraries that read the very files to the same numbers. */
  also?: string[];
  seed: number;
  /** Paths under `files/`, with the folders that they are shared in. */
  files: string[];
  /** What the canonical spec must come out as; the kind's name is the reader's own. */
  spec: Omit<DictionarySpec, 'kind'>;
  /** Fields that no file says: a reader's default, or a person's word. */
  assumed: string[];
  /** The files want a scale that they do not hold: `scaled_activations` and `scaled_reconstruction` are with this one. */
  scaledBy?: number;
  /** `edited` is the library's own answer to these, its error term kept. */
  edits?: LatentEdit[];
  /** What the library scores itself at over all rows of x. */
  scores?: Partial<Scores>;
  /** Latents tie by construction. */
  ties?: boolean;
  /** How near any row comes to another set of active latents, over its largest pre-activation. */
  margin: number;
  note?: string;
}

export interface DictionaryFixture {
  about: DictionaryCase;
  files: OpenedFile[];
  /** `x` [n, dIn], `activations` [n, latents], `reconstruction` [n, dOut]; where there are such, `folded_activations`, `scaled_…`, `edited`. */
  expected: ReadonlyMap<string, Tensor>;
}

const here = import.meta.url;

const fetched: Read = async (path) => {
  const response = await fetch(new URL(`./fixtures/${path}`, here));
  if (!response.ok) throw new Error(`${path}: ${response.status} ${response.statusText}`);
  return new Uint8Array(await response.arrayBuffer());
};

export async function loadDictionary(name: DictionaryName, read: Read = fetched): Promise<DictionaryFixture> {
  const at = `dictionaries/${name}`;
  const about = JSON.parse(new TextDecoder().decode(await read(`${at}/case.json`))) as DictionaryCase;
  const files = about.files.map(async (path) => ({
    path,
    file: new File([await read(`${at}/files/${path}`)], path.split('/').pop() ?? path),
  }));
  return { about, files: await Promise.all(files), expected: readSafetensors(await read(`${at}/expected.safetensors`)) };
}

/** A reference tensor by its key; a key that is not there is a mistake in the test. */
export function expected({ about, expected: tensors }: DictionaryFixture, key: string): Tensor {
  const tensor = tensors.get(key);
  if (!tensor) throw new Error(`${about.name} has no expected “${key}”`);
  return tensor;
}
