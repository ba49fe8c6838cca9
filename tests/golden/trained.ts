/**
 * The trained dictionaries (make_trained.py) and the model that they read: the demo's, with a number added to all entries of each position's
 * embedding. The norms take it off again, so the model says what it said; but its stream is no longer centred.
 */
import type { DictionaryRecord, OpenedFile } from '../../workers/contract';
import type { DictionarySpec } from '../../workers/dictionary/spec';
import { roundToF16 } from '../reference/rounding';
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
  const [about, bytes] = await Promise.all([
    fetched(`./fixtures/trained/${name}.json`),
    fetched(`./fixtures/trained/${name}.safetensors`),
  ]);
  const { spec, promised } = json(about) as { spec: DictionarySpec; promised: DictionaryRecord['promised'] };
  const tensors = Object.fromEntries([...readSafetensors(bytes)].map(([key, { data }]) => [key, data]));
  const like = { id: name, name, format: 'trained', spec, stored: 'memory', files: [], tensors: [], promised, addedAt: 0 } as const;
  return packed({ spec, tensors }, { ...like, files: [], tensors: [] });
}

/** As in make_trained.py. */
const lean = (position: number): number => 12 * Math.sin(1.7 * position);

export async function leaningModel(): Promise<OpenedFile[]> {
  const names = ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'];
  return Promise.all(
    names.map(async (name) => {
      const bytes = await fetched(`/demo/lanternwick/${name}`);
      if (name === 'model.safetensors') leanOver(bytes);
      return { path: `leaning/${name}`, file: new File([bytes], name) };
    }),
  );
}

function leanOver(bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = Number(view.getBigUint64(0, true));
  const header = json(bytes.subarray(8, 8 + length)) as Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }>;
  const name = Object.keys(header).find((each) => each.endsWith('wpe.weight')) ?? '';
  const { dtype, shape, data_offsets } = header[name] ?? { dtype: 'none', shape: [], data_offsets: [0, 0] };
  const width = shape[1] ?? 0;
  const old = readSafetensors(bytes).get(name);
  if (dtype !== 'F16' || !old) throw new Error(`the demo's position embedding is ${dtype}`);
  old.data.forEach((each, i) =>
    view.setUint16(8 + length + data_offsets[0] + 2 * i, f16Bits(roundToF16(each + lean(Math.floor(i / width)))), true),
  );
}

/** Of a number that f16 has. */
function f16Bits(x: number): number {
  const sign = x < 0 ? 0x8000 : 0;
  const size = Math.abs(x);
  if (size < 2 ** -14) return sign | (size * 2 ** 24);
  const exponent = Math.floor(Math.log2(size));
  return sign | ((exponent + 15) << 10) | ((size / 2 ** exponent - 1) * 1024);
}
