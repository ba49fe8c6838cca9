/** Small dictionaries for tests, as they would be dropped, and what became of them. Every number tells where it stood. */
import type { DictionaryInfo } from '../../../../workers/api';
import type { DictionaryRecord, OpenedFile } from '../../../../workers/contract';
import { Files } from '../../../../workers/files';
import type { LooseDtype, LooseFile, LooseTensor, Plain } from '../../../../workers/formats/loose';
import { LOOSE_READERS, type LooseReaders } from '../../../../workers/formats/loose-readers';
import { toF32 } from '../../../../workers/formats/dictionaries/numbers';
import { shelf } from '../../library/memory-bytes';
import { f32, opened, safetensors, type Given } from '../../safetensors-writer';

/** Widths that no two axes share: a dictionary of M latents on D numbers, writing O. */
export const [D, M, O] = [3, 5, 4];

/** [rows, columns] whose element (r, c) is `r + c/10` plus what tells the tensor. */
export const matrix = (name: string, rows: number, columns: number, plus = 0): Given =>
  f32(name, [rows, columns], (i) => plus + Math.floor(i / columns) + (i % columns) / 10);
/** The same numbers, written the other way round. */
export const turned = (name: string, rows: number, columns: number, plus = 0): Given =>
  f32(name, [columns, rows], (i) => plus + (i % rows) + Math.floor(i / rows) / 10);
export const vector = (name: string, n: number, plus = 0): Given => f32(name, [n], (i) => plus + i);
/** What `matrix` and `turned` both hold, read row by row. */
export const grid = (rows: number, columns: number, plus = 0): number[] =>
  Array.from({ length: rows * columns }, (_, i) => Math.fround(plus + Math.floor(i / columns) + (i % columns) / 10));
export const line = (n: number, plus = 0): number[] => Array.from({ length: n }, (_, i) => plus + i);

export const scalarOf = (name: string, value: number, dtype: 'F32' | 'I32' = 'F32'): Given => ({
  name,
  dtype,
  shape: [],
  data: new Uint8Array(dtype === 'F32' ? Float32Array.of(value).buffer : Int32Array.of(value).buffer),
});

export const loose = (tensors: readonly Given[], plain: Record<string, Plain> = {}): LooseFile => ({
  tensors: tensors.map(({ name, dtype, shape, data }): LooseTensor => ({
    name,
    dtype: dtype as LooseDtype,
    shape,
    bytes: data.length,
    read: () => Promise.resolve(data.slice()),
  })),
  plain,
});

/** A file of a kind whose reader is not under test: its tensors are handed in. */
const held = new WeakMap<File, LooseFile>();
export function wrapped(path: string, tensors: readonly Given[], plain: Record<string, Plain> = {}): OpenedFile {
  const dropped = opened(path, 'x'.repeat(9));
  held.set(dropped.file, loose(tensors, plain));
  return dropped;
}
const handed = (file: File): Promise<LooseFile> => {
  const found = held.get(file);
  return found ? Promise.resolve(found) : Promise.reject(new Error(`${file.name} holds nothing`));
};
export const READERS: LooseReaders = { ...LOOSE_READERS, npz: handed, pt: handed };

export interface Kept {
  info: DictionaryInfo;
  record: DictionaryRecord;
  ignored: string[];
  /** Values of a canonical tensor, read back from the kept file. */
  values(name: string): number[];
  dtypes: Record<string, string>;
  notes: string;
}

export async function keptAll(files: readonly OpenedFile[]): Promise<Kept[]> {
  const { library, bytes } = shelf();
  const api = new Files(library, READERS);
  const { dictionaries, ignored } = await api.open(files, 'job');
  return Promise.all(
    dictionaries.map(async (info) => {
      const record = await api.dictionary(info.id);
      const file = bytes.files.get(record.files[0]?.path ?? '') ?? new Uint8Array(0);
      return {
        info,
        record,
        ignored: ignored.map((each) => each.file),
        notes: record.notes?.join('\n') ?? '',
        dtypes: Object.fromEntries(record.tensors.map((each) => [each.name, each.dtype])),
        values: (name: string) => {
          const tensor = record.tensors.find((each) => each.name === name);
          if (!tensor) throw new Error(`no ${name} was kept`);
          return [...toF32(file.slice(tensor.offset, tensor.offset + tensor.bytes), tensor.dtype)];
        },
      };
    }),
  );
}
export async function kept(files: readonly OpenedFile[]): Promise<Kept> {
  const [one, ...more] = await keptAll(files);
  if (!one || more.length > 0) throw new Error(`${more.length + (one ? 1 : 0)} dictionaries were kept`);
  return one;
}
export const refused = (files: readonly OpenedFile[]): Promise<unknown> => new Files(shelf().library, READERS).open(files, 'job');

export const CFG = {
  architecture: 'standard',
  d_in: D,
  d_sae: M,
  dtype: 'float32',
  device: 'cpu',
  apply_b_dec_to_input: true,
  normalize_activations: 'none',
  reshape_activations: 'none',
  metadata: { model_name: 'pythia-70m', hook_name: 'blocks.2.hook_resid_post', prepend_bos: true, sae_lens_version: '6.18.0' },
};
/** SAELens's tensors of a standard dictionary. */
export const STANDARD = [turned('W_enc', M, D, 10), matrix('W_dec', M, D, 20), vector('b_enc', M, 30), vector('b_dec', D, 40)];
export const without = (tensors: readonly Given[], ...names: string[]): Given[] => tensors.filter(({ name }) => !names.includes(name));

export function saelens(
  {
    cfg = {},
    metadata = {},
    tensors = STANDARD,
    folder = 'dict',
  }: { cfg?: object; metadata?: object; tensors?: readonly Given[]; folder?: string } = {},
  ...more: OpenedFile[]
): OpenedFile[] {
  return [
    opened(`${folder}/cfg.json`, { ...CFG, ...cfg, metadata: { ...CFG.metadata, ...metadata } }),
    opened(`${folder}/sae_weights.safetensors`, safetensors(tensors)),
    ...more,
  ];
}
