/**
 * Neuronpedia's explanations: a record a line (`explanations/batch-0.jsonl.gz` of its public data sets), or a JSON list of the same records (its older export
 * for one source). A record names model, source (`layer`) and latent (`index`), and holds an explanation, or a list of them with their scores.
 * Keys: neuronpedia apps/webapp/prisma/schema.prisma, Explanation and ExplanationScore.
 */
import type { Dropped } from '../drop';
import { isObject, type JsonObject } from '../json';
import { linesOf, wholeText } from './lines';
import { garbage, Gathered, latentOf, textOf, type Allowance, type FreshLabel, type LabelGroup } from './read-label';

/** Is it such a record? Asked before a file is taken for one. */
export const isRecord = (value: unknown): value is JsonObject =>
  isObject(value) && typeof value['modelId'] === 'string' && ('description' in value || 'explanations' in value);

export async function readNeuronpediaLines(dropped: Dropped, allowance: Allowance): Promise<LabelGroup[]> {
  const groups = new Groups(dropped, allowance);
  for await (const { text, line } of linesOf(dropped.file, dropped.path)) {
    const where = `${dropped.path}, line ${line},`;
    groups.add(parsed(text, where), where);
  }
  return groups.all();
}

export async function readNeuronpediaList(dropped: Dropped, allowance: Allowance): Promise<LabelGroup[]> {
  const groups = new Groups(dropped, allowance);
  const list = parsed(await wholeText(dropped.file, dropped.path), dropped.path);
  if (!Array.isArray(list)) throw garbage(dropped.path, 'is no JSON list');
  list.forEach((record: unknown, i) => groups.add(record, `${dropped.path}, record ${i + 1},`));
  return groups.all();
}

export function parsed(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (thrown) {
    throw garbage(where, `is not readable JSON (${thrown instanceof Error ? thrown.message : String(thrown)})`);
  }
}

/** Records of one file, by the dictionary that they are of. */
class Groups {
  readonly #found = new Map<string, Gathered>();
  constructor(
    readonly file: Dropped,
    readonly allowance: Allowance,
  ) {}

  add(record: unknown, where: string): void {
    if (!isObject(record)) throw garbage(where, 'is JSON, but not an object');
    const [model, layer] = ['modelId', 'layer'].map((key) => textOf(record[key], where, key));
    if (!model || !layer) throw garbage(where, 'does not say its model and its source (“modelId”, “layer”)');
    const neuronpedia = `${model}/${layer}`;
    let group = this.#found.get(neuronpedia);
    if (!group) {
      const { path, folder } = this.file;
      this.#found.set(neuronpedia, (group = new Gathered({ path, folder, neuronpedia }, this.allowance)));
    }
    const latent = latentOf(record['index'], where, 'index');
    for (const each of explanationsOf(record, where)) {
      const label = labelOf(each, latent, where);
      if (label) group.add(label, where);
    }
  }

  all(): LabelGroup[] {
    return [...this.#found.values()].map((each) => each.group()).filter(({ labels }) => labels.length > 0);
  }
}

function explanationsOf(record: JsonObject, where: string): JsonObject[] {
  const list = 'explanations' in record ? record['explanations'] : [record];
  if (!Array.isArray(list) || !list.every(isObject)) throw garbage(where, 'has “explanations” that are no list of objects');
  return list;
}

function labelOf(explanation: JsonObject, latent: number, where: string): FreshLabel | undefined {
  const text = textOf(explanation['description'], where, 'description');
  // An explanation that was never written.
  if (text === '') return undefined;
  const by = ['explanationModelName', 'typeName'].map((key) => optional(explanation[key], where, key));
  const source = ['Neuronpedia', ...by].filter((part) => part !== '').join(' · ');
  return { latent, text, source, ...scoreOf(explanation['scores'], where) };
}

const optional = (value: unknown, where: string, key: string): string =>
  value === undefined || value === null ? '' : textOf(value, where, key).slice(0, 200);

/** The first of its scores: what a page that shows one shows. */
function scoreOf(scores: unknown, where: string): Pick<FreshLabel, 'score' | 'scoreName'> {
  if (scores === undefined || scores === null) return {};
  if (!Array.isArray(scores)) throw garbage(where, 'has “scores” that are no list');
  const first: unknown = scores[0];
  if (first === undefined) return {};
  if (!isObject(first) || typeof first['value'] !== 'number' || !Number.isFinite(first['value']))
    throw garbage(where, 'has a score without a number');
  const name = ['explanationScoreTypeName', 'explanationScoreModelName'].map((key) => optional(first[key], where, key));
  const scoreName = name.filter((part) => part !== '').join(' · ');
  return { score: first['value'], ...(scoreName !== '' && { scoreName }) };
}
