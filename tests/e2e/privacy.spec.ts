/**
 * Nothing leaves the machine: the page and its workers are bound by the policy, the service worker by its own look at the origin. Each attempt is
 * also made where it must succeed, so that a test that blocks nothing would be seen to fail.
 */
import { askOffline, bothWorkers, expect, openPage, test } from './fixtures';
import { attempt, startStranger, type Stranger } from './stranger';

const EVERY_WAY =
  '/fetch /no-cors /post /xhr /socket /events /script.js /nested /beacon /image.png /style.css /prefetch /frame /video.mp4 /form'.split(
    ' ',
  );

let stranger: Stranger;
test.beforeEach(async () => {
  stranger = await startStranger();
});
test.afterEach(async () => {
  await stranger.close();
});

test.describe('what tries to get out', () => {
  test.use({ refusals: 'expected' });

  test('from the page, is stopped by the policy', async ({ page, site, watch }) => {
    await openPage(page, site.url);
    const got = await page.evaluate(attempt, stranger.origin);
    for (const [how, outcome] of Object.entries(got)) expect([how, outcome]).toEqual([how, 'blocked']);
    expect(Object.keys(got).length).toBeGreaterThan(12);
    expect(stranger.hits).toEqual([]);
    expect(watch.refused.length).toBeGreaterThan(5);
    forget(watch);
  });

  test('from every worker, is stopped by the policy', async ({ page, site, watch }) => {
    await openPage(page, site.url);
    for (const worker of page.workers()) {
      expect(worker.url()).toMatch(/^blob:/);
      const got = await worker.evaluate(attempt, stranger.origin);
      for (const [how, outcome] of Object.entries(got)) expect([worker.url(), how, outcome]).toEqual([worker.url(), how, 'blocked']);
      expect(Object.keys(got).length).toBeGreaterThan(6);
    }
    expect(stranger.hits).toEqual([]);
    forget(watch);
  });

  test('gets out where nothing guards, so every attempt is a real one', async ({ launch, site, watch }) => {
    const context = await launch({ bypassCSP: true, serviceWorkers: 'block' });
    const page = context.pages()[0] ?? (await context.newPage());
    await page.goto(site.url);
    await page.evaluate(attempt, stranger.origin).catch(() => 'the form led the page away');
    const reached = (path: string): boolean => stranger.hits.some((hit) => hit.replace(/^\w+ |\?$/g, '') === path);
    for (const path of EVERY_WAY) await expect.poll(() => reached(path), { message: path }).toBe(true);
    forget(watch);
  });

  test('past the policy, is stopped by the service worker', async ({ launch, site, watch }) => {
    const ask = (url: string): Promise<string> =>
      fetch(url, { mode: 'no-cors' }).then(
        (response) => response.type,
        () => 'refused',
      );
    const without = await launch({ bypassCSP: true, serviceWorkers: 'block' });
    const free = without.pages()[0] ?? (await without.newPage());
    await free.goto(site.url);
    expect(await free.evaluate(ask, `${stranger.origin}/control`), 'without either guard the stranger is reached').toBe('opaque');
    expect(stranger.hits).toEqual(['GET /control']);
    stranger.hits.length = 0;
    await without.close();

    const guarded = await launch({ bypassCSP: true });
    const page = await guarded.newPage();
    await page.goto(site.url);
    expect((await askOffline(page)).ready).toBe(true);
    await page.waitForFunction(() => navigator.serviceWorker.controller !== null);
    expect(await page.evaluate(ask, `${stranger.origin}/direct`)).toBe('refused');
    expect(await page.evaluate(ask, stranger.origin.replace('127.0.0.1', 'localhost'))).toBe('refused');
    expect(await page.evaluate(ask, 'theme.js')).toBe('basic');
    expect(stranger.hits).toEqual([]);
    forget(watch);
  });
});

test('an ordinary visit asks nobody else, and the watch sees everyone', async ({ page, site, watch }) => {
  await openPage(page, site.url);
  expect((await askOffline(page)).ready).toBe(true);
  await page.reload();
  await bothWorkers(page);
  expect(watch.foreign()).toEqual([]);
  const seen = (by: string, part: string): boolean => watch.requests.some((request) => request.by === by && request.url.includes(part));
  expect(seen('page', 'assets/index')).toBe(true);
  expect(seen('page', 'engine.worker'), 'what workers load is watched').toBe(true);
  expect(seen('service worker', 'theme.js'), 'what the service worker fetches is watched').toBe(true);
});

/** What was tried on purpose is not held against the page. */
function forget({ requests }: { requests: { url: string }[] }): void {
  const kept = requests.filter(
    ({ url }) => !/^(http|ws):\/\/(127\.0\.0\.1|localhost)/.test(url) || !url.includes(new URL(stranger.origin).port),
  );
  requests.splice(0, requests.length, ...kept);
}
