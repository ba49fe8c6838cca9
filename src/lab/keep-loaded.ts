/**
 * What is loaded only when used is kept by the service worker as it passes through. At a first visit it may pass before the service worker is in charge; so
 * whoever loaded it names it once more, and what is not yet kept is fetched again (mostly from the browser's own cache).
 */
import type { KeepRequest } from '../../workers/precache';

export async function keepLoaded(urls: readonly string[]): Promise<void> {
  if (!('serviceWorker' in navigator) || urls.length === 0) return;
  const { active } = await navigator.serviceWorker.ready;
  const request: KeepRequest = { type: 'keep', urls: [...urls] };
  active?.postMessage(request);
}
