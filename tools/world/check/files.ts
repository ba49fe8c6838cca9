/** Which files a check was run on, so that a card cannot speak of others. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export const sha256 = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');

/** The model's and the vectors' hashes, under the names that they ship with. */
export function hashes(model: string, vectors: string): Record<string, string> {
  const names = ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'];
  return {
    ...Object.fromEntries(names.map((name) => [`lanternwick/${name}`, sha256(join(model, name))])),
    'vectors.safetensors': sha256(vectors),
  };
}
