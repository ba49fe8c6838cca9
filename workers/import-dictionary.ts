/**
 * From a dictionary's draft to what the shelf keeps of it, and from its record to what a person is shown: its contract as a flat table, and the
 * models on the shelf that have the places it reads and writes, as wide as it needs them. Where files, dictionaries and models meet.
 */
import type { DictionaryInfo } from './api';
import type { DictionaryRecord, ModelRecord } from './contract';
import { isTranscoder, type Contract, type DictionarySpec } from './dictionary/spec';
import { LabError } from './errors';
import { canonicalBytes, layoutOf as fileLayout } from './formats/dictionaries/convert';
import type { DictionaryDraft } from './formats/dictionaries/draft';
import type { DraftRecord, Source } from './library/library';
import { familyOf } from './model/families';
import { hooksOf, type HookInfo } from './model/hooks';
import { layoutOf } from './model/layout';

/** The record, and the one file that it will name: its size is known, its bytes come as they are written. */
export function shelfDraft(draft: DictionaryDraft, signal?: AbortSignal): { record: DraftRecord; source: Source } {
  const { tensors, bytes } = fileLayout(draft);
  const { name, format, spec, model, neuronpedia, promised, notes } = draft;
  return {
    record: {
      ...{ name, format, spec, tensors, promised },
      ...(model !== undefined && { model }),
      ...(neuronpedia !== undefined && { neuronpedia }),
      ...(notes.length > 0 && { notes }),
    },
    source: { bytes, pieces: () => canonicalBytes(draft, signal) },
  };
}

export function dictionaryInfo(record: DictionaryRecord, models: readonly ModelRecord[]): DictionaryInfo {
  const { id, name, spec } = record;
  const { kind, hookIn, hookOut, dIn, dOut, latents } = spec;
  return {
    id,
    name,
    kind,
    hookIn: [hookIn],
    hookOut,
    dIn,
    dOut,
    latents,
    contract: shownContract(record),
    ...overridden(record),
    fits: models.filter((model) => fits(spec, model)).map((model) => model.id),
  };
}

/** Every convention by its name, then what the file itself says: its format, its model, what it promises. */
function shownContract({ spec, format, model, promised, notes }: DictionaryRecord): DictionaryInfo['contract'] {
  const { normGain, ...contract } = spec.contract;
  return {
    ...contract,
    normGain: normGain === true,
    ...(spec.k !== undefined && { k: spec.k }),
    format,
    ...(model !== undefined && { model }),
    ...(promised.l0 !== undefined && { promisedL0: promised.l0 }),
    ...(promised.fvu !== undefined && { promisedFvu: promised.fvu }),
    ...(notes && notes.length > 0 && { notes: notes.join('\n') }),
  };
}

/** What the files say where a person has said otherwise. */
function overridden({ spec, read }: DictionaryRecord): Pick<DictionaryInfo, 'fileSays'> {
  if (!read) return {};
  const now: Contract = { normGain: false, ...spec.contract };
  const all = Object.entries({ normGain: false, ...read }).filter(([key, value]) => now[key as keyof Contract] !== value);
  return all.length ? { fileSays: Object.fromEntries(all) } : {};
}

/** Has the model both places, and are they as wide? Heads of z count side by side. */
export function fits({ hookIn, hookOut, dIn, dOut }: DictionarySpec, { config }: Pick<ModelRecord, 'config'>): boolean {
  try {
    const spec = familyOf(config).spec(config);
    const hooks = hooksOf(spec, layoutOf(spec));
    return widthOf(hooks.get(hookIn)) === dIn && widthOf(hooks.get(hookOut)) === dOut;
  } catch (thrown) {
    // A model kept by an older version that this one no longer reads fits nothing.
    if (thrown instanceof LabError) return false;
    throw thrown;
  }
}
const widthOf = (hook: HookInfo | undefined): number | undefined => hook && hook.geometry.units * hook.geometry.width;

const CHOICES = { residual: ['raw', 'centred'], normalisation: ['none', 'layer_norm', 'scale'], reshape: ['none', 'hook_z'] };
const FLAGS = ['subtractBDec', 'rescaleByDecoderNorm', 'prependBos', 'normGain'];

/** A person's changes to a contract, whoever typed them. */
export function changedContract({ spec }: DictionaryRecord, change: unknown): Contract {
  if (typeof change !== 'object' || change === null) throw invalid('The change is no object', 'Give an object, as { residual: "raw" }.');
  for (const [key, value] of Object.entries(change)) {
    const choices = (CHOICES as Record<string, string[] | undefined>)[key];
    if (choices && !(typeof value === 'string' && choices.includes(value)))
      throw invalid(`“${key}” cannot be ${JSON.stringify(value)}`, `Give one of ${choices.join(', ')}.`);
    if (FLAGS.includes(key) && typeof value !== 'boolean')
      throw invalid(`“${key}” cannot be ${JSON.stringify(value)}`, 'Give true or false.');
    if (key === 'scale' && !(typeof value === 'number' && Number.isFinite(value) && value > 0))
      throw invalid(`“scale” cannot be ${JSON.stringify(value)}`, 'Give a number above 0.');
    if (!choices && !FLAGS.includes(key) && key !== 'scale')
      throw invalid(`A contract has no “${key}”`, `It has ${[...Object.keys(CHOICES), 'scale', ...FLAGS].join(', ')}.`);
  }
  const contract: Contract = { ...spec.contract, ...change };
  if (contract.normalisation !== 'scale') {
    if ('scale' in change && change.scale !== 1) throw invalid('A scale has a meaning with normalisation “scale” alone', 'Give both.');
    contract.scale = 1;
  }
  if (contract.subtractBDec && isTranscoder(spec))
    throw invalid('A transcoder’s b_dec belongs to its output and is never subtracted from its input', 'Leave subtractBDec false.');
  if (contract.normGain === true && !spec.hookIn.endsWith('hook_normalized'))
    throw invalid(`${spec.hookIn} is no norm’s hook`, 'Leave normGain false.');
  if (contract.reshape === 'hook_z' && !spec.hookIn.endsWith('hook_z'))
    throw invalid(`${spec.hookIn} has no heads`, 'Leave reshape “none”.');
  return contract;
}

const invalid = (what: string, hint: string): LabError => new LabError('contract-invalid', `${what}.`, hint);
