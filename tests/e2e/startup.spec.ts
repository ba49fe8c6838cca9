/** What tools/budget.mjs reads off the build, seen again in the browser: everything that is really loaded before the bench stands still. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { BUDGET } from '../../tools/budget.mjs';
import { LAZY } from '../../tools/offline.mjs';
import { expect, openPage, test } from './fixtures';

test('starts on little JavaScript, without the heavy parts', async ({ page, site, watch }) => {
  await openPage(page, site.url);
  await page.waitForLoadState('networkidle');
  const paths = watch.requests
    .filter(({ by, url }) => by === 'page' && url.startsWith(site.url) && url.endsWith('.js'))
    .map(({ url }) => url.slice(site.url.length));
  const scripts = [...new Set(paths)];
  expect(scripts.filter((path) => path.includes('.worker-')).length).toBe(2);
  expect(scripts.filter((path) => LAZY.test(path))).toEqual([]);
  const file = (path: string): Buffer => readFileSync(fileURLToPath(new URL(`../../dist/${path}`, import.meta.url)));
  const gzipped = scripts.reduce((sum, path) => sum + gzipSync(file(path), { level: 9 }).length, 0);
  expect(gzipped).toBeGreaterThan(1000);
  expect(gzipped).toBeLessThanOrEqual(BUDGET);
});
