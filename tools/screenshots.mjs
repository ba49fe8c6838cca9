/**
 * `npm run screenshots`: every instrument on the demo, light and dark, as docs/pictures/<what>-<light|dark>.png. The page is built and served, and used as a
 * person uses it: each picture is a fresh profile's first visit, with the seed that the page starts with, so that the same build gives the same pictures.
 *   npm run screenshots -- [--no-build] [--only lens] [--width 1440] [--out docs/pictures]
 */
import { mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright';
import { build } from 'vite';
import { ensureChromium, gpuFlags } from './chromium.mjs';
import { serve } from './serve.mjs';

/** @typedef {import('playwright').Page} Page */

const root = fileURLToPath(new URL('..', import.meta.url));
/** A software renderer on a busy machine takes its time. */
const LONG = 180_000;

/** @param {Page} page @param {string} name */
const button = (page, name) => page.getByRole('button', { name, exact: true });

/** @param {Page} page */
async function opened(page) {
  await page.waitForFunction(() => 'lab' in window, undefined, { timeout: LONG });
  await page.evaluate(() => window.lab.ready);
  await page.locator('[data-tour="dial"]').waitFor({ timeout: LONG });
  await page.getByText(/of residual/).waitFor({ timeout: LONG });
}

/** @param {Page} page */
async function written(page) {
  await button(page, 'Generate').or(button(page, 'Start again')).click();
  await button(page, 'Continue').waitFor({ timeout: LONG });
}

/** The instrument's picture, by what has been done when it is taken. @type {Record<string, (page: Page) => Promise<void>>} */
const PICTURES = {
  first: async () => {},
  generate: async (page) => {
    await button(page, 'Not now').click();
    await written(page);
    const tokens = page.getByRole('listbox', { name: 'Steered text' }).getByRole('option');
    await tokens.nth(12).click();
  },
  lens: async (page) => {
    await button(page, 'Not now').click();
    await page.getByRole('tab', { name: 'Lens' }).click();
    await button(page, 'Read it, layer by layer').click();
    await page.getByRole('region', { name: 'The selected cell' }).waitFor({ timeout: LONG });
  },
  attention: async (page) => {
    await button(page, 'Not now').click();
    await page.getByRole('tab', { name: 'Attention' }).click();
    await button(page, 'See who looks at whom').click();
    await page.getByRole('option', { name: /^head 0\.1/ }).click({ timeout: LONG });
    await page.mouse.move(0, 0);
  },
  patch: async (page) => {
    await button(page, 'Not now').click();
    await page.getByRole('tab', { name: 'Patch' }).click();
    await button(page, 'Run').first().click({ timeout: LONG });
    await page.getByRole('region', { name: 'Patching grid' }).waitFor({ timeout: LONG });
    await page.getByText(/^90 cells/).waitFor({ timeout: LONG });
  },
  tour: async (page) => {
    await button(page, 'Take the tour').click();
    await page.getByRole('gridcell').first().waitFor({ timeout: LONG });
    await page
      .getByRole('gridcell', { name: /position/ })
      .last()
      .click();
    await page.getByText(/^The top row is the answer/).waitFor({ timeout: LONG });
  },
};

/**
 * @param {{ url: string; executablePath: string; what: string; theme: 'light' | 'dark'; path: string; width: number; height: number }} shot
 */
async function take({ url, executablePath, what, theme, path, width, height }) {
  const profile = mkdtempSync(join(tmpdir(), 'loupe-picture-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath,
    args: gpuFlags(),
    viewport: { width, height },
    deviceScaleFactor: 1,
    colorScheme: theme,
    reducedMotion: 'reduce',
  });
  try {
    const page = context.pages()[0] ?? (await context.newPage());
    await page.goto(url);
    await opened(page);
    await PICTURES[what]?.(page);
    await page.evaluate(() => document.fonts.ready);
    await page.getByText('Offline ready').waitFor({ timeout: LONG });
    await page.waitForTimeout(1500);
    await page.screenshot({ path, animations: 'disabled', caret: 'hide' });
    console.log(`${path.slice(root.length)}  ${(statSync(path).size / 1000).toFixed(0)} kB`);
  } finally {
    await context.close();
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

const { values } = parseArgs({
  options: {
    'no-build': { type: 'boolean', default: false },
    only: { type: 'string' },
    width: { type: 'string', default: '1440' },
    height: { type: 'string', default: '900' },
    out: { type: 'string', default: 'docs/pictures' },
  },
});
if (!values['no-build']) await build({ root, logLevel: 'error' });
const { path: executablePath } = await ensureChromium();
const site = await serve({ root: join(root, 'dist') });
const out = join(root, values.out);
mkdirSync(out, { recursive: true });
try {
  for (const what of Object.keys(PICTURES)) {
    if (values.only !== undefined && values.only !== what) continue;
    for (const theme of /** @type {const} */ (['light', 'dark'])) {
      const path = join(out, `${what}-${theme}.png`);
      await take({ url: site.url, executablePath, what, theme, path, width: Number(values.width), height: Number(values.height) });
    }
  }
} finally {
  await site.close();
}
