/**
 * cases.json, as types: prompts, greedy continuations and edited runs of one fixture. Edits are in the lab's own form,
 * except that a prompt is named by its index among the fixture's prompts; `engineRun` makes them what the engine takes.
 */
import type { EngineEdit, EngineRun } from '../../workers/contract';
import type { Hook, Where } from '../../workers/api';

export interface GoldenPrompt {
  /** Without the BOS, which `ids` begins with. */
  text: string;
  ids: number[];
  /** Natural log-probability of ids[t + 1] after position t. */
  nextLogProbs: number[];
  argmax: number[];
}

export interface GoldenContinuation {
  prompt: number;
  /** The greedy tokens after the prompt. */
  ids: number[];
  text: string;
  /** Least gap between the first and second logit, over the range of the logits. */
  margin: number;
}

export type GoldenEdit = { at: Hook; where?: Where; skipSpecial?: boolean; head?: number; strength?: number } & (
  | { kind: 'add'; vector: number[]; scale: number }
  | { kind: 'project'; vector: number[]; keep: number }
  | { kind: 'cap'; vector: number[]; cap: number }
  | { kind: 'replace'; value: 'zero' | { prompt: number; from?: number[] } | { mean: number[]; over: 'all' | 'position' } }
);

/** Its logits are golden tensor `edit/<name>/logits`, every position. */
export interface GoldenCase {
  name: string;
  prompt: number;
  promptLength?: number;
  edits: GoldenEdit[];
}

export interface Cases {
  name: string;
  family: string;
  stored: 'F32' | 'F16' | 'BF16';
  bos: number;
  eos: number[];
  special: number[];
  /** The files of the model's folder. */
  files: string[];
  prompts: GoldenPrompt[];
  greedy: GoldenContinuation[];
  edits: GoldenCase[];
}

export function promptIds(cases: Cases, index: number): number[] {
  const prompt = cases.prompts[index];
  if (!prompt) throw new Error(`${cases.name} has no prompt ${index}`);
  return prompt.ids;
}

export function engineEdit(cases: Cases, edit: GoldenEdit): EngineEdit {
  const common = {
    at: edit.at,
    where: edit.where ?? 'all',
    skipSpecial: edit.skipSpecial ?? false,
    strength: edit.strength ?? 1,
    enabled: true,
    ...(edit.head === undefined ? {} : { head: edit.head }),
  };
  if (edit.kind === 'add') return { ...common, kind: 'add', vector: Float32Array.from(edit.vector), scale: edit.scale };
  if (edit.kind === 'project') return { ...common, kind: 'project', vector: Float32Array.from(edit.vector), keep: edit.keep };
  if (edit.kind === 'cap') return { ...common, kind: 'cap', vector: Float32Array.from(edit.vector), cap: edit.cap };
  const { value } = edit;
  if (value === 'zero') return { ...common, kind: 'replace', value };
  if ('mean' in value)
    return { ...common, kind: 'replace', value: { mean: value.mean.map((index) => promptIds(cases, index)), over: value.over } };
  const ids = promptIds(cases, value.prompt);
  return { ...common, kind: 'replace', value: value.from ? { ids, from: value.from } : { ids } };
}

/** An edited run as a request for every logit. */
export function engineRun(cases: Cases, golden: GoldenCase): EngineRun {
  const ids = promptIds(cases, golden.prompt);
  return {
    ids,
    promptLength: golden.promptLength ?? ids.length,
    edits: golden.edits.map((edit) => engineEdit(cases, edit)),
    taps: [],
    logits: 'all',
  };
}
