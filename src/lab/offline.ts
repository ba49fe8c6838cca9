/**
 * "Offline ready": said only when the service worker has looked and found every file of the build in its cache. Registered in production
 * builds and secure contexts; its scope is the page's own folder, so that several copies can live on one host.
 */
import type { OfflineAnswer, OfflineQuestion } from '../../workers/precache';

/**
 * Asks the worker, which fetches what is missing before it answers. Undefined where a new build took the worker's place meanwhile: what
 * was asked of the old one is then never answered (seen: a question posted at the moment of the change is lost).
 */
function ask(worker: ServiceWorker): Promise<boolean | undefined> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    const replaced = (): void => {
      if (worker.state === 'redundant') settle(undefined);
    };
    const settle = (ready: boolean | undefined): void => {
      port1.close();
      worker.removeEventListener('statechange', replaced);
      resolve(ready);
    };
    port1.onmessage = ({ data }: MessageEvent<OfflineAnswer>) => settle(data.ready);
    worker.addEventListener('statechange', replaced);
    const question: OfflineQuestion = { type: 'offline-ready?' };
    worker.postMessage(question, [port2]);
    replaced();
  });
}

async function keep(): Promise<boolean> {
  if (!import.meta.env.PROD || !isSecureContext || !('serviceWorker' in navigator)) return false;
  try {
    // A reload with the network unplugged cannot register, but finds the worker that is already there.
    await navigator.serviceWorker
      .register(new URL('sw.js', document.baseURI), { scope: './', updateViaCache: 'none' })
      .catch(() => undefined);
    const registration = await navigator.serviceWorker.getRegistration();
    for (;;) {
      const worker = registration?.active ?? registration?.waiting ?? registration?.installing;
      if (!worker) return false;
      if (worker.state !== 'activated') await settled(worker);
      if (worker.state !== 'activated') return false;
      const ready = await ask(worker);
      if (ready !== undefined) return ready;
    }
  } catch {
    return false;
  }
}

/** Resolves when the worker is activated, or given up. */
function settled(worker: ServiceWorker): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (worker.state !== 'activated' && worker.state !== 'redundant') return;
      worker.removeEventListener('statechange', look);
      resolve();
    };
    worker.addEventListener('statechange', look);
    look();
  });
}

/**
 * Keeps everything the page needs for use without a network. Resolves to true when it is kept; to false where that cannot be, or did not
 * succeed. To be called when the bench stands: what is kept is the whole site, and must not be in the way of the first token.
 */
export const keepOffline = keep;
