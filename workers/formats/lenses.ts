/**
 * Lenses out of files: tuned-lens's folders (config.json with `unembed_hash` or `lens_type`, params.pt with `{i}.weight`, `{i}.bias` of layer i's translator, which reads what
 * enters block i), jacobian lenses (a .pt with `J.{layer}`, [d, d], read as the derivative of the final stream by what leaves block `layer`), and the
 * lab's own files (safetensors whose metadata has `loupe_lens`). Each becomes the lab's own form: f32 `<hook>.weight`, `<hook>.bias`.
 */
import type { LensDraft, LensMap } from '../contract-reading';
import type { OpenedFile, StoredTensor } from '../contract';
import { LabError } from '../errors';
import { toF32 } from './dictionaries/numbers';
import { sortIntoFolders, type Dropped } from './drop';
import { isObject, readObject, type JsonObject } from './json';
import type { LooseFile } from './loose';
import { LOOSE_READERS, wrappingOf, type LooseReaders } from './loose-readers';
import { readHeader } from './safetensors';

export interface FoundLens {
  draft: LensDraft;
  /** Who made it says which model it is for: a name on the Hub, or a folder. */
  base?: string;
  maps: LensMap[];
}

const AGAIN = 'Download it again, or export it once more.';
const refuse = (what: string): LabError => new LabError('lens-garbage', what, AGAIN);

/** Is anything in a drop worth the search? */
export const mayHoldLenses = (files: readonly OpenedFile[]): boolean =>
  files.some(({ path, file }) => /(^|\/)params\.pt$|lens|jacobian/i.test(path || file.name));

/** Lenses of a drop, and what is left for other searches. A file that says to be one and is not is refused. */
export async function findLenses(
  files: readonly OpenedFile[],
  readers: LooseReaders = LOOSE_READERS,
): Promise<{ lenses: { read(): Promise<FoundLens> }[]; others: OpenedFile[] }> {
  const taken = new Set<File>();
  const lenses: { read(): Promise<FoundLens> }[] = [];
  for (const [folder, list] of sortIntoFolders(files).folders) {
    const config = list.find(({ name }) => name === 'config.json');
    const params = list.find(({ name }) => name === 'params.pt');
    if (config && params) {
      const json = await readObject(config.file, config.path, 'lens-garbage', AGAIN);
      if ('unembed_hash' in json || 'lens_type' in json || ('base_model_name_or_path' in json && 'd_model' in json)) {
        for (const { file } of [config, params]) taken.add(file);
        lenses.push({ read: () => readTuned(folder, json, params, readers) });
      }
    }
    for (const dropped of list) {
      const { file, name, path } = dropped;
      if (taken.has(file) || !/lens|jacobian/i.test(path)) continue;
      const wrapping = wrappingOf(name);
      if (wrapping === 'safetensors') {
        const header = await readHeader(file, path).catch(() => undefined);
        const own = header?.metadata['loupe_lens'];
        if (own === undefined) continue;
        taken.add(file);
        lenses.push({ read: () => readOwn(own, dropped, readers) });
      } else if (wrapping === 'pt') {
        const loose = await readers.pt?.(file, path).catch(() => undefined);
        if (!loose?.tensors.some((each) => /^J\.\d+$/.test(each.name))) continue;
        taken.add(file);
        lenses.push({ read: () => readJacobian(dropped, loose) });
      }
    }
  }
  return { lenses, others: files.filter(({ file }) => !taken.has(file)) };
}

async function numbers(loose: LooseFile, name: string, count: number, where: string): Promise<Float32Array | undefined> {
  const found = loose.tensors.find((each) => each.name === name);
  if (!found) return undefined;
  const data = toF32(await found.read(), found.dtype);
  if (data.length !== count) throw refuse(`${where}: “${name}” holds ${data.length} numbers, not ${count}.`);
  if (!data.every(Number.isFinite)) throw refuse(`${where}: “${name}” holds a number that is not finite.`);
  return data;
}

async function readTuned(folder: string, config: JsonObject, { file, path }: Dropped, readers: LooseReaders): Promise<FoundLens> {
  const { d_model: dModel, num_hidden_layers: layers, base_model_name_or_path: base } = config;
  if (!whole(dModel) || !whole(layers)) throw refuse(`${folder || 'The drop'}: config.json does not say how wide and deep the model is.`);
  const loose = await readers.pt?.(file, path);
  const maps: LensMap[] = [];
  for (let i = 0; loose && i < layers; i++) {
    const weight = await numbers(loose, `${i}.weight`, dModel * dModel, path);
    if (!weight) throw refuse(`${path} has no “${i}.weight”; config.json says that there are ${layers} layers.`);
    maps.push({ weight, bias: (await numbers(loose, `${i}.bias`, dModel, path)) ?? new Float32Array(dModel) });
  }
  if (!loose) throw refuse(`${path} cannot be read.`);
  const name = folder.split('/').at(-1) || (typeof base === 'string' ? base : 'tuned lens');
  const hooks = maps.map((_, i) => `blocks.${i}.hook_resid_pre`);
  return { draft: { name, kind: 'tuned', model: '', layers, dModel, hooks }, maps, ...(typeof base === 'string' ? { base } : {}) };
}

async function readJacobian({ name, path }: Dropped, loose: LooseFile): Promise<FoundLens> {
  const sources = loose.tensors.flatMap((each) => /^J\.(\d+)$/.exec(each.name)?.[1] ?? []).map(Number);
  sources.sort((a, b) => a - b);
  const [dModel = 0] = loose.tensors.find((each) => each.name === `J.${sources[0]}`)?.shape ?? [];
  const maps: LensMap[] = [];
  for (const layer of sources) {
    const weight = await numbers(loose, `J.${layer}`, dModel * dModel, path);
    if (weight) maps.push({ weight, bias: new Float32Array(dModel) });
  }
  const hooks = sources.map((layer) => `blocks.${layer}.hook_resid_post`);
  // How deep the model is the file does not say: it fits the one that is as wide and has these layers.
  return { draft: { name: name.replace(/\.pth?$/i, ''), kind: 'jacobian', model: '', layers: 0, dModel, hooks }, maps };
}

async function readOwn(text: string, { file, path, name: fileName }: Dropped, readers: LooseReaders): Promise<FoundLens> {
  let said: unknown;
  try {
    said = JSON.parse(text);
  } catch {
    said = undefined;
  }
  if (!isObject(said)) throw refuse(`${path}: what it says of itself cannot be read.`);
  const { name, kind, layers, d_model: dModel, hooks } = said;
  if (!whole(layers) || !whole(dModel) || (kind !== 'tuned' && kind !== 'jacobian') || !Array.isArray(hooks))
    throw refuse(`${path}: what it says of itself is not whole.`);
  const loose = await readers.safetensors?.(file, path);
  const maps: LensMap[] = [];
  const named = hooks.filter((hook): hook is string => typeof hook === 'string');
  for (const hook of named) {
    const weight = loose && (await numbers(loose, `${hook}.weight`, dModel * dModel, path));
    if (!weight) throw refuse(`${path} has no “${hook}.weight”.`);
    maps.push({ weight, bias: (await numbers(loose, `${hook}.bias`, dModel, path)) ?? new Float32Array(dModel) });
  }
  const title = typeof name === 'string' ? name : fileName.replace(/\.safetensors$/i, '');
  return { draft: { name: title, kind, model: '', layers, dModel, hooks: named }, maps };
}

const whole = (value: unknown): value is number => typeof value === 'number' && Number.isInteger(value) && value > 0;

/** The lab's own form of a lens: the file, and where each tensor lies in it. */
export function lensFile(draft: LensDraft, maps: readonly LensMap[]): { blob: Blob; tensors: StoredTensor[] } {
  const { name, kind, layers, dModel, hooks } = draft;
  const tensors: StoredTensor[] = [];
  const parts: Float32Array<ArrayBuffer>[] = [];
  let at = 0;
  const put = (tensor: string, shape: number[], data: Float32Array): void => {
    tensors.push({ name: tensor, file: 0, dtype: 'F32', shape, offset: at, bytes: data.byteLength });
    parts.push(Float32Array.from(data));
    at += data.byteLength;
  };
  hooks.forEach((hook, i) => {
    put(`${hook}.weight`, [dModel, dModel], maps[i]?.weight ?? new Float32Array(dModel * dModel));
    put(`${hook}.bias`, [dModel], maps[i]?.bias ?? new Float32Array(dModel));
  });
  const header = {
    __metadata__: { loupe_lens: JSON.stringify({ name, kind, layers, d_model: dModel, hooks }) },
    ...Object.fromEntries(
      tensors.map((each) => [each.name, { dtype: 'F32', shape: each.shape, data_offsets: [each.offset, each.offset + each.bytes] }]),
    ),
  };
  const text = new TextEncoder().encode(JSON.stringify(header));
  // Data begins at a multiple of eight.
  const padded = new Uint8Array(8 + Math.ceil(text.length / 8) * 8).fill(0x20);
  new DataView(padded.buffer).setBigUint64(0, BigInt(padded.length - 8), true);
  padded.set(text, 8);
  return { blob: new Blob([padded, ...parts]), tensors: tensors.map((each) => ({ ...each, offset: each.offset + padded.length })) };
}
