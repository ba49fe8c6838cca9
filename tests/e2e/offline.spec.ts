/** Works with the network unplugged: here the server itself is gone. And "offline ready" is true only when it is. */
import { createHash } from 'node:crypto';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { askOffline, bothWorkers, copySite, expect, openPage, serveSite, test } from './fixtures';

test('reloads, and opens anew, with the server gone', async ({ launch, watch }) => {
  const own = await serveSite();
  watch.own.add(own.origin);
  let context = await launch();
  let page = await context.newPage();
  await openPage(page, own.url);
  expect(await askOffline(page)).toMatchObject({ ready: true, missing: [] });
  await own.close();

  await page.reload();
  await bothWorkers(page);
  expect(await page.locator('#app').innerText()).not.toBe('');
  await page.goto(`${own.url}index.html?limits=default`);
  await bothWorkers(page);
  await context.close();

  context = await launch();
  page = await context.newPage();
  await openPage(page, own.url);
  expect(await askOffline(page)).toMatchObject({ ready: true, missing: [] });
});

test('is not said while a file is missing, and mends itself when it can', async ({ page, site, context }) => {
  await openPage(page, site.url);
  expect((await askOffline(page)).ready).toBe(true);
  const lose = (): Promise<number> =>
    page.evaluate(async () => {
      let lost = 0;
      for (const key of await caches.keys()) {
        const cache = await caches.open(key);
        for (const request of await cache.keys()) if (request.url.endsWith('theme.js') && (await cache.delete(request))) lost++;
      }
      return lost;
    });
  expect(await lose()).toBe(1);
  expect(await askOffline(page)).toMatchObject({ ready: true });
  expect(await lose(), 'it was fetched again').toBe(1);
  await context.setOffline(true);
  expect(await askOffline(page)).toMatchObject({ ready: false, missing: ['theme.js'] });
});

test('the page is never reloaded behind anybody’s back', async ({ page, site }) => {
  await openPage(page, site.url);
  await page.evaluate(() => Object.assign(window, { mark: 1 }));
  expect((await askOffline(page)).ready).toBe(true);
  await page.waitForFunction(() => navigator.serviceWorker.controller !== null);
  await page.evaluate(async () => (await navigator.serviceWorker.ready).update());
  await page.waitForTimeout(500);
  expect(await page.evaluate(() => 'mark' in window)).toBe(true);
});

const sha256 = (bytes: Buffer | string): string => createHash('sha256').update(bytes).digest('hex');

test('a new build takes over at the next load, whole; a page still open keeps the files of its own', async ({ launch, watch }) => {
  const folder = await copySite();
  const own = await serveSite({ root: folder });
  watch.own.add(own.origin);
  const edit = async (path: string, change: (text: string) => string): Promise<void> =>
    writeFile(join(folder, path), change(await readFile(join(folder, path), 'utf8')));
  try {
    const context = await launch();
    const page = await context.newPage();
    await openPage(page, own.url);
    expect((await askOffline(page)).ready).toBe(true);
    const [first] = await page.evaluate(() => caches.keys());

    // The new build: another theme.js, and a chunk of the old one that the host no longer has.
    const old = await readFile(join(folder, 'theme.js'), 'utf8');
    const theme = `${old}\nwindow.secondBuild = true;\n`;
    await writeFile(join(folder, 'theme.js'), theme);
    const [, version = ''] = /version:`([0-9a-f]{16})`/.exec(await readFile(join(folder, 'sw.js'), 'utf8')) ?? [];
    expect(version).not.toBe('');
    const gone = 'assets/gone-1.js';
    await page.evaluate(
      async ([key, url]) =>
        (await caches.open(key)).put(url, new Response('export const old = 1;', { headers: { 'content-type': 'text/javascript' } })),
      [first ?? '', new URL(gone, own.url).href] as const,
    );
    await edit('sw.js', (text) => text.replace(sha256(old), sha256(theme)).replace(version, 'b'.repeat(16)));
    await page.evaluate(async () => (await navigator.serviceWorker.ready).update());
    await expect.poll(() => page.evaluate(() => caches.keys()), { timeout: 60_000 }).toHaveLength(2);
    // Every question is work that the old one finishes before it gives way: they are put far enough apart to let it.
    await expect
      .poll(async () => (await askOffline(page)).version, { message: 'the new one is in charge', intervals: [1000], timeout: 60_000 })
      .toBe('b'.repeat(16));

    expect(await page.evaluate(() => 'secondBuild' in window), 'the open page is left alone').toBe(false);
    expect(await page.evaluate((url) => fetch(url).then((response) => response.text()), gone)).toContain('old = 1');
    await page.goto('about:blank');
    await page.goto(own.url);
    await bothWorkers(page);
    expect(await page.evaluate(() => 'secondBuild' in window)).toBe(true);
    await expect
      .poll(() => page.evaluate(() => caches.keys()), { message: 'the old build is gone' })
      .toEqual([expect.stringContaining('bbbb')]);
  } finally {
    await own.close();
    await rm(folder, { recursive: true });
  }
});

test('a file that is not the one of this build is never kept', async ({ launch, watch }) => {
  const folder = await copySite();
  await writeFile(join(folder, 'theme.js'), '// from another build');
  const own = await serveSite({ root: folder });
  watch.own.add(own.origin);
  try {
    const page = await (await launch()).newPage();
    await openPage(page, own.url);
    const state = (): Promise<string> =>
      page.evaluate(async () => {
        const registration = await navigator.serviceWorker.getRegistration();
        return registration ? ((registration.active ?? registration.waiting ?? registration.installing)?.state ?? 'none') : 'none';
      });
    const asked = (): boolean => watch.requests.some(({ url, by }) => by === 'service worker' && url.endsWith('theme.js'));
    await expect.poll(asked, { message: 'the service worker fetched it' }).toBe(true);
    await expect.poll(state, { message: 'and gave up' }).toBe('none');
    expect(
      await page.evaluate(() =>
        caches.keys().then((keys) => Promise.all(keys.map((key) => caches.match('theme.js', { cacheName: key }).then(Boolean)))),
      ),
    ).not.toContain(true);
  } finally {
    await own.close();
    await rm(folder, { recursive: true });
  }
});
