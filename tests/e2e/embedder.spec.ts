/** Search by meaning, on the built site: an embedding model is dropped as published, gives vectors without asking anyone else for anything, and works with the server gone. */
import { readFileSync } from 'node:fs';
import type { Page } from '@playwright/test';
import { openEncoder } from './encoder';
import { askOffline, expect, openPage, serveSite, test } from './fixtures';
import { fixturePath } from './model';
import { attempt, startStranger } from './stranger';

test.setTimeout(240_000);

const golden = JSON.parse(readFileSync(fixturePath('embedders/bert-mean', 'case.json'), 'utf8')) as {
  texts: string[];
  vectors: { mean: number[][] };
};
const TEXTS = golden.texts.slice(0, 2);

const embed = (page: Page, texts: string[]): Promise<{ shape: number[]; data: number[] }> =>
  page.evaluate(async (list) => {
    const { shape, data } = await window.lab.embed({ texts: list });
    return { shape, data: [...data] };
  }, texts);

const near = (found: { shape: number[]; data: number[] }): void => {
  const wanted = golden.vectors.mean.slice(0, 2).flat();
  expect(found.shape).toEqual([2, wanted.length / 2]);
  expect(Math.max(...wanted.map((x, i) => Math.abs(x - (found.data[i] ?? NaN))))).toBeLessThan(1e-5);
};

test('dropped, used, kept: with the server gone the vectors are the same; removed, it is gone', async ({ launch, watch }) => {
  const own = await serveSite();
  watch.own.add(own.origin);
  let context = await launch();
  let page = await context.newPage();
  await openPage(page, own.url);
  const lazy = (): boolean => watch.requests.some(({ url }) => /onnxruntime|\.wasm/.test(url));
  expect(await openEncoder(page)).toMatchObject([{ name: 'tiny-bert', pooling: 'mean', maxTokens: 24, stored: 'opfs' }]);
  expect(lazy(), 'the runtime is not fetched before it is used').toBe(false);
  expect(
    await page.evaluate(() => window.lab.embed({ texts: ['a'], embedder: 'nobody' }).catch((error: { code: string }) => error.code)),
  ).toBe('embedder-unknown');
  near(await embed(page, TEXTS));
  expect(lazy()).toBe(true);

  // Its runtime is kept, although it may have come before anyone was there to keep it.
  expect(await askOffline(page)).toMatchObject({ ready: true });
  const kept = (): Promise<string[]> =>
    page.evaluate(async () => {
      const names = await Promise.all(
        (await caches.keys()).map(async (key) => (await (await caches.open(key)).keys()).map(({ url }) => url)),
      );
      return names.flat().filter((url) => /onnxruntime|\.wasm/.test(url));
    });
  await expect.poll(async () => (await kept()).length, { timeout: 60_000 }).toBe(2);
  await own.close();
  await context.close();

  context = await launch();
  page = await context.newPage();
  await openPage(page, own.url);
  near(await embed(page, TEXTS));
  expect(await page.evaluate(async () => (await window.lab.embedders()).map(({ name }) => name))).toEqual(['tiny-bert']);
  await page.evaluate(async () => window.lab.remove((await window.lab.embedders())[0]?.id ?? ''));
  expect(await page.evaluate(() => window.lab.embedders())).toEqual([]);
  expect(await page.evaluate(() => window.lab.embed({ texts: ['a'] }).catch((error: { code: string }) => error.code))).toBe(
    'embedder-unknown',
  );
});

test.describe('its worker', () => {
  test.use({ refusals: 'expected' });
  test('is bound by the page’s policy', async ({ page, site, watch }) => {
    const stranger = await startStranger();
    try {
      await openPage(page, site.url);
      const before = new Set(page.workers());
      await openEncoder(page);
      await embed(page, TEXTS);
      const [worker, ...more] = page.workers().filter((each) => !before.has(each));
      expect(more, 'one worker, and none that the runtime starts').toEqual([]);
      if (!worker) throw new Error('no embedder worker was started');
      expect(worker.url()).toMatch(/^blob:/);
      const got = await worker.evaluate(attempt, stranger.origin);
      for (const [how, outcome] of Object.entries(got)) expect([how, outcome]).toEqual([how, 'blocked']);
      expect(stranger.hits).toEqual([]);
      // What was tried on purpose is not held against the page.
      watch.requests.splice(0, watch.requests.length, ...watch.requests.filter(({ url }) => !url.includes(new URL(stranger.origin).port)));
    } finally {
      await stranger.close();
    }
  });
});
