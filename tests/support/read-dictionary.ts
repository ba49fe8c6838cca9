/**
 * A dictionary's fixture through the lab's own readers, as a drop of its files would go: found, checked, converted to the bytes that the shelf would
 * keep, and those as the engine opens them and as the float64 twin wants them.
 */
import type { DictionaryRecord, OpenedFile, StoredTensor } from '../../workers/contract';
import { SHAPES, tensorNames, type DictionarySpec } from '../../workers/dictionary/spec';
import { findDictionaries } from '../../workers/formats/dictionaries';
import { toF32 } from '../../workers/formats/dictionaries/numbers';
import { LOOSE_READERS } from '../../workers/formats/loose-readers';
import type { TensorReader } from '../../workers/gpu/stored';
import { shelfDraft } from '../../workers/import-dictionary';
import type { DictionaryCase } from '../golden/dictionary-fixtures';
import type { Dictionary } from '../reference/dictionary';

export interface ReadDictionary {
  record: DictionaryRecord;
  reader: TensorReader & { close(): void };
  /** As stored, rounding included. */
  twin: Dictionary;
}

/** The one dictionary of a drop; that files are left over, or that there are several, is a mistake of the reader's. */
export async function readDictionary(files: readonly OpenedFile[]): Promise<ReadDictionary> {
  const { candidates, rest, ignored } = await findDictionaries(files, LOOSE_READERS);
  const [candidate, ...others] = candidates;
  if (!candidate || others.length > 0) throw new Error(`${candidates.length} dictionaries in ${files.map(({ path }) => path).join(', ')}`);
  const left = [...rest.map(({ path }) => path), ...ignored.map(({ file }) => file)];
  if (left.length > 0) throw new Error(`Not taken: ${left.join(', ')}`);
  const { record: draft, source } = shelfDraft(await candidate.read());
  const bytes = new Uint8Array(source.bytes);
  let at = 0;
  for await (const piece of source.pieces()) {
    bytes.set(piece, at);
    at += piece.length;
  }
  if (at !== bytes.length) throw new Error(`${at} bytes came of ${bytes.length} that were announced`);
  const record: DictionaryRecord = { ...draft, id: `read-${draft.name}`, stored: 'memory', files: [], addedAt: 0 };
  return {
    record,
    reader: readerOf(bytes),
    twin: twinOf(record.spec, record.tensors, bytes),
  };
}

/** What the twin makes of kept bytes. */
export const twinOf = (spec: DictionarySpec, tensors: readonly StoredTensor[], bytes: Uint8Array): Dictionary => ({
  spec,
  tensors: Object.fromEntries(
    tensors.map(({ name, dtype, offset, bytes: length }) => [name, toF32(new Uint8Array(bytes.slice(offset, offset + length)), dtype)]),
  ),
});

/** The twin's numbers in f32, as the engine opens them. */
export function packed({ spec, tensors }: Dictionary, like: DictionaryRecord): Omit<ReadDictionary, 'twin'> {
  const parts = tensorNames(spec).map((name) => ({ name, data: Float32Array.from(tensors[name] ?? []) }));
  const bytes = new Uint8Array(parts.reduce((sum, { data }) => sum + data.byteLength, 0));
  const stored: StoredTensor[] = [];
  let at = 0;
  for (const { name, data } of parts) {
    bytes.set(new Uint8Array(data.buffer), at);
    stored.push({ name, file: 0, dtype: 'F32', shape: [...(SHAPES[name]?.(spec) ?? [])], offset: at, bytes: data.byteLength });
    at += data.byteLength;
  }
  return { record: { ...like, spec, tensors: stored }, reader: readerOf(bytes) };
}

const readerOf = (bytes: Uint8Array): ReadDictionary['reader'] => ({
  read: (_file, offset, into) => into.set(bytes.subarray(offset, offset + into.length)),
  close: () => undefined,
});

/** A spec as case.json has it, by dotted path: without the kind's name, which is the reader's own, and without what no file says. */
export function comparable(spec: Omit<DictionarySpec, 'kind'>, { assumed }: Pick<DictionaryCase, 'assumed'>): Record<string, unknown> {
  const { contract, ...own } = spec;
  const flat = Object.entries({ normGain: false, ...contract }).map(([key, value]) => [`contract.${key}`, value] as const);
  return Object.fromEntries([...Object.entries(own), ...flat].filter(([key]) => key !== 'kind' && !assumed.includes(key)));
}
