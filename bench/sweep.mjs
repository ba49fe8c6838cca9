/**
 * A layer × position grid of a GPT-2-small-shaped model at 16 tokens against 192 whole runs, in one page of one browser: node bench/sweep.mjs [--small] [--layers 3] [--rounds 3]
 * LOUPE_GPU=hardware takes the machine's GPU on Linux; LOUPE_CHROMIUM names a browser.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright';
import { build } from 'vite';
import { ensureChromium, gpuFlags } from '../tools/chromium.mjs';
import { serve } from '../tools/serve.mjs';

const { values } = parseArgs({
  options: { small: { type: 'boolean', default: false }, layers: { type: 'string' }, rounds: { type: 'string', default: '1' } },
});
const options = {
  small: values.small,
  rounds: Number(values.rounds),
  ...(values.layers === undefined ? {} : { layers: Number(values.layers) }),
};
const here = (/** @type {string} */ path) => fileURLToPath(new URL(path, import.meta.url));
/** What /proc tells of a process: parent, and ticks of a hundredth of a second. */
function statOf(/** @type {string} */ id) {
  const fields = readFileSync(`/proc/${id}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? [];
  return { parent: fields[1] ?? '0', ticks: Number(fields[11]) + Number(fields[12]) };
}

/** Processor seconds of this program's browser's GPU process (Linux; NaN elsewhere): a software renderer computes there. */
function gpuSeconds() {
  const ours = (/** @type {string} */ id) => {
    for (let at = id; Number(at) > 1; at = statOf(at).parent) if (Number(at) === process.pid) return true;
    return false;
  };
  let ticks = Number.NaN;
  for (const id of existsSync('/proc/self/stat') ? readdirSync('/proc').filter((name) => /^\d+$/.test(name)) : []) {
    try {
      if (!readFileSync(`/proc/${id}/cmdline`, 'utf8').includes('--type=gpu-process') || !ours(id)) continue;
      ticks = (Number.isNaN(ticks) ? 0 : ticks) + statOf(id).ticks;
    } catch {
      // It has just ended.
    }
  }
  return ticks / 100;
}

await build({ configFile: here('./vite.config.ts') });
const { path } = await ensureChromium();
const server = await serve({ root: here('./out/page') });
const browser = await chromium.launch({ executablePath: path, args: gpuFlags() });
try {
  const page = await browser.newPage();
  page.on('console', (message) => console.error(`  ${message.text()}`));
  page.on('pageerror', (error) => console.error(`  ${error.message}`));
  await page.exposeFunction('processor', gpuSeconds);
  await page.goto(server.url);
  await page.waitForFunction(() => window.sweepBench !== undefined);
  console.log(JSON.stringify(await page.evaluate((each) => window.sweepBench?.(each), options), undefined, 2));
} finally {
  await browser.close();
  await server.close();
}
