/**
 * The service worker: keeps the site, so that it works with the network unplugged. Written by hand because it needs so little: workbox's
 * precaching alone is several times this file, and neither checks what it keeps against a hash nor answers "is everything here?". A person
 * gets: the whole build or nothing, each file checked against the sha-256 that the build gave it; new builds that never mix with old ones;
 * and no reload behind anybody's back. A new build takes over at the next load; the files of the old one stay as long as a page
 * that may have been started from it is open.
 *
 * It has no Content-Security-Policy of its own on a host without headers, so it compares origins before it fetches, and follows no redirect.
 */
import { cacheName, cachePrefix, decide, type KeepRequest, type Manifest, type OfflineAnswer, type OfflineQuestion } from './precache';

/** Put in by tools/offline.mjs, which has seen the build. */
declare const __PRECACHE__: Manifest;

const worker = self as unknown as ServiceWorkerGlobalScope;
const manifest: Manifest = __PRECACHE__;
const scope = worker.registration.scope;
const name = cacheName(scope, manifest);
const urlOf = (path: string): string => new URL(path, scope).href;

const hex = (bytes: ArrayBuffer): string => Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, '0')).join('');

/** Fetches one needed file, past the browser's own cache unless said otherwise, and keeps it if it is the one that the build made. */
async function fetchAndKeep(path: string, sha256: string, mode: RequestCache = 'reload'): Promise<Response> {
  const response = await fetch(urlOf(path), { cache: mode, redirect: 'error', credentials: 'same-origin' });
  if (!response.ok) throw new Error(`${urlOf(path)} answered ${response.status}`);
  const bytes = await response.arrayBuffer();
  if (hex(await crypto.subtle.digest('SHA-256', bytes)) !== sha256) throw new Error(`${urlOf(path)} is not the file of this build`);
  const headers = { 'content-type': response.headers.get('content-type') ?? 'application/octet-stream' };
  const kept = new Response(bytes, { headers });
  const cache = await caches.open(name);
  await cache.put(urlOf(path), kept.clone());
  return kept;
}

async function missing(): Promise<string[]> {
  const cache = await caches.open(name);
  const kept = new Set((await cache.keys()).map((request) => request.url));
  return Object.keys(manifest.files).filter((path) => !kept.has(urlOf(path)));
}

/** At the first visit the page has just fetched most files: what the browser still has of them is not sent for again, if it is right. */
const keepFromAnywhere = (path: string, sha256: string): Promise<Response> =>
  fetchAndKeep(path, sha256, 'force-cache').catch(() => fetchAndKeep(path, sha256));

/** Fetches what is missing, a few at a time; rejects when something could not be had. */
async function complete(keep = (path: string, sha256: string) => fetchAndKeep(path, sha256)): Promise<void> {
  const queue = await missing();
  const lane = async (): Promise<void> => {
    for (let path = queue.pop(); path !== undefined; path = queue.pop()) await keep(path, manifest.files[path] ?? '');
  };
  await Promise.all([lane(), lane(), lane(), lane()]);
}

/** Caches of other builds go when no page is open that may have been started from one of them. */
async function tidy(): Promise<void> {
  const pages = await worker.clients.matchAll({ type: 'window', includeUncontrolled: true });
  if (pages.some((page) => page.url.startsWith(scope))) return;
  const old = (await caches.keys()).filter((key) => key.startsWith(cachePrefix(scope)) && key !== name);
  await Promise.all(old.map((key) => caches.delete(key)));
}

async function answerKept(path: string): Promise<Response> {
  const cache = await caches.open(name);
  return (await cache.match(urlOf(path))) ?? fetchAndKeep(path, manifest.files[path] ?? '');
}

async function answerLazy(path: string): Promise<Response> {
  const url = urlOf(path);
  for (const key of await caches.keys()) {
    if (!key.startsWith(cachePrefix(scope))) continue;
    const kept = await (await caches.open(key)).match(url);
    if (kept) return kept;
  }
  const response = await fetch(url, { redirect: 'error', credentials: 'same-origin' });
  if (response.ok && manifest.lazy.includes(path)) {
    const cache = await caches.open(name);
    // A full disk must not cost the answer.
    await cache.put(url, response.clone()).catch(() => undefined);
  }
  return response;
}

worker.addEventListener('install', (event) => {
  event.waitUntil(complete(keepFromAnywhere).then(() => worker.skipWaiting()));
});

worker.addEventListener('activate', (event) => {
  event.waitUntil(worker.clients.claim().then(tidy));
});

worker.addEventListener('fetch', (event) => {
  const { request } = event;
  const decision = decide(request, scope, manifest);
  if (decision.kind === 'foreign') event.respondWith(Response.error());
  else if (decision.kind === 'kept') event.respondWith(answerKept(decision.path));
  else if (decision.kind === 'lazy') event.respondWith(answerLazy(decision.path));
  if (request.mode === 'navigate') event.waitUntil(tidy());
});

/** The answer is looked up, not remembered: a browser may have thrown part of the cache away. What it threw away is fetched again first. */
async function ready(): Promise<OfflineAnswer> {
  await complete().catch(() => undefined);
  const lacking = await missing();
  return { type: 'offline-ready', ready: lacking.length === 0, version: manifest.version, missing: lacking };
}

/** Lazy files that the page came by before anyone stood in the way to keep them. Named by a page, so each is asked about like any request. */
async function keepLazy(urls: readonly string[]): Promise<void> {
  for (const url of urls) {
    const decision = decide({ url, method: 'GET' }, scope, manifest);
    if (decision.kind === 'lazy' && manifest.lazy.includes(decision.path)) await answerLazy(decision.path).catch(() => undefined);
  }
}

worker.addEventListener('message', (event) => {
  const question = event.data as OfflineQuestion | KeepRequest | undefined;
  if (question?.type === 'keep') event.waitUntil(keepLazy(question.urls));
  const [port] = event.ports;
  if (question?.type !== 'offline-ready?' || !port) return;
  event.waitUntil(ready().then((answer) => port.postMessage(answer)));
});
