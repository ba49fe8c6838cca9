/**
 * From an edit as a person writes it to an edit as the engine takes it: vector ids become numbers, prompts become ids, every
 * default of the contract is filled in. Kept apart from the ports, so that each rule is tested without a worker.
 */
import type { Edit, Prompt, Tensor, Vec, VectorInfo, Where } from '../../workers/api';
import type { EngineEdit } from '../../workers/contract';
import { LabError } from '../../workers/errors';

export interface EditSources {
  vector(id: string): Promise<{ info: VectorInfo; data: Float32Array }>;
  ids(prompt: Prompt): Promise<number[]>;
  /** Where a dictionary writes; it is on the GPU once this has settled. */
  dictionary(id: string): Promise<{ hookOut: string }>;
}

type Replace = Extract<Edit, { kind: 'replace' }>['value'];
type EngineReplace = Extract<EngineEdit, { kind: 'replace' }>['value'];

const badEdit = (message: string, hint: string): LabError => new LabError('edit-invalid', message, hint);

function finite(value: number, name: string): number {
  if (!Number.isFinite(value)) throw badEdit(`An edit's ${name} is ${value}.`, `Give ${name} as a finite number.`);
  return value;
}

function numbers(vector: Vec | undefined, masked = false): Float32Array {
  if (vector === undefined || vector === null)
    throw badEdit('An edit has no numbers where it needs some.', 'Give `vector` (add, project, cap) or `value` (replace).');
  const data = Float32Array.from(vector);
  if (data.length === 0) throw badEdit('A vector holds no numbers.', 'Give as many numbers as the hook is wide.');
  // Scores hold −∞ where a key is masked, as lab.run gives them.
  if (!data.every((x) => Number.isFinite(x) || (masked && x === -Infinity)))
    throw badEdit('A vector holds a number that is not finite.', 'Check where it was made.');
  return data;
}

function checkedWhere(where: Where): Where {
  if (typeof where === 'string') {
    if (where === 'all' || where === 'prompt' || where === 'generated') return where;
    throw badEdit(`"${String(where)}" is not a place for an edit.`, "Use 'all', 'prompt', 'generated' or a list of positions.");
  }
  const wrong = where.find((position) => !Number.isInteger(position));
  if (wrong !== undefined) throw badEdit(`${wrong} is not a position.`, 'Positions are whole numbers; negative ones count from the end.');
  return [...where];
}

function isTensor(value: Replace): value is Tensor {
  return typeof value === 'object' && 'shape' in value;
}

async function replacement(value: Replace, sources: EditSources, at: string): Promise<EngineReplace> {
  if (value === undefined || value === null) throw badEdit('A replace edit has no value.', "Use 'zero', numbers, a prompt or a mean.");
  if (value === 'zero') return value;
  if (typeof value === 'string') throw badEdit(`"${String(value)}" is not a replacement.`, "Use 'zero', numbers, a prompt or a mean.");
  if (isTensor(value)) {
    const size = value.shape.reduce((product, n) => product * n, 1);
    const data = numbers(value.data, at.endsWith('hook_attn_scores'));
    if (size !== data.length)
      throw badEdit(`A tensor of shape ${value.shape.join('×')} holds ${data.length} numbers.`, `It needs ${size}.`);
    return { shape: [...value.shape], data };
  }
  if ('prompt' in value) {
    const ids = await sources.ids(value.prompt);
    return value.from ? { ids, from: [...value.from] } : { ids };
  }
  if ('mean' in value) {
    if (value.over !== 'all' && value.over !== 'position')
      throw badEdit(`A mean over "${String(value.over)}" is not known.`, "Use over: 'all' or over: 'position'.");
    if (value.mean.length === 0) throw badEdit('The mean of no text was asked for.', 'Give at least one text.');
    return { mean: await Promise.all(value.mean.map((text) => sources.ids(text))), over: value.over };
  }
  const data = numbers(value);
  return { shape: [data.length], data };
}

async function direction(
  edit: { at?: string; vector: string | Vec },
  sources: EditSources,
): Promise<{ at?: string; vector: Float32Array }> {
  if (typeof edit.vector !== 'string') return { at: edit.at, vector: numbers(edit.vector) };
  const { info, data } = await sources.vector(edit.vector);
  return { at: edit.at ?? info.at, vector: data };
}

export async function resolveEdit(edit: Edit, sources: EditSources): Promise<EngineEdit> {
  const common = {
    where: checkedWhere(edit.where ?? 'all'),
    skipSpecial: edit.skipSpecial ?? false,
    strength: finite(edit.strength ?? 1, 'strength'),
    enabled: edit.enabled ?? true,
    ...(edit.head === undefined ? {} : { head: edit.head }),
  };
  const placed = (at: string | undefined) => {
    if (at === undefined)
      throw badEdit(`An edit (${edit.kind}) does not say where it acts.`, "Name a hook with `at`, or use a kept vector's id.");
    return { ...common, at };
  };
  switch (edit.kind) {
    case 'add': {
      const { at, vector } = await direction(edit, sources);
      return { ...placed(at), kind: 'add', vector, scale: finite(edit.scale, 'scale') };
    }
    case 'project': {
      const { at, vector } = await direction(edit, sources);
      return { ...placed(at), kind: 'project', vector, keep: finite(edit.keep, 'keep') };
    }
    case 'cap': {
      const { at, vector } = await direction(edit, sources);
      return { ...placed(at), kind: 'cap', vector, cap: finite(edit.cap, 'cap') };
    }
    case 'replace': {
      const here = placed(edit.at);
      return { ...here, kind: 'replace', value: await replacement(edit.value, sources, here.at) };
    }
    case 'latent': {
      const { dictionary, latent, op } = edit;
      if (!Number.isInteger(latent) || latent < 0) throw badEdit(`${String(latent)} is no latent.`, 'Latents are whole numbers, from 0.');
      if (!['set', 'add', 'scale'].includes(op)) throw badEdit(`A latent cannot be “${String(op)}”.`, "Use op: 'set', 'add' or 'scale'.");
      const { hookOut } = await sources.dictionary(dictionary);
      return { ...placed(edit.at ?? hookOut), kind: 'latent', dictionary, latent, op, value: finite(edit.value, 'value') };
    }
    case 'splice': {
      const { dictionary, keepError } = edit;
      const { hookOut } = await sources.dictionary(dictionary);
      return { ...placed(edit.at ?? hookOut), kind: 'splice', dictionary, keepError: keepError === true };
    }
    default: {
      const unknown: { kind?: unknown } = edit;
      throw badEdit(`"${String(unknown.kind)}" is not a kind of edit.`, 'The kinds are add, project, cap, replace, latent and splice.');
    }
  }
}

export function resolveEdits(edits: readonly Edit[] | undefined, sources: EditSources): Promise<EngineEdit[]> {
  return Promise.all((edits ?? []).map((edit) => resolveEdit(edit, sources)));
}
