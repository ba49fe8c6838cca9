import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../../', import.meta.url));

it('docs/errors.md explains every code that the page gives', () => {
  const docs = readFileSync(`${root}docs/errors.md`, 'utf8');
  const sources = readdirSync(`${root}src`, { recursive: true, encoding: 'utf8' })
    .filter((path) => /\.(ts|svelte)$/.test(path))
    .map((path) => readFileSync(`${root}src/${path}`, 'utf8'))
    .join('\n');
  const given = [...sources.matchAll(/LabError\(\s*'([a-z-]+)'|'error',[^;]*?'([a-z]+-[a-z-]+)',?\s*\)/g)].map(
    (match) => match[1] ?? match[2] ?? '',
  );
  const missing = [...new Set(given)].filter((code) => !new RegExp(`^\\| \`${code}\` +\\|`, 'm').test(docs));
  expect(missing).toEqual([]);
  expect(new Set(given).size).toBeGreaterThan(8);
});
