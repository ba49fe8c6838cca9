/** The first visit: the lab opens on the demo world, soon, from its own site alone; what is removed stays away; and nothing that fails keeps the lab shut. */
import { readFileSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Page } from '@playwright/test';
import { complaints } from './axe';
import { askOffline, copySite, expect, openPage, serveSite, test, type Watch } from './fixtures';
import { drop, fixturePath, GPT2_ODD, inUse, readFiles } from './model';

const MODEL = ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'].map((file) => `demo/lanternwick/${file}`);
const VECTORS = 'demo/vectors.safetensors';
const PROMPT = 'One foggy morning,';

interface First {
  ready: number;
  first: number;
  model: string | undefined;
  pipelines: number;
  written: number;
}

/** The first token, asked for as soon as the lab is ready; times since navigation began. */
const firstToken = (page: Page): Promise<First> =>
  page.evaluate(async (prompt) => {
    await window.lab.ready;
    const ready = performance.now();
    const model = window.lab.model()?.name;
    for await (const step of window.lab.generate({ prompt, tokens: 1 })) {
      void step;
      const first = performance.now();
      const { counters } = await window.lab.device();
      return { ready, first, model, pipelines: counters.pipelines, written: counters.bytesWritten };
    }
    throw new Error('No token came.');
  }, PROMPT);

const asked = (watch: Watch, root: string, by: 'page' | 'service worker' = 'page'): string[] => [
  ...new Set(
    watch.requests
      .filter((each) => each.by === by && each.url.startsWith(root))
      .map(({ url }) => new URL(url).pathname.slice(new URL(root).pathname.length)),
  ),
];
const demoAsked = (watch: Watch, root: string): string[] =>
  asked(watch, root)
    .filter((path) => path.startsWith('demo/'))
    .sort();

/** Generous: a software renderer on a busy machine. */
const SLOW = { timeout: 60_000 };
const dial = (page: Page) => page.getByRole('complementary', { name: 'Dials' }).getByRole('slider').first();

test('a cold visit: model and tokeniser, and nothing else, before the first token; then vectors, a dial, and offline', async ({
  page,
  site,
  watch,
  context,
}) => {
  await page.goto(site.url);
  const { ready, first, model } = await firstToken(page);
  console.log(`cold visit: ready after ${Math.round(ready)} ms, first token after ${Math.round(first)} ms`);
  expect(model).toBe('Lanternwick');
  const before = [...watch.requests];
  expect(demoAsked(watch, site.url)).toEqual(MODEL);
  const others = asked({ ...watch, requests: before }, site.url).filter((path) => !path.startsWith('demo/'));
  expect(
    others.filter((path) => !/^$|^theme\.js$|^manifest\.webmanifest$|^icon\.svg$|^assets\/[\w.-]+\.(js|css|woff2)$/.test(path)),
  ).toEqual([]);
  expect(
    before.filter(({ by }) => by === 'service worker'),
    'keeping the site waits',
  ).toEqual([]);

  // Then the vectors come, and a dial of the first of them.
  await expect(dial(page)).toBeVisible(SLOW);
  const vectors = await page.evaluate(() => window.lab.vectors());
  expect(vectors.length).toBeGreaterThan(0);
  for (const vector of vectors) {
    expect(vector.about, vector.name).toBeTruthy();
    expect(vector.model).toBe(await page.evaluate(() => window.lab.model()?.id));
  }
  expect(await dial(page).inputValue()).toBe(String(vectors[0]?.scale));
  await expect(page.getByText('Offline ready')).toBeVisible(SLOW);
  expect((await askOffline(page)).ready).toBe(true);
  expect(watch.requests.filter(({ url, by }) => by === 'page' && url.endsWith('model.safetensors')).length, 'fetched once').toBe(1);

  // A story is bent: the two columns differ.
  await page.getByRole('button', { name: 'Generate', exact: true }).click();
  await expect(page.getByRole('button', { name: 'Continue' })).toBeVisible(SLOW);
  const column = (name: string): Promise<string> => page.getByRole('listbox', { name }).innerText();
  expect(await column('Steered text')).not.toBe(await column('Baseline text'));

  // The same again from what is kept: after a reload, and with the network unplugged.
  const slider = await dial(page).inputValue();
  for (const offline of [false, true]) {
    await page.waitForTimeout(600);
    await context.setOffline(offline);
    const seen = watch.requests.length;
    await page.reload();
    expect((await firstToken(page)).model).toBe('Lanternwick');
    await expect(dial(page)).toHaveValue(slider);
    expect(watch.requests.slice(seen).filter(({ url, by }) => by === 'page' && url.includes('/demo/'))).toEqual([]);
  }
});

/**
 * The aim is three seconds from navigation. What the time is made of is asserted, because it cannot wobble; the time itself, on a software renderer and a machine
 * that others use, is told: on two quiet cores about two seconds.
 */
test('cold visits: no kernel is built, and no weight read, that the first token does not need', async ({ launch, watch }) => {
  const context = await launch();
  const times: number[] = [];
  for (let visit = 0; visit < 3; visit++) {
    // Another port is another origin: nothing of an earlier visit is there.
    const own = await serveSite();
    watch.own.add(own.origin);
    const page = await context.newPage();
    await page.goto(own.url);
    const { first, model, pipelines, written } = await firstToken(page);
    expect(model).toBe('Lanternwick');
    // One to unpack f16 weights; embedding, norm + QKV, attention, two residual projections, activation, unembedding, sampling.
    expect(pipelines).toBeLessThanOrEqual(9);
    expect(written, 'bytes sent to the GPU: the weights, little more').toBeLessThan(4.5e6);
    times.push(Math.round(first));
    await page.close();
    await own.close();
  }
  console.log(`cold visits: first token after ${times.join(', ')} ms`);
});

test('the dictionaries follow, by the ordinary import: they fit, and read the example that is on the bench', async ({
  page,
  site,
  watch,
}) => {
  await page.goto(site.url);
  await page.evaluate(() => window.lab.ready);
  await expect.poll(() => page.evaluate(() => window.lab.dictionaries().then(({ length }) => length)), SLOW).toBe(3);
  const read = await page.evaluate(async () => {
    const prompt = document.querySelector('textarea')?.value ?? '';
    const all = [];
    for (const { id, fits, hookOut, latents } of await window.lab.dictionaries()) {
      const { rows, truncated } = await window.lab.encode({ dictionary: id, prompt, bos: true });
      all.push({ fits, hookOut, latents, truncated, active: rows.slice(1).map((row) => row.length) });
    }
    return { prompt, all };
  });
  expect(read.prompt).toBe('One foggy morning, Mara walked to the lighthouse.');
  expect(read.all.map(({ latents }) => latents).sort()).toEqual([2048, 2048, 512]);
  expect(new Set(read.all.map(({ hookOut }) => hookOut)).size, 'two depths').toBe(2);
  for (const { fits, truncated, active } of read.all) {
    expect(fits).toEqual([await page.evaluate(() => window.lab.model()?.id)]);
    expect(truncated).toBe(false);
    expect(Math.min(...active)).toBeGreaterThan(0);
    expect(active.reduce((sum, count) => sum + count, 0) / active.length, 'latents a position').toBeLessThan(32);
  }
  expect(demoAsked(watch, site.url).filter((path) => path.startsWith('demo/dictionaries/'))).toHaveLength(9);
});

test('a dictionary that a person removed does not come back', async ({ page, site, watch }) => {
  await page.goto(site.url);
  await page.evaluate(() => window.lab.ready);
  const names = () => page.evaluate(() => window.lab.dictionaries().then((all) => all.map(({ name }) => name).sort()));
  await expect.poll(names, SLOW).toHaveLength(3);
  await page.evaluate(async () => {
    const [first] = await window.lab.dictionaries();
    await window.lab.remove(first?.id ?? '');
  });
  const left = await names();
  expect(left).toHaveLength(2);
  await page.waitForTimeout(600);
  const seen = watch.requests.length;
  await page.reload();
  await firstToken(page);
  await expect(page.getByText('Offline ready')).toBeVisible(SLOW);
  await page.waitForTimeout(1000);
  expect(await names()).toEqual(left);
  expect(watch.requests.slice(seen).filter(({ url, by }) => by === 'page' && url.includes('/demo/'))).toEqual([]);
});

test('removed, it stays away until it is asked for', async ({ page, site, watch }) => {
  await openPage(page, site.url, { demo: true });
  await page.evaluate(() => window.lab.ready);
  await inUse(page, /Lanternwick/);
  await expect(dial(page)).toBeVisible(SLOW);
  await page.getByRole('button', { name: 'Remove Lanternwick' }).focus();
  await page.keyboard.press('Enter');
  await page
    .getByRole('dialog')
    .getByRole('button', { name: /^Remove/ })
    .click();
  await expect(page.getByText('Put a language model under the loupe.')).toBeVisible();
  await page.waitForTimeout(600);
  const seen = watch.requests.length;
  await page.reload();
  await page.evaluate(() => window.lab.ready);
  await expect(page.getByText('Put a language model under the loupe.')).toBeVisible();
  expect(watch.requests.slice(seen).filter(({ url, by }) => by === 'page' && url.includes('/demo/'))).toEqual([]);
  expect(await complaints(page)).toEqual([]);

  await page.getByRole('main').getByRole('button', { name: 'Open the demo world' }).click();
  await inUse(page, /Lanternwick/);
  await expect(page.getByRole('button', { name: 'Open the demo world' })).toHaveCount(0);
  await page.waitForTimeout(600);
  await page.reload();
  expect((await firstToken(page)).model).toBe('Lanternwick');
});

const BROKEN = [
  ['is missing', 'demo-missing', (path: string) => rm(path)],
  ['is another thing', 'header-too-long', (path: string) => writeFile(path, 'no model at all')],
] as const;
for (const [how, code, spoil] of BROKEN) {
  test(`a model that ${how} on this site leaves an empty bench, and says why`, async ({ launch, watch }) => {
    const folder = await copySite();
    await spoil(join(folder, 'demo/lanternwick/model.safetensors'));
    const own = await serveSite({ root: folder });
    watch.own.add(own.origin);
    try {
      const page = await (await launch()).newPage();
      await page.goto(own.url);
      await page.evaluate(() => window.lab.ready);
      expect(await page.evaluate(() => window.lab.model())).toBeUndefined();
      await expect(page.getByRole('alert').getByText(code)).toBeVisible();
      await expect(page.getByText('Put a language model under the loupe.')).toBeVisible();
      expect(await page.evaluate(() => window.lab.openDemo().catch((error: { code: string }) => error.code))).toBe(code);
      await drop(page, readFiles(GPT2_ODD.map((file) => fixturePath('gpt2-odd', file))));
      await expect.poll(() => page.evaluate(() => window.lab.model()?.family), SLOW).toBe('gpt2');
    } finally {
      await own.close();
      await rm(folder, { recursive: true });
    }
  });
}

test('a model of one’s own is what the lab opens on, and the demo is not sent for', async ({ page, site, watch }) => {
  await openPage(page, site.url);
  await page.evaluate(() => window.lab.ready);
  await drop(page, readFiles(GPT2_ODD.map((file) => fixturePath('gpt2-odd', file))));
  await expect.poll(() => page.evaluate(() => window.lab.model()?.family), SLOW).toBe('gpt2');
  const own = await page.evaluate(() => window.lab.model()?.id);
  await page.waitForTimeout(600);
  await page.goto(site.url);
  await page.evaluate(() => window.lab.ready);
  expect(await page.evaluate(() => window.lab.model()?.id)).toBe(own);
  await page.waitForTimeout(2500);
  expect(demoAsked(watch, site.url)).toEqual([]);
});

test('the demo’s dial rests while a model of one’s own works, and acts again with the demo', async ({ page, site }) => {
  await page.goto(site.url);
  await page.evaluate(() => window.lab.ready);
  await expect(dial(page)).toBeVisible(SLOW);
  await drop(page, readFiles(GPT2_ODD.map((file) => fixturePath('gpt2-odd', file))));
  await expect.poll(() => page.evaluate(() => window.lab.model()?.family), SLOW).toBe('gpt2');
  const resting = page.getByText('rests: made for another model');
  await expect.poll(() => page.evaluate(() => window.lab.model()?.name), SLOW).not.toBe('Lanternwick');
  await expect(resting).toBeVisible();
  // Its context is short.
  await page.getByRole('textbox', { name: 'Prompt' }).fill('Once');
  await page.getByRole('button', { name: 'Generate', exact: true }).click();
  await expect(page.getByRole('button', { name: 'Continue' })).toBeVisible(SLOW);
  await expect(page.getByRole('alert')).toHaveCount(0);
  await page.evaluate(async () => {
    const demo = (await window.lab.models()).find(({ name }) => name === 'Lanternwick');
    await window.lab.use(demo?.id ?? '');
  });
  await expect(resting).toHaveCount(0);
});

test('a dial from a ready vector, by keyboard: one press, and the slider has the focus', async ({ page, site }) => {
  await page.goto(site.url);
  await page.evaluate(() => window.lab.ready);
  await expect(dial(page)).toBeVisible(SLOW);
  const vectors = await page.evaluate(() => window.lab.vectors());
  const last = vectors.at(-1);
  await page.getByRole('button', { name: new RegExp(`Add a dial with\\s*${last?.name ?? ''}`) }).focus();
  await page.keyboard.press('Enter');
  const slider = page.getByRole('slider', { name: new RegExp(`^${last?.name ?? ''}, `) });
  await expect(slider).toBeFocused();
  if (last?.kind === 'add') {
    expect(Number(await slider.inputValue())).toBeCloseTo(last.scale ?? NaN, 5);
    expect(Number(await slider.getAttribute('max'))).toBeGreaterThanOrEqual(2 * Math.abs(last.scale ?? NaN));
  }
  const before = await slider.inputValue();
  // Upwards: a dial that takes something out may begin at its lower end.
  await page.keyboard.press('ArrowRight');
  expect(await slider.inputValue()).not.toBe(before);
});

test('?demo=none is an empty bench, and the vectors’ file says what its tensors are', async ({ page, site, watch }) => {
  await openPage(page, site.url);
  await page.evaluate(() => window.lab.ready);
  await expect(page.getByText('Put a language model under the loupe.')).toBeVisible();
  await page.waitForTimeout(1500);
  expect(demoAsked(watch, site.url)).toEqual([]);
  const bytes = readFileSync(fileURLToPath(new URL(`../../dist/${VECTORS}`, import.meta.url)));
  const header = JSON.parse(bytes.subarray(8, 8 + Number(bytes.readBigUInt64LE())).toString()) as Record<string, Record<string, string>>;
  const { __metadata__: described = {}, ...tensors } = header;
  expect(Object.keys(tensors).length).toBeGreaterThan(0);
  expect(Object.keys(tensors).filter((name) => !('at' in (JSON.parse(described[name] ?? '{}') as object)))).toEqual([]);
});
