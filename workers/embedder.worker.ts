/** The embedder worker: the shelf's files and the runtime put under an Embedder, and it on a port. */
import './port';
import { expose, transfer } from 'comlink';
import type { EmbedderApi } from './contract';
import { Embedder } from './embedder';
import { openTensors } from './library/tensors';
import { loadOnnxRuntime } from './onnx-runtime';

const jobs = new Map<string, AbortController>();
const embedder = new Embedder({
  runtime: loadOnnxRuntime,
  async read(record) {
    const bytes = new Uint8Array(record.files[0]?.bytes ?? 0);
    const reader = await openTensors(record);
    try {
      await reader.read(0, 0, bytes);
    } finally {
      reader.close();
    }
    return bytes;
  },
});

const api: EmbedderApi = {
  async embed(record, request, job, progress) {
    const abort = new AbortController();
    jobs.set(job, abort);
    try {
      const made = await embedder.embed(record, request, abort.signal, progress);
      return transfer(made, [made.data.buffer]);
    } finally {
      jobs.delete(job);
    }
  },
  cancel(job) {
    jobs.get(job)?.abort();
    return Promise.resolve();
  },
  release: (id) => embedder.release(id),
  loaded: () => Promise.resolve(performance.getEntriesByType('resource').map(({ name }) => name)),
};

expose(api);
