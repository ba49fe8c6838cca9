/**
 * The one door from the page to the workers. Each is started from a blob whose only line imports the real module: a worker loaded
 * from a URL has a policy of its own (none, on a host that sends no headers) and could talk to anyone, while one started from a blob inherits
 * the page's Content-Security-Policy. The import's address is absolute, because nothing is relative to a blob.
 *
 * A worker must expose its API before its first `await` at top level: messages sent until then wait, later ones would be lost.
 */
import { wrap, type Remote } from 'comlink';
import embedderUrl from './embedder.worker.ts?worker&url';
import engineUrl from './engine.worker.ts?worker&url';
import filesUrl from './files.worker.ts?worker&url';
import type { EmbedderApi, EngineApi, FilesApi } from './contract';
import { LabError } from './errors';
import './port';

/** Called when the worker's own script cannot be loaded or run; its calls would then wait for ever. */
export type OnFailure = (error: LabError) => void;

const blobs = new Map<string, string>();

function blobFor(url: string): string {
  const kept = blobs.get(url);
  if (kept !== undefined) return kept;
  const { href } = new URL(url, document.baseURI);
  const made = URL.createObjectURL(new Blob([`import ${JSON.stringify(href)};`], { type: 'text/javascript' }));
  blobs.set(url, made);
  return made;
}

function spawn<Api>(url: string, name: string, failed: OnFailure | undefined): Remote<Api> {
  const worker = new Worker(blobFor(url), { type: 'module', name });
  worker.addEventListener('error', (event) => {
    const why = event.message ? ` (${event.message})` : '';
    failed?.(
      new LabError(
        'worker-failed',
        `A part of Loupe, the ${name} worker, did not start or stopped${why}.`,
        'Reload the page. If that does not help, the site may have been updated or only partly copied: clear its data for this page and load it again.',
      ),
    );
  });
  return wrap<Api>(worker);
}

/** Owns the GPU. */
export const spawnEngine = (failed?: OnFailure): Remote<EngineApi> => spawn<EngineApi>(engineUrl, 'engine', failed);
/** Reads, checks, converts and keeps what the user drops; tokenises. */
export const spawnFiles = (failed?: OnFailure): Remote<FilesApi> => spawn<FilesApi>(filesUrl, 'files', failed);
/** Runs sentence encoders; started when the first vector is asked for. */
export const spawnEmbedder = (failed?: OnFailure): Remote<EmbedderApi> => spawn<EmbedderApi>(embedderUrl, 'embedder', failed);
