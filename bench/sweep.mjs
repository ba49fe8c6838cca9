/**
 * A layer × position grid of a GPT-2-small-shaped model at 16 tokens against 192 whole runs, in one page of one browser: node bench/sweep.mjs [--small]
 * LOUPE_GPU=hardware takes the machine's GPU on Linux; LOUPE_CHROMIUM names a browser.
 */
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright';
import { build } from 'vite';
import { ensureChromium, gpuFlags } from '../tools/chromium.mjs';
import { serve } from '../tools/serve.mjs';

const { values } = parseArgs({ options: { small: { type: 'boolean', default: false } } });
const here = (/** @type {string} */ path) => fileURLToPath(new URL(path, import.meta.url));
await build({ configFile: here('./vite.config.ts') });
const { path } = await ensureChromium();
const server = await serve({ root: here('./out/page') });
const browser = await chromium.launch({ executablePath: path, args: gpuFlags() });
try {
  const page = await browser.newPage();
  page.on('console', (message) => console.error(`  ${message.text()}`));
  page.on('pageerror', (error) => console.error(`  ${error.message}`));
  await page.goto(server.url);
  await page.waitForFunction(() => window.sweepBench !== undefined);
  console.log(JSON.stringify(await page.evaluate((small) => window.sweepBench?.(small), values.small), undefined, 2));
} finally {
  await browser.close();
  await server.close();
}
