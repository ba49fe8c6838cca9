/**
 * Whose labels are these? A label that lands on another dictionary is silently wrong, so it is told by what names the dictionary, and only where
 * nothing does by there being one that it can be:
 *   1. the caller's word; 2. the id that a labels.json names; 3. Neuronpedia's id, where a dictionary has it; 4. the folder: a dictionary of the same drop in the
 *   labels' folder or above it; 5. the only dictionary that has the place (the layer and the site that Neuronpedia's source names) and enough latents.
 */
import type { Opened } from './api';
import type { DictionaryRecord, OpenedFile } from './contract';
import type { DictionarySpec } from './dictionary/spec';
import { LabError } from './errors';
import type { FoundLabels } from './formats/labels';
import type { LabelGroup } from './formats/labels/read-label';
import { collect } from './formats/reasons';
import type { LabelBatch } from './library/labels';

/** Settings of models and dictionaries, by their names: no labels, and looked at by others. */
const SETTINGS =
  /(^|[/\\])((config|cfg|generation_config|tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab|chat_template|hyperparams|preprocessor_config)\.json|[^/\\]*\.index\.json)$/i;

/** The files of a drop that hold labels. Their readers are a chunk of its own, read when a file could be one. */
export async function labelsIn(files: readonly OpenedFile[]): Promise<FoundLabels> {
  const nameOf = ({ path, file }: OpenedFile): string => path || file.name;
  if (!files.some((each) => /\.jsonl?(\.gz)?$/i.test(nameOf(each)) && !SETTINGS.test(nameOf(each))))
    return { files: [], rest: [...files], ignored: [] };
  return (await import('./formats/labels')).findLabels(files, (path) => SETTINGS.test(path));
}

/** What the files hold, each reason why one cannot be read in `reasons`. */
export async function readLabels({ files, ignored }: FoundLabels, reasons: LabError[], signal: AbortSignal): Promise<LabelGroup[]> {
  if (files.length === 0) return [];
  const { Allowance } = await import('./formats/labels');
  const allowance = new Allowance(signal);
  const groups: LabelGroup[] = [];
  for (const { dropped, read } of files) {
    const found = await collect(reasons, () => read(allowance));
    groups.push(...(found ?? []));
    if (found?.length === 0) ignored.push({ file: dropped.path, why: 'holds no label' });
    for (const { outdone } of found ?? [])
      if (outdone > 0)
        ignored.push({
          file: `${dropped.path}: ${outdone} of its labels`,
          why: 'the same source has another for the latent, better scored or later',
        });
  }
  return groups;
}

/** Counted by dictionary and source, as a drop tells it. */
export function summary(batches: readonly LabelBatch[]): Opened['labels'] {
  const counts = new Map<string, Opened['labels'][number]>();
  for (const { dictionary, labels } of batches)
    for (const { source } of labels) {
      const key = `${dictionary} ${source}`;
      const before = counts.get(key) ?? { dictionary, count: 0, source };
      counts.set(key, { ...before, count: before.count + 1 });
    }
  return [...counts.values()];
}

/** A dictionary that labels may belong to: on the shelf, or about to be. */
export interface Owner {
  name: string;
  spec: DictionarySpec;
  neuronpedia?: string;
  /** Of the shelf. */
  id?: string;
  /** Where it lies in this drop, and its number among the drop's dictionaries. */
  dropped?: { folder: string; index: number };
}

export const ownerOf = ({ id, name, spec, neuronpedia }: DictionaryRecord): Owner => ({
  ...{ id, name, spec },
  ...(neuronpedia !== undefined && { neuronpedia }),
});

export function whose(group: LabelGroup, owners: readonly Owner[], stated?: Owner): Owner {
  const owner = stated ?? found(group, owners);
  const { latent, where } = group.highest;
  if (latent >= owner.spec.latents)
    throw new LabError(
      'latent-range',
      `${where} labels latent ${latent}; “${owner.name}” has ${owner.spec.latents}.`,
      'These are the labels of another dictionary, or latents counted from 1: they count from 0.',
    );
  return owner;
}

function found(group: LabelGroup, owners: readonly Owner[]): Owner {
  const { dictionary, neuronpedia, folder, path, highest } = group;
  if (dictionary !== undefined) {
    const named = owners.filter((each) => each.id === dictionary);
    return only(named, path, `names the dictionary “${dictionary}”`);
  }
  if (neuronpedia !== undefined) {
    const named = owners.filter((each) => sameId(each.neuronpedia ?? each.name, neuronpedia));
    if (named.length > 0) return only(named, path, `is of “${neuronpedia}”`);
  }
  const around = owners.filter(({ dropped }) => dropped && isAround(dropped.folder, folder));
  if (around.length > 0) {
    const nearest = Math.max(...around.map(({ dropped }) => dropped?.folder.length ?? 0));
    return only(
      around.filter(({ dropped }) => dropped?.folder.length === nearest),
      path,
      'lies in a folder of dictionaries',
    );
  }
  const able = owners.filter(
    (each) =>
      each.spec.latents > highest.latent &&
      (neuronpedia === undefined || (each.neuronpedia === undefined && hasPlace(each.spec, neuronpedia.split('/').pop() ?? ''))),
  );
  return only(able, path, neuronpedia === undefined ? 'does not say whose labels it holds' : `is of “${neuronpedia}”`);
}

/** The one that it is, or a refusal that says what there was. A dictionary that is dropped again is the one on the shelf. */
function only(owners: readonly Owner[], path: string, says: string): Owner {
  const fresh = owners.filter(({ dropped }) => dropped);
  const rest = owners.filter((each) => !each.dropped && !fresh.some((other) => isAgain(each, other)));
  const [first, ...others] = [...fresh, ...rest];
  if (first && others.length === 0) return first;
  throw new LabError(
    'labels-whose',
    `${path} ${says}, and ${first ? `${others.length + 1} dictionaries could be meant` : 'no dictionary on the shelf is that one'}.`,
    'Drop the labels in the dictionary’s own folder, together with it, or say whose they are: lab.openLabels(files, dictionary).',
  );
}

/** Likely enough to be the same: what a person overrode of its contract does not count. */
const isAgain = (a: Owner, b: Owner): boolean =>
  a.name === b.name && JSON.stringify({ ...a.spec, contract: 0 }) === JSON.stringify({ ...b.spec, contract: 0 });
const sameId = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase();
const isAround = (outer: string, inner: string): boolean => inner === outer || (outer !== '' && inner.startsWith(`${outer}/`));

const SITES: readonly [RegExp, (spec: DictionarySpec) => boolean][] = [
  [/^(transcoder|tres|tc|clt|plt)/, ({ hookIn, hookOut }) => hookIn !== hookOut],
  [/^res/, ({ hookIn }) => hookIn.includes('hook_resid')],
  [/^att/, ({ hookIn }) => hookIn.includes('attn')],
  [/^mlp/, ({ hookIn }) => /mlp|ln2/.test(hookIn)],
];

/** Neuronpedia's names of sources begin with the layer: “8-res-jb”, “12-gemmascope-att-16k”. What a name does not tell is not held against a dictionary. */
function hasPlace(spec: DictionarySpec, source: string): boolean {
  const [first = '', ...parts] = source.toLowerCase().split('-');
  const layer = /^blocks\.(\d+)\./.exec(spec.hookIn)?.[1];
  if (/^\d+$/.test(first) && layer !== undefined && first !== layer) return false;
  const site = SITES.find(([name]) => parts.some((part) => name.test(part)));
  return site === undefined || site[1](spec);
}
