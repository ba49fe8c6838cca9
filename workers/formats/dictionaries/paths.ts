/** What a path says: publishers put the model, the place and the size of a dictionary into the names of folders. */

/** A path without what a download cache adds: “models--google--gemma-scope-2b-pt-res/snapshots/⟨hash⟩/layer_12” is “gemma-scope-2b-pt-res/layer_12”. */
export function cleanPath(path: string): string {
  return path
    .split('/')
    .filter((part, i, parts) => part !== '' && part !== 'snapshots' && !(parts[i - 1] === 'snapshots' && /^[0-9a-f]{40}$/.test(part)))
    .map((part) => /^models--(.+)$/.exec(part)?.[1]?.split('--').pop() ?? part)
    .join('/');
}

/** What a person would call it: the last of its path, as much as tells it from its neighbours. */
export function nameFrom(path: string, otherwise: string): string {
  const parts = cleanPath(path)
    .split('/')
    .filter((part) => part !== '');
  return parts.slice(-4).join('/') || otherwise;
}

export const parentOf = (folder: string): string => folder.split('/').slice(0, -1).join('/');
export const lastOf = (folder: string): string => folder.split('/').pop() ?? '';
