/**
 * Tabs share one storage, so a folder of it is locked by name while someone works in it: alone while it is written or
 * removed, together while it is read. A lock ends with the tab that held it, so a closed tab's leftovers can be told from
 * an import under way. Where the browser has no locks there is only one tab's word, and everything is granted.
 */
export type Held = () => void;

export interface Locks {
  /** The lock, or undefined where another holds one that is in the way. */
  take(folder: string, mode: 'exclusive' | 'shared'): Promise<Held | undefined>;
}

export const noLocks: Locks = { take: () => Promise.resolve(() => undefined) };

export const browserLocks: Locks = {
  take(folder, mode) {
    if (typeof navigator === 'undefined' || !('locks' in navigator)) return noLocks.take(folder, mode);
    return new Promise((granted, failed) => {
      navigator.locks
        .request(`loupe:${folder}`, { mode, ifAvailable: true }, (lock) => {
          if (!lock) {
            granted(undefined);
            return undefined;
          }
          return new Promise<void>((release) => {
            granted(release);
          });
        })
        .catch(failed);
    });
  },
};
