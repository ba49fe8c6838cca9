/** Real data beside the repository, for tests that want it; where it is absent they skip, and say so. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { OpenedFile } from '../../workers/contract';

const DATA = fileURLToPath(new URL('../../../shared/data/', import.meta.url));

export function haveData(folder: string): boolean {
  const there = existsSync(DATA + folder);
  if (!there) console.warn(`skipped: ../shared/data/${folder} is not here`);
  return there;
}
export const dataJson = (path: string): unknown => JSON.parse(readFileSync(DATA + path, 'utf8'));
/** A folder of it, as if it had been dropped. */
export const dataFolder = (folder: string): OpenedFile[] =>
  readdirSync(DATA + folder).map((name) => ({
    path: `${folder}/${name}`,
    file: new File([new Uint8Array(readFileSync(`${DATA}${folder}/${name}`))], name),
  }));
