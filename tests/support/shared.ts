/**
 * Where the data is that some tests use and that does not ship with the repo: the folder shared/data beside the clone, or the one that
 * LOUPE_SHARED_DATA names. In Node a path, in the browser a URL; undefined where there is none, and then the test says why it is skipped.
 */
declare const __SHARED_DATA__: string;

export const sharedData: string | undefined = __SHARED_DATA__ === '' ? undefined : __SHARED_DATA__;

export const whySkipped = 'needs the folder shared/data beside the clone (or LOUPE_SHARED_DATA)';
