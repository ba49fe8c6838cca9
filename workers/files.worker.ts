/** The files worker: the browser's storage put under Files, and Files put on a port. */
import './port';
import { expose } from 'comlink';
import type { FilesApi } from './contract';
import { Files } from './files';
import { Library } from './library/library';
import { browserLocks } from './library/locks';
import { openOpfs } from './library/opfs';
import { openIndexedDb } from './library/records';

async function start(): Promise<Files> {
  const [bytes, records] = await Promise.all([openOpfs(), openIndexedDb()]);
  const library = new Library({
    ...(bytes && { bytes }),
    ...(records && { records }),
    locks: browserLocks,
    async estimate() {
      const { usage = 0, quota = 0 } = (await navigator.storage?.estimate?.().catch(() => undefined)) ?? {};
      return { usage, quota };
    },
    persisted: async () => (await navigator.storage?.persisted?.().catch(() => undefined)) ?? false,
  });
  // What cannot be swept now is swept at the next start; it must not keep the shelf shut.
  await library.sweep().catch(() => undefined);
  return new Files(library);
}

/** The port answers at once; calls wait for the storage to be ready. */
const started = start();
const api: FilesApi = {
  status: async () => (await started).status(),
  open: async (files, job, progress) => (await started).open(files, job, progress),
  cancel: async (job) => (await started).cancel(job),
  models: async () => (await started).models(),
  record: async (id) => (await started).record(id),
  remove: async (id) => (await started).remove(id),
  vocabulary: async (model) => (await started).vocabulary(model),
  tokenize: async (model, text, bos) => (await started).tokenize(model, text, bos),
  chat: async (model, messages, options) => (await started).chat(model, messages, options),
  decode: async (model, ids) => (await started).decode(model, ids),
  vectors: async () => (await started).vectors(),
  vector: async (id) => (await started).vector(id),
  keepVector: async (info, data) => (await started).keepVector(info, data),
  openVectors: async (file, model) => (await started).openVectors(file, model),
  embedders: async () => (await started).embedders(),
  embedder: async (id) => (await started).embedder(id),
  dictionaries: async () => (await started).dictionaries(),
  dictionary: async (id) => (await started).dictionary(id),
  labels: async (dictionary) => (await started).labels(dictionary),
  label: async (dictionary, latent, text, note) => (await started).label(dictionary, latent, text, note),
  openLabels: async (files, dictionary, job, progress) => (await started).openLabels(files, dictionary, job, progress),
  exportLabels: async (dictionary) => (await started).exportLabels(dictionary),
  findLabels: async (dictionary, words, top) => (await started).findLabels(dictionary, words, top),
  overrideContract: async (id, change) => (await started).overrideContract(id, change),
  texts: async () => (await started).texts(),
  textOf: async (text) => (await started).textOf(text),
  readText: async (request) => (await started).readText(request),
  nextTokens: async (reading, tokens) => (await started).nextTokens(reading, tokens),
  closeText: async (reading) => (await started).closeText(reading),
  survey: async (id) => (await started).survey(id),
  surveyId: async (key) => (await started).surveyId(key),
  surveys: async (dictionary) => (await started).surveys(dictionary),
  keepSurvey: async (record, state) => (await started).keepSurvey(record, state),
  forgetSurvey: async (id) => (await started).forgetSurvey(id),
  lenses: async () => (await started).lenses(),
  lens: async (id) => (await started).lens(id),
  keepLens: async (draft, maps) => (await started).keepLens(draft, maps),
};

expose(api);
