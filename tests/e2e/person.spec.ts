/**
 * The page as a person uses it, keyboard and names included: drop a model, read a prompt, make a dial from two words, generate,
 * turn it, look through the lens, reload and go on. And axe finds nothing wrong in light and dark, wide and narrow.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { expect, openPage, sharedData, test, whySkipped } from './fixtures';
import { drop, inUse, readFiles, STORIES, storiesPath } from './model';
import type { Page } from '@playwright/test';

test.skip(sharedData === undefined, whySkipped);

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
async function faults(page: Page): Promise<string[]> {
  // Through the debugger's own world: the page's policy would refuse an inline script, rightly.
  await page.evaluate(axe);
  return page.evaluate(async () => {
    const { axe } = window as unknown as {
      axe: { run(): Promise<{ violations: { id: string; impact: string; nodes: { target: string[] }[] }[] }> };
    };
    const { violations } = await axe.run();
    return violations.map(({ id, impact, nodes }) => `${impact} ${id}: ${nodes.map((node) => node.target.join(' ')).join(', ')}`);
  });
}

async function lit(page: Page, url: string): Promise<void> {
  await openPage(page, url);
  await page.evaluate(() => window.lab.ready);
  await drop(page, readFiles(STORIES.map(storiesPath)));
  await inUse(page, /Llama|stories/i);
}

test('steers a story with two words, live', async ({ page, site }) => {
  await lit(page, site.url);
  await page.getByRole('textbox', { name: 'Prompt' }).fill('Once upon a time');
  await page.getByRole('button', { name: 'Add a dial' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('textbox', { name: /towards/i }).fill('happy');
  await dialog.getByRole('textbox', { name: /away/i }).fill('sad');
  await dialog.getByRole('button', { name: 'Add the dial' }).click();
  await expect(dialog).toBeHidden();
  await expect(page.getByText(/of residual/).first()).toBeVisible();
  expect((await page.evaluate(() => window.lab.vectors())).length).toBe(1);
  await page.getByRole('spinbutton', { name: 'Tokens to write' }).fill('160');
  await page.getByRole('button', { name: 'Generate', exact: true }).click();
  await expect(page.getByRole('button', { name: 'Stop' })).toBeVisible();
  const slider = page.getByRole('slider').first();
  await slider.focus();
  for (let i = 0; i < 12; i++) await slider.press('ArrowRight');
  await expect(page.getByRole('button', { name: 'Continue' })).toBeVisible({ timeout: 60_000 });
  await expect(page.getByText(/the unedited model/).first()).toBeVisible();
  await page.getByRole('button', { name: 'Re-read' }).click();
  await page.getByRole('button', { name: 'Continue' }).click();
  await expect(page.getByRole('button', { name: 'Continue' })).toBeVisible({ timeout: 60_000 });
});

test('reads every layer through the lens, and finds the bench as it was after a reload', async ({ page, site, context }) => {
  await lit(page, site.url);
  await page.getByRole('textbox', { name: 'Prompt' }).fill('Once upon a time, there was');
  await page.getByRole('tab', { name: 'Lens' }).click();
  const expected = await page.evaluate(async () => {
    const lens = await window.lab.lens({ prompt: 'Once upon a time, there was', kind: 'logit', top: 1 });
    return { layers: lens.layers.length, last: lens.top.at(-1)?.at(-1)?.[0]?.piece.trim() ?? '' };
  });
  expect(expected.layers).toBe(6);
  await expect(page.getByRole('tabpanel').getByText(expected.last, { exact: true }).first()).toBeVisible();
  await page.waitForTimeout(500);
  await context.setOffline(true);
  await page.reload();
  await page.evaluate(() => window.lab.ready);
  await expect(page.getByRole('textbox', { name: 'Prompt' })).toHaveValue('Once upon a time, there was');
  await inUse(page, /Llama|stories/i);
  await expect(page.getByRole('tabpanel').getByText(expected.last, { exact: true }).first()).toBeVisible();
});

for (const colorScheme of ['light', 'dark'] as const)
  for (const width of [1440, 400])
    test(`axe finds nothing: ${colorScheme}, ${width} wide`, async ({ page, site }) => {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      await page.setViewportSize({ width, height: 900 });
      await openPage(page, site.url);
      await page.evaluate(() => window.lab.ready);
      expect(await faults(page), 'empty').toEqual([]);
      if (width > 1000) {
        await drop(page, readFiles(STORIES.map(storiesPath)));
        await inUse(page, /Llama|stories/i);
        await page.getByRole('button', { name: 'Generate', exact: true }).click();
        await expect(page.getByRole('button', { name: 'Continue' })).toBeVisible({ timeout: 60_000 });
        expect(await faults(page), 'Generate').toEqual([]);
        await page.getByRole('tab', { name: 'Lens' }).click();
        await page.waitForTimeout(1500);
        expect(await faults(page), 'Lens').toEqual([]);
      }
      expect(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'nothing overflows').toBe(true);
    });
