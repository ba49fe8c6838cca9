/**
 * A golden fixture as a test wants it: the model's files as if dropped, its cases, and its reference activations.
 * In a browser the files are fetched from where this module was served; a test in Node hands in its own reader.
 */
import type { Tensor } from '../../workers/api';
import type { OpenedFile } from '../../workers/contract';
import type { Cases } from './cases';
import { readSafetensors } from './safetensors';

export const FIXTURES = [
  'gpt2-odd',
  'gpt2-scaled',
  'gptneo-local',
  'gptneo-f16',
  'neox-partial',
  'neox-serial',
  'llama-gqa',
  'llama-bf16',
  'llama3-scaled',
  'llama3-linear',
  'mistral-window',
  'mistral-full',
  'qwen2-bias',
  'qwen2-sliding',
  'qwen3-norm',
  'qwen3-one',
  'gemma2-caps',
  'gemma2-one',
  'gemma3-windows',
  'gemma3-linear',
  'phi2-partial',
  'phi2-gqa',
  'phi3-fused',
  'phi3-longrope',
  'starcoder2-bias',
  'starcoder2-window',
  'toy-attn',
  'toy-grok',
  'toy-ln',
] as const;
export type FixtureName = (typeof FIXTURES)[number];

/**
 * Those that between them use every feature. They are run in every set of kernel variants, the others in the plain ones alone; and what
 * does not depend on a model is asked of these alone: a software renderer takes seconds to compile each form of each kernel.
 */
export const EVERY_FEATURE: readonly FixtureName[] = [
  'gpt2-odd',
  'llama-gqa',
  'neox-partial',
  'gemma2-caps',
  'gemma3-windows',
  'phi3-fused',
];

/** Reads a file by its path under tests/golden/fixtures. */
export type Read = (path: string) => Promise<Uint8Array<ArrayBuffer>>;

export interface Fixture {
  cases: Cases;
  /** The model's folder, each file under `<name>/`, as a dropped folder gives them. */
  files: OpenedFile[];
  config: Record<string, unknown>;
  /** Reference tensors: `<prompt index>/<hook>`, `<prompt index>/logits`, `edit/<case>/logits`. */
  golden: ReadonlyMap<string, Tensor>;
}

const here = import.meta.url;

const fetched: Read = async (path) => {
  const response = await fetch(new URL(`./fixtures/${path}`, here));
  if (!response.ok) throw new Error(`${path}: ${response.status} ${response.statusText}`);
  return new Uint8Array(await response.arrayBuffer());
};

const json = (bytes: Uint8Array): unknown => JSON.parse(new TextDecoder().decode(bytes));

export async function loadFixture(name: FixtureName, read: Read = fetched): Promise<Fixture> {
  const cases = json(await read(`${name}/cases.json`)) as Cases;
  const files = await Promise.all(
    cases.files.map(async (file) => ({ path: `${name}/${file}`, file: new File([await read(`${name}/${file}`)], file) })),
  );
  return {
    cases,
    files,
    config: json(await read(`${name}/config.json`)) as Record<string, unknown>,
    golden: readSafetensors(await read(`${name}/golden.safetensors`)),
  };
}

/** What TransformerLens makes of a fixture with its weights processed: `<setting>/<hook>` of prompt 1 (make_processed.py). */
export async function loadProcessed(name: FixtureName, read: Read = fetched): Promise<ReadonlyMap<string, Tensor>> {
  return readSafetensors(await read(`processed/${name}.safetensors`));
}

/** A reference tensor by its key; a key that is not there is a mistake in the test. */
export function golden(fixture: Fixture, key: string): Tensor {
  const tensor = fixture.golden.get(key);
  if (!tensor) throw new Error(`${fixture.cases.name} has no golden tensor “${key}”`);
  return tensor;
}

/** The hooks that a prompt has a reference for, in the file's order. */
export function goldenHooks(fixture: Fixture, prompt: number): string[] {
  const prefix = `${prompt}/`;
  return [...fixture.golden.keys()]
    .filter((key) => key.startsWith(prefix) && key !== `${prefix}logits`)
    .map((key) => key.slice(prefix.length));
}

export interface GoldenGradients {
  prompt: number;
  /** Whose log-probability at the last position is differentiated. */
  token: number;
  value: number;
  /** By hook. */
  tensors: ReadonlyMap<string, Tensor>;
  /** Of edited runs, at hook_embed, by the case's name. */
  edits: ReadonlyMap<string, { token: number; value: number; expected: Tensor }>;
}

/** What PyTorch's autograd gives for a fixture (make_gradients.py). */
export async function loadGradients(name: FixtureName, read: Read = fetched): Promise<GoldenGradients> {
  const record = json(await read(`gradients/${name}.json`)) as Pick<GoldenGradients, 'prompt' | 'token' | 'value'> & {
    same: Record<string, string>;
    edits: Record<string, { token: number; value: number }>;
  };
  const stored = readSafetensors(await read(`gradients/${name}.safetensors`));
  const need = (key: string): Tensor => {
    const tensor = stored.get(key);
    if (!tensor) throw new Error(`${name} has no gradient “${key}”`);
    return tensor;
  };
  const hooks = [...stored].filter(([key]) => !key.startsWith('edit/'));
  return {
    prompt: record.prompt,
    token: record.token,
    value: record.value,
    tensors: new Map([...hooks, ...Object.entries(record.same).map(([hook, other]) => [hook, need(other)] as const)]),
    edits: new Map(Object.entries(record.edits).map(([key, each]) => [key, { ...each, expected: need(`edit/${key}`) }])),
  };
}

/** A case of make_dictionary_gradients.py: a random dictionary, the edits in force, and the hooks whose gradients are there. */
export interface DictionaryGradientCase {
  name: string;
  dictionary: Record<string, unknown> & { seed: number };
  edits: DictionaryEdits[];
  at: string[];
  token: number;
  value: number;
}
export type DictionaryEdits =
  | {
      kind: 'latents';
      at: string;
      edits: { latent: number; op: 'set' | 'add' | 'scale'; value: number; strength?: number; where?: number[] }[];
    }
  | { kind: 'splice'; at: string; strength: number }
  | { kind: 'project'; at: string; keep: number; vector: number[] };

export async function loadDictionaryGradients(read: Read = fetched) {
  const record = json(await read('gradients/dictionaries.json')) as {
    fixture: FixtureName;
    prompt: number;
    cases: DictionaryGradientCase[];
  };
  return { ...record, tensors: readSafetensors(await read('gradients/dictionaries.safetensors')) };
}
