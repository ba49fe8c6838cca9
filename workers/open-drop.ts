/**
 * What becomes of a drop. First everything is looked for and checked, then everything is kept: a file that is refused, or a cancel, leaves the shelf as it was.
 * Each kind is searched for in what the kinds before it left.
 */
import type { EmbedderInfo, ModelInfo, Opened } from './api';
import type { DictionaryRecord, LensRecord, OnProgress, OpenedFile, TextRecord } from './contract';
import { throwIfAborted } from './errors';
import { findDictionaries } from './formats/dictionaries';
import type { Encoders } from './formats/encoders';
import { sortDrop } from './formats/huggingface';
import type { LabelGroup } from './formats/labels/read-label';
import type { FoundLens } from './formats/lenses';
import type { LooseReaders } from './formats/loose-readers';
import { collect, throwAll } from './formats/reasons';
import { findTexts } from './formats/texts/find';
import { dictionaryInfo, shelfDraft } from './import-dictionary';
import { labelsIn, ownerOf, readLabels, summary, whose, type Owner } from './import-labels';
import { draftModel } from './import-model';
import type * as Lenses from './import-lens';
import { embedderInfo, lensInfo, textInfo } from './infos';
import type { LabelBatch } from './library/labels';
import { copyMeter, type Library } from './library/library';

/** Where a drop is kept, and what reads it. */
export interface DropPlace {
  library: Library;
  readers: LooseReaders;
  /** What reads lenses, fetched when a file's name speaks of one. */
  lenses: () => Promise<typeof Lenses>;
}
type Checked = Awaited<ReturnType<typeof checkDrop>>;

/** All or nothing: every model, dictionary and label of a drop is checked before the first byte of any is copied. */
export async function openDrop(at: DropPlace, files: readonly OpenedFile[], signal: AbortSignal, progress?: OnProgress): Promise<Opened> {
  progress?.({ stage: 'checking', done: 0, of: 0 });
  return keepDrop(at, await checkDrop(at, files, signal), signal, progress);
}

async function checkDrop(at: DropPlace, files: readonly OpenedFile[], signal: AbortSignal) {
  const { library, readers } = at;
  const labels = await labelsIn(files);
  const { encoders, others, ignored: parts } = await findEncoders(labels.rest);
  const lensing = await findLenses(others, at);
  const { texts: written, rest: left } = await findTexts(lensing.others);
  const { candidates, rest, ignored: beside } = await findDictionaries(left, readers);
  const found = candidates.length + encoders.length + labels.files.length + written.length + lensing.lenses.length;
  const { models: folders, ignored, reasons } = await sortDrop(rest, files, found > 0);
  const checked = [];
  for (const folder of folders) {
    throwIfAborted(signal);
    const draft = await collect(reasons, () => draftModel(folder, signal));
    if (draft) checked.push({ draft, files: folder.weights.map((each) => each.file) });
  }
  const dictionaries = [];
  const owners: Owner[] = [];
  for (const candidate of candidates) {
    throwIfAborted(signal);
    const draft = await collect(reasons, () => candidate.read());
    if (!draft) continue;
    owners.push({ ...draft, dropped: { folder: candidate.uses[0]?.folder ?? '', index: dictionaries.length } });
    dictionaries.push(shelfDraft(draft, signal));
  }
  const groups = await readLabels(labels, reasons, signal);
  owners.push(...(await library.dictionaries()).map(ownerOf));
  const owned: { owner: Owner; labels: LabelGroup['labels'] }[] = [];
  // Where a dictionary was refused it is not known whose its labels are, and it is told that.
  for (const group of reasons.length > 0 ? [] : groups) {
    const owner = await collect(reasons, () => whose(group, owners));
    if (owner) owned.push({ owner, labels: group.labels });
  }
  const embedders = [];
  for (const encoder of encoders) {
    throwIfAborted(signal);
    const draft = await collect(reasons, () => encoder.read());
    if (draft) embedders.push({ draft, file: encoder.graph });
  }
  const lenses = [];
  for (const lens of lensing.lenses) {
    throwIfAborted(signal);
    const read = await collect(reasons, () => lens.read());
    if (read) lenses.push(read);
  }
  const texts = [];
  for (const { file, name, path, format } of written) {
    throwIfAborted(signal);
    const source = await collect(reasons, async () => (await import('./formats/texts')).openText(file, format, path));
    if (source) texts.push({ draft: { name, format, ...(source.documents !== undefined && { documents: source.documents }) }, file });
  }
  throwAll(reasons);
  return { checked, dictionaries, owned, embedders, lenses, texts, ignored: [...ignored, ...beside, ...parts, ...labels.ignored] };
}

async function keepDrop(at: DropPlace, drop: Checked, signal: AbortSignal, progress?: OnProgress): Promise<Opened> {
  const { library } = at;
  const { checked, dictionaries, owned, embedders, lenses, texts, ignored } = drop;
  const bytes = [
    ...embedders.map(({ file }) => file.size),
    ...texts.map(({ file }) => file.size),
    ...checked.flatMap((each) => each.files.map((file) => file.size)),
    ...dictionaries.map(({ source }) => source.bytes),
  ];
  const total = bytes.reduce((sum, size) => sum + size, 0);
  await library.makeRoom(total);
  const meter = copyMeter(total, progress);
  const models = new Map<string, ModelInfo>();
  const kept: DictionaryRecord[] = [];
  const seen: LensRecord[] = [];
  const encoding = new Map<string, EmbedderInfo>();
  const read = new Map<string, TextRecord>();
  const fresh: string[] = [];
  let batches: LabelBatch[] = [];
  try {
    for (const each of checked) {
      throwIfAborted(signal);
      const { record, fresh: isNew } = await library.keep(each.draft, each.files, meter, signal);
      models.set(record.id, record.info);
      if (isNew) fresh.push(record.id);
    }
    for (const each of dictionaries) {
      throwIfAborted(signal);
      const { record, fresh: isNew } = await library.keepDictionary(each.record, each.source, meter, signal);
      kept.push(record);
      if (isNew) fresh.push(record.id);
    }
    for (const { draft, file } of embedders) {
      throwIfAborted(signal);
      const { record, fresh: isNew } = await library.keepEmbedder(draft, file, meter, signal);
      encoding.set(record.id, embedderInfo(record));
      if (isNew) fresh.push(record.id);
    }
    for (const { draft, file } of texts) {
      throwIfAborted(signal);
      const { record, fresh: isNew } = await library.keepText(draft, file, meter, signal);
      read.set(record.id, record);
      if (isNew) fresh.push(record.id);
    }
    for (const each of lenses) {
      throwIfAborted(signal);
      const { record, fresh: isNew } = await (await at.lenses()).keep(library, each);
      seen.push(record);
      if (isNew) fresh.push(record.id);
    }
    batches = owned.map(({ owner, labels: list }) => ({
      dictionary: owner.id ?? kept[owner.dropped?.index ?? -1]?.id ?? '',
      labels: list,
    }));
    throwIfAborted(signal);
    await library.labels.add(batches);
  } catch (thrown) {
    for (const id of fresh) await library.remove(id).catch(() => undefined);
    throw thrown;
  }
  const shelf = await library.models();
  const distinct = [...new Map(kept.map((record) => [record.id, record])).values()];
  return {
    models: [...models.values()],
    dictionaries: distinct.map((record) => dictionaryInfo(record, shelf)),
    vectors: [],
    texts: [...read.values()].map(textInfo),
    embedders: [...encoding.values()],
    ...(seen.length ? { lenses: seen.map(lensInfo) } : {}),
    labels: summary(batches),
    ignored,
  };
}

/** Lenses are looked for where a file's name speaks of one; the way to the first token needs none of that. */
async function findLenses(
  files: readonly OpenedFile[],
  { lenses, readers }: DropPlace,
): Promise<{ lenses: { read(): Promise<FoundLens> }[]; others: OpenedFile[] }> {
  const any = files.some(({ path, file }) => /(^|\/)params\.pt$|lens|jacobian/i.test(path || file.name));
  return any ? (await lenses()).findLenses(files, readers) : { lenses: [], others: [...files] };
}

/** Sentence encoders are looked for where there is an ONNX graph; the way to the first token needs none of that. */
async function findEncoders(files: readonly OpenedFile[]): Promise<Encoders> {
  const any = files.some(({ path, file }) => /\.onnx$/i.test(path || file.name));
  return any ? (await import('./formats/encoders')).findEncoders(files) : { encoders: [], others: [...files], ignored: [] };
}
