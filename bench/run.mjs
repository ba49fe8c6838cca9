/**
 * The measurement beside onnxruntime-web, in one run of one browser. Builds the page, serves it, opens it, prints Markdown.
 *   npm run bench -- [--small] [--peers wasm,webgpu] [--no-kernels] [--rounds 3] [--tokens 8] [--variants matvec:register,…]
 * LOUPE_GPU=hardware takes the machine's GPU on Linux; LOUPE_CHROMIUM names a browser.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright';
import { build } from 'vite';
import { ensureChromium, gpuFlags } from '../tools/chromium.mjs';
import { serve } from '../tools/serve.mjs';

const { values } = parseArgs({
  options: {
    small: { type: 'boolean', default: false },
    peers: { type: 'string', default: 'wasm,webgpu' },
    'no-kernels': { type: 'boolean', default: false },
    rounds: { type: 'string', default: '3' },
    tokens: { type: 'string', default: '8' },
    variants: { type: 'string' },
  },
});
/** @type {import('./measure').Options} */
const options = {
  small: values.small,
  peers: /** @type {import('./onnxruntime').Provider[]} */ (values.peers.split(',').filter((name) => name === 'wasm' || name === 'webgpu')),
  kernels: !values['no-kernels'],
  rounds: Number(values.rounds),
  tokens: Number(values.tokens),
  ...(values.variants === undefined ? {} : { variants: values.variants }),
};

const here = (/** @type {string} */ path) => fileURLToPath(new URL(path, import.meta.url));
await build({ configFile: here('./vite.config.ts') });
const { path } = await ensureChromium();
const server = await serve({ root: here('./out/page') });
const browser = await chromium.launch({ executablePath: path, args: gpuFlags() });
try {
  const page = await browser.newPage();
  // What the page says goes to stderr, so that the tables on stdout can be kept.
  page.on('console', (message) => console.error(`  ${message.text()}`));
  page.on('pageerror', (error) => console.error(`  ${error.message}`));
  await page.goto(server.url);
  await page.waitForFunction(() => window.bench !== undefined);
  const result = await page.evaluate((given) => window.bench?.(given), options);
  if (!result) throw new Error('The page gave no result.');
  await mkdir(here('./out'), { recursive: true });
  await writeFile(here('./out/report.json'), JSON.stringify(result.report, undefined, 2));
  console.log(result.markdown);
} finally {
  await browser.close();
  await server.close();
}
