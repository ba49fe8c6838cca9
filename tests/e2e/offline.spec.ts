/** Works with the network unplugged: here the server itself is gone. And "offline ready" is true only when it is. */
import { askOffline, bothWorkers, expect, openPage, serveSite, test } from './fixtures';

test('reloads, and opens anew, with the server gone', async ({ launch, site, watch }) => {
  expect(site.url).toBeTruthy();
  const own = await serveSite();
  const before = watch.foreign;
  watch.foreign = () => before().filter((url) => !url.startsWith(own.origin));
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
