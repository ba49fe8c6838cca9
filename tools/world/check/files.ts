/** Which files a check was run on, so that a card cannot speak of others. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';

export const sha256 = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');

/** The model's, the vectors' and the dictionaries' hashes, under the names that they ship with. */
export function hashes(model: string, vectors: string, dictionaries: string): Record<string, string> {
  const names = ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'];
  const ofDictionaries = readdirSync(dictionaries, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name));
  return {
    ...Object.fromEntries(names.map((name) => [`lanternwick/${name}`, sha256(join(model, name))])),
    'vectors.safetensors': sha256(vectors),
    ...Object.fromEntries(
      ofDictionaries.map((path) => [`dictionaries/${relative(dictionaries, path).replaceAll('\\', '/')}`, sha256(path)]),
    ),
  };
}
