/**
 * Loupe's own form, labels.json: what somebody says of a dictionary's latents, beside its cfg.json or alone.
 *   { "source": "Lanternwick’s ground truth", "dictionary"?: "dictionary-…", "labels": [{ "latent": 12, "label": "fog", "precision"?, "recall"?, "f1"?, "note"? }] }
 * F1 is kept as the label's score (of the others the first that is there), the rest is told in its note.
 */
import type { Dropped } from '../drop';
import { isObject, type JsonObject } from '../json';
import { wholeText } from './lines';
import { parsed } from './neuronpedia';
import { garbage, Gathered, latentOf, textOf, type Allowance, type FreshLabel, type LabelGroup } from './read-label';

export const isLabelsJson = (value: unknown): value is JsonObject => isObject(value) && Array.isArray(value['labels']);

export async function readLabelsJson(dropped: Dropped, allowance: Allowance): Promise<LabelGroup[]> {
  const { path, folder, file } = dropped;
  const value = parsed(await wholeText(file, path), path);
  if (!isObject(value)) throw garbage(path, 'is JSON, but not an object');
  const source = textOf(value['source'], path, 'source');
  if (source === '' || source.length > 200) throw garbage(path, 'does not say in at most 200 characters whose labels they are (“source”)');
  const dictionary = value['dictionary'] === undefined ? undefined : textOf(value['dictionary'], path, 'dictionary');
  const list = value['labels'];
  if (!Array.isArray(list)) throw garbage(path, 'has no list “labels”');
  const gathered = new Gathered({ path, folder, ...(dictionary !== undefined && { dictionary }) }, allowance);
  list.forEach((each: unknown, i) => {
    const where = `${path}, label ${i + 1},`;
    if (!isObject(each)) throw garbage(where, 'is no object');
    gathered.add(labelOf(each, source, where), where);
  });
  const group = gathered.group();
  return group.labels.length > 0 ? [group] : [];
}

const SCORES = [
  ['f1', 'F1'],
  ['precision', 'precision'],
  ['recall', 'recall'],
] as const;

function labelOf(each: JsonObject, source: string, where: string): FreshLabel {
  const latent = latentOf(each['latent'], where, 'latent');
  const text = textOf(each['label'], where, 'label');
  if (text === '') throw garbage(where, 'has an empty “label”');
  const scores = SCORES.flatMap(([key, name]) => {
    const value = each[key];
    if (value === undefined || value === null) return [];
    if (typeof value !== 'number' || !Number.isFinite(value)) throw garbage(where, `has a “${key}” that is no number`);
    return [{ name, value }];
  });
  const [first, ...others] = scores;
  const said = each['note'] === undefined ? '' : textOf(each['note'], where, 'note');
  const note = [said, others.map(({ name, value }) => `${name} ${Number(value.toPrecision(4))}`).join(', ')]
    .filter((part) => part !== '')
    .join('; ');
  return { latent, text, source, ...(first && { score: first.value, scoreName: first.name }), ...(note !== '' && { note }) };
}
