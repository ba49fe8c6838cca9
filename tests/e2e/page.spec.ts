/** The page as a person uses it: by pointer, by keyboard, in both themes and on a narrow screen; and what axe has to say about it. */
import type { Page } from '@playwright/test';
import { complaints } from './axe';
import { expect, openPage, sharedData, test, whySkipped } from './fixtures';
import { drop, inUse, readFiles, STORIES, storiesPath } from './model';

test.skip(sharedData === undefined, whySkipped);

const overflows = (page: Page): Promise<boolean> => page.evaluate(() => document.documentElement.scrollWidth > innerWidth);

async function open(page: Page, url: string): Promise<void> {
  await openPage(page, url);
  await page.evaluate(() => window.lab.ready);
  if (await page.evaluate(() => window.lab.model() === undefined)) await drop(page, readFiles(STORIES.map(storiesPath)));
  await inUse(page, /Llama|stories/i);
}

const tokens = (page: Page, strip: string) => page.getByRole('listbox', { name: strip }).getByRole('option');

test('a dial is made from two words, turned while text is written, and remembered', async ({ page, site }) => {
  await open(page, site.url);
  await page.getByRole('textbox', { name: 'Prompt' }).fill('Once upon a time there was a dog');
  await expect(tokens(page, 'Prompt tokens').first()).toBeVisible();

  await page.getByRole('button', { name: 'Add a dial', exact: true }).click();
  await page.getByLabel('Towards').fill('happy\nfun');
  await page.getByLabel('Away from').fill('sad\ncry');
  await page.getByRole('button', { name: 'Add the dial' }).click();
  const slider = page.getByRole('slider', { name: /happy/ });
  await expect(slider).toBeVisible();
  await expect(page.getByText(/% of residual/)).toBeVisible();

  const ask = async (many: number): Promise<void> => {
    await page.getByLabel('Tokens to write').fill(String(many));
    await page.keyboard.press('Enter');
  };
  await ask(400);
  await page.getByRole('button', { name: 'Generate', exact: true }).click();
  await expect.poll(() => tokens(page, 'Steered text').count(), { intervals: [50] }).toBeGreaterThan(4);
  await slider.focus();
  for (let i = 0; i < 10; i++) await page.keyboard.press('ArrowRight');
  const turned = await slider.inputValue();
  await expect(page.getByRole('img', { name: /happy.*turned [1-9]/ })).toBeVisible();
  await page.getByRole('button', { name: 'Stop', exact: true }).click();
  await expect(page.getByRole('button', { name: 'Continue' })).toBeVisible();
  const written = await tokens(page, 'Steered text').count();
  expect(written).toBeGreaterThan(9);
  expect(await tokens(page, 'Baseline text').count()).toBe(written);

  // Back to the tenth token and on from there.
  await ask(30);
  await tokens(page, 'Steered text').nth(9).click();
  await expect(page.getByRole('complementary', { name: 'Dials' }).getByText(/choose another/)).toBeVisible();
  await page.getByRole('button', { name: 'Rewind to selected' }).click();
  await expect.poll(() => tokens(page, 'Steered text').count(), { timeout: 60_000 }).toBe(39);
  await expect(page.getByRole('button', { name: 'Continue' })).toBeVisible();

  const before = await tokens(page, 'Steered text').allTextContents();
  await page.reload();
  await page.evaluate(() => window.lab.ready);
  await expect(page.getByRole('slider', { name: /happy/ })).toHaveValue(turned);
  expect(await tokens(page, 'Steered text').allTextContents()).toEqual(before);
  await page.getByRole('button', { name: 'Continue' }).click();
  await expect.poll(() => tokens(page, 'Steered text').count(), { timeout: 60_000 }).toBeGreaterThan(45);
  expect((await tokens(page, 'Steered text').allTextContents()).slice(0, before.length)).toEqual(before);
});

test('the lens: a cell, a tracked token, every metric', async ({ page, site }) => {
  await open(page, site.url);
  await page.getByRole('tab', { name: 'Lens' }).click();
  const cells = page.getByRole('gridcell');
  await expect(cells.first()).toBeVisible();
  await page.getByLabel('Track a token').fill('time');
  await expect(page.getByText(/id \d+/)).toBeVisible();
  for (const metric of ['Probability', 'Rank', 'Entropy', 'KL to final']) {
    await page.getByRole('radio', { name: metric }).check({ force: true });
    await expect(page.getByRole('button', { name: new RegExp(`Formula of ${metric}`) })).toBeVisible();
  }
  await cells.nth(3).click();
  await expect(page.getByRole('region', { name: 'The selected cell' })).toBeVisible();
  const here = await page.locator('[aria-selected=true][role=gridcell]').getAttribute('data-cell');
  await page.keyboard.press('ArrowRight');
  await expect(page.locator('[aria-selected=true][role=gridcell]')).not.toHaveAttribute('data-cell', here ?? '');
  expect(await complaints(page)).toEqual([]);
});

test('files that cannot be a model: every reason, with its code, and the shelf unharmed', async ({ page, site }) => {
  await open(page, site.url);
  await drop(page, [
    { name: 'config.json', data: btoa('{') },
    { name: 'model.safetensors', data: btoa('no') },
  ]);
  const why = page.getByRole('alert', { name: 'Why nothing was added' });
  await expect(why).toContainText('config-garbage');
  await expect(why).toContainText('file-truncated');
  expect(await page.evaluate(async () => (await window.lab.models()).length)).toBe(1);
  expect(await complaints(page)).toEqual([]);
});

for (const colorScheme of ['dark', 'light'] as const) {
  test(`wide and narrow, empty and at work, ${colorScheme}: nothing overflows, axe has no complaint`, async ({ page, site }) => {
    await page.emulateMedia({ colorScheme });
    await openPage(page, site.url);
    await page.evaluate(() => window.lab.ready);
    await expect(page.getByText('Put a language model under the loupe.')).toBeVisible();
    expect(await complaints(page)).toEqual([]);
    await open(page, site.url);
    await page.getByRole('button', { name: 'Generate', exact: true }).click();
    await expect.poll(() => tokens(page, 'Steered text').count()).toBeGreaterThan(3);
    for (const width of [1440, 1000, 390]) {
      await page.setViewportSize({ width, height: 820 });
      for (const instrument of ['Generate', 'Lens']) {
        await page.getByRole('tab', { name: instrument }).click();
        await page.waitForTimeout(200);
        expect(await overflows(page), `${instrument} at ${width}`).toBe(false);
        expect(await complaints(page), `${instrument} at ${width}`).toEqual([]);
      }
    }
  });
}
