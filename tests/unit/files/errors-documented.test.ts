import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../../', import.meta.url));

it('docs/errors.md explains every code that the workers throw', () => {
  const docs = readFileSync(`${root}docs/errors.md`, 'utf8');
  const sources = readdirSync(`${root}workers`, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => readFileSync(`${root}workers/${path}`, 'utf8'))
    .join('\n');
  // A code is written where its error is made: first in LabError(…) or in a check's own refuse(code, …), or handed to the reader of JSON.
  const thrown = [...sources.matchAll(/LabError\(\s*'([a-z-]+)'|refuse\(\s*'([a-z-]+)',|'([a-z]+-garbage)'/g)].map(
    (match) => match[1] ?? match[2] ?? match[3] ?? '',
  );
  const missing = [...new Set(thrown)].filter((code) => !new RegExp(`^\\| \`${code}\` +\\|`, 'm').test(docs));
  expect(missing).toEqual([]);
  expect(new Set(thrown).size).toBeGreaterThan(35);
});
