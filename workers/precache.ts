/**
 * What the service worker decides, without a service worker: which requests it answers, from where, and which it refuses. Pure, so that
 * a test can ask it about any request.
 */

/** What a build needs to run: path under the scope ('' is the page itself) → sha-256 in hex. Lazy: kept when first used. */
export interface Manifest {
  version: string;
  files: Record<string, string>;
  lazy: string[];
}

/**
 * foreign: refused, nothing is sent. kept: answered from the cache, fetched only if it is missing there. lazy: likewise, kept once used.
 * pass: left to the browser, under the page's own policy.
 */
export type Decision = { kind: 'foreign' } | { kind: 'kept' | 'lazy'; path: string } | { kind: 'pass' };

/** `scope` is the page's folder, an absolute URL that ends with a slash. A URL's origin includes its port. */
export function decide(request: { url: string; method: string }, scope: string, manifest: Manifest): Decision {
  const home = new URL(scope);
  const asked = new URL(request.url);
  if (asked.origin !== home.origin) return { kind: 'foreign' };
  if (request.method !== 'GET' || !asked.pathname.startsWith(home.pathname)) return { kind: 'pass' };
  const rest = asked.pathname.slice(home.pathname.length);
  const path = rest === 'index.html' ? '' : rest;
  if (Object.hasOwn(manifest.files, path)) return { kind: 'kept', path };
  // Files of an earlier build that a page still open may ask for carry a hash in their name, as lazy ones do.
  if (manifest.lazy.includes(path) || path.startsWith('assets/')) return { kind: 'lazy', path };
  return { kind: 'pass' };
}

/** Several copies of the site may live on one origin: a cache is named by its folder and its build. */
export const cachePrefix = (scope: string): string => `loupe ${new URL(scope).pathname} `;
export const cacheName = (scope: string, manifest: Manifest): string => cachePrefix(scope) + manifest.version;

/** What the page may ask. */
export interface OfflineQuestion {
  type: 'offline-ready?';
}
/** The page has loaded these; what of them is lazy is to be kept. */
export interface KeepRequest {
  type: 'keep';
  urls: string[];
}
export interface OfflineAnswer {
  type: 'offline-ready';
  ready: boolean;
  version: string;
  /** Paths that are needed and not kept. */
  missing: string[];
}
