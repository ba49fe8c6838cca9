/** The trained dictionaries (make_trained.py) and the model that they read: the demo's, made as awkward as published ones are, in the same way as there. */
import type { DictionaryRecord, OpenedFile } from '../../workers/contract';
import type { DictionarySpec } from '../../workers/dictionary/spec';
import { f16ToBits } from '../support/numbers';
import { packed, type ReadDictionary } from '../support/read-dictionary';
import { readSafetensors } from './safetensors';

export const TRAINED = [
  'relu-raw',
  'relu-scaled',
  'relu-centred',
  'topk-layernorm',
  'topk-rescaled',
  'jumprelu-whole',
  'topk-transcoder',
] as const;
export type TrainedName = (typeof TRAINED)[number];

const here = import.meta.url;
const fetched = async (path: string): Promise<Uint8Array<ArrayBuffer>> => {
  const response = await fetch(new URL(path, here));
  if (!response.ok) throw new Error(`${path}: ${response.status} ${response.statusText}`);
  return new Uint8Array(await response.arrayBuffer());
};
const json = (bytes: Uint8Array): unknown => JSON.parse(new TextDecoder().decode(bytes));

export async function loadTrained(name: TrainedName): Promise<Omit<ReadDictionary, 'twin'>> {
  const [about, bytes] = await Promise.all([fetched(`./fixtures/trained/${name}.json`), fetched(`./fixtures/trained/${name}.safetensors`)]);
  const { spec, promised } = json(about) as { spec: DictionarySpec; promised: DictionaryRecord['promised'] };
  const tensors = Object.fromEntries([...readSafetensors(bytes)].map(([key, { data }]) => [key, data]));
  const like = { id: name, name, format: 'trained', spec, stored: 'memory', files: [], tensors: [], promised, addedAt: 0 } as const;
  return packed({ spec, tensors }, { ...like, files: [], tensors: [] });
}

/** As in make_trained.py. */
const lean = (position: number): number => 12 * Math.sin(1.7 * position);
const uneven = (i: number): number => Math.exp(1.2 * Math.sin(2.3 * i));
const [MASSIVE, ENTRY] = [2000, 5];

export async function awkwardModel(): Promise<OpenedFile[]> {
  const names = ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'];
  return Promise.all(
    names.map(async (name) => {
      const bytes = await fetched(`/demo/lanternwick/${name}`);
      if (name === 'model.safetensors') makeAwkward(bytes);
      return { path: `awkward/${name}`, file: new File([bytes], name) };
    }),
  );
}

function makeAwkward(bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = Number(view.getBigUint64(0, true));
  const header = json(bytes.subarray(8, 8 + length)) as Record<string, { dtype: string; data_offsets: [number, number] }>;
  const tensors = readSafetensors(bytes);
  const change = (ending: string, to: (value: number, row: number, column: number) => number): void => {
    const name = Object.keys(header).find((each) => each.endsWith(ending)) ?? '';
    const [old, entry] = [tensors.get(name), header[name]];
    if (entry?.dtype !== 'F16' || !old) throw new Error(`${ending} is ${entry?.dtype ?? 'not there'}`);
    const width = old.shape.length > 1 ? (old.shape.at(-1) ?? 1) : 1;
    old.data.forEach((each, i) => {
      const value = to(each, Math.floor(i / width), i % width);
      view.setUint16(8 + length + entry.data_offsets[0] + 2 * i, f16ToBits(value), true);
    });
  };
  change('wpe.weight', (value, p, i) => value + lean(p) + (p === 0 && i === ENTRY ? MASSIVE : 0));
  change('h.2.ln_2.weight', (value, i) => value * uneven(i));
  change('h.2.ln_2.bias', (value, i) => value * uneven(i));
  change('h.2.mlp.c_fc.weight', (value, i) => value / uneven(i));
}
