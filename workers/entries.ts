/** The two workers as the page sees them: each is started from a blob, so that it inherits the page's policy. */
import { wrap, type Remote } from 'comlink';
import type { EngineApi, FilesApi } from './contract';
import { LabError } from './errors';

export type OnFailure = (error: LabError) => void;

function spawn<Api>(url: URL, name: string, failed: OnFailure | undefined): Remote<Api> {
  const source = new Blob([`import ${JSON.stringify(url.href)};`], { type: 'text/javascript' });
  const worker = new Worker(URL.createObjectURL(source), { type: 'module', name });
  worker.addEventListener('error', () => failed?.(new LabError('worker-failed', `The ${name} worker stopped.`, 'Reload the page.')));
  return wrap<Api>(worker);
}

export const spawnEngine = (failed?: OnFailure): Remote<EngineApi> =>
  spawn<EngineApi>(new URL('./engine.worker.ts', import.meta.url), 'engine', failed);
export const spawnFiles = (failed?: OnFailure): Remote<FilesApi> =>
  spawn<FilesApi>(new URL('./files.worker.ts', import.meta.url), 'files', failed);
