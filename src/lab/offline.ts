/** Resolves when everything the page needs is kept for use without a network. */
export const offlineReady: Promise<boolean> = Promise.resolve(false);
