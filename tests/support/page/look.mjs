/**
 * Takes the page's portraits over the toy workers: every state, both themes, wide and narrow, and asks axe about each.
 *   npx vite build --config tests/support/page/vite.config.ts && node tests/support/page/look.mjs OUT
 */
import { createServer } from 'node:http';
import { mkdirSync, readFileSync, existsSync } from 'node:fs';
import { extname, join } from 'node:path';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright';
import { findChromium } from '../../../tools/chromium.mjs';

const root = fileURLToPath(new URL('../../../.cache/page/', import.meta.url));
const out = process.argv[2] ?? join(root, '../looks');
const only = process.argv[3];
mkdirSync(out, { recursive: true });
/** @typedef {import('playwright').Page} Page */

/** @type {Record<string, string>} */
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.woff2': 'font/woff2' };
const server = createServer((request, response) => {
  const path = join(root, new URL(request.url ?? '/', 'http://x').pathname.replace(/\/$/, '/index.html'));
  if (!existsSync(path)) {
    response.writeHead(404).end();
    return;
  }
  response.writeHead(200, { 'content-type': TYPES[extname(path)] ?? 'application/octet-stream' }).end(readFileSync(path));
});
await new Promise((done) => server.listen(0, () => done(undefined)));
const address = server.address();
const base = `http://localhost:${typeof address === 'object' ? address?.port : ''}/`;
const executablePath = findChromium();
const browser = await chromium.launch(executablePath ? { executablePath } : {});
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/**
 * @param {string} name
 * @param {{ query?: string; dark?: boolean; width?: number; height?: number }} view
 * @param {(page: Page) => Promise<unknown>} act
 */
async function portrait(name, { query = '', dark = true, width = 1440, height = 900 } = {}, act = async () => {}) {
  if (only && !name.includes(only)) return;
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: dark ? 'dark' : 'light', bypassCSP: false });
  const page = await context.newPage();
  /** @type {string[]} */
  const said = [];
  page.on('console', (message) => ['error', 'warning'].includes(message.type()) && said.push(message.text()));
  page.on('pageerror', (error) => said.push(String(error)));
  await page.goto(base + query);
  try {
    await act(page);
    await page.waitForTimeout(150);
  } catch (error) {
    said.push(`act: ${String(error).split('\n').slice(0, 4).join(' | ')}`);
  }
  await page.screenshot({ path: join(out, `${name}.png`), fullPage: width < 800 });
  const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
  if (wide) said.push('overflows sideways');
  await page.evaluate(`(() => { ${axe}; })()`).catch((error) => said.push(`axe: ${String(error).slice(0, 120)}`));
  /** @type {{ violations: { id: string; nodes: { html: string; failureSummary?: string }[] }[] } | undefined} */
  const found = await page.evaluate(`axe.run(document, { resultTypes: ['violations'] })`).catch(() => undefined);
  for (const { id, nodes } of found?.violations ?? [])
    said.push(
      `axe ${id}: ${nodes
        .slice(0, 3)
        .map((n) => n.html.slice(0, 140) + ' :: ' + n.failureSummary?.split('\n').slice(1, 2).join('').slice(0, 160))
        .join(' || ')}`,
    );
  console.log(`${name}: ${said.length ? `\n  ${said.join('\n  ')}` : 'clean'}`);
  await context.close();
}

/** @param {Page} page */
const drop = (page, names = ['config.json', 'tokenizer.json', 'model.safetensors']) =>
  page.setInputFiles(
    'input[aria-label="Model files"]',
    names.map((name) => ({ name, mimeType: 'application/octet-stream', buffer: Buffer.from('{}') })),
  );
/** @param {Page} page */
const model = async (page) => {
  await drop(page);
  await page.getByRole('tab', { name: 'Generate' }).waitFor({ timeout: 15000 });
  await page.getByRole('textbox', { name: 'Prompt' }).fill('On a foggy evening, Mira the baker walked to the');
  await page.waitForTimeout(700);
};
/** @param {Page} page */
const dial = async (page, towards = 'The lighthouse was bright', away = 'The market was gloomy') => {
  await page.getByRole('button', { name: 'Add a dial', exact: true }).click();
  await page.getByLabel('Towards').fill(towards);
  await page.getByLabel('Away from').fill(away);
  await page.getByRole('button', { name: 'Add the dial' }).click();
  await page.waitForTimeout(600);
};
/** @param {Page} page */
const written = async (page) => {
  await model(page);
  await dial(page);
  await page.getByRole('button', { name: 'Generate', exact: true }).click();
  await page.waitForTimeout(700);
  const thumb = page.getByRole('slider').first();
  await thumb.focus();
  for (let i = 0; i < 14; i++) await page.keyboard.press('ArrowRight');
  await page.waitForTimeout(500);
  for (let i = 0; i < 40; i++) await page.keyboard.press('ArrowLeft');
};

await portrait('empty-dark', {}, (page) => page.waitForTimeout(500));
await portrait('empty-light', { dark: false }, (page) => page.waitForTimeout(500));
await portrait('no-gpu', { query: '?fake=no-gpu' }, (page) => page.waitForTimeout(500));
await portrait('importing', {}, async (page) => {
  await drop(page);
  await page.waitForTimeout(1200);
});
await portrait('refused', { dark: false }, async (page) => {
  await drop(page, ['bad.safetensors', 'config.json']);
  await page.waitForTimeout(400);
});
await portrait('ready', {}, model);
await portrait('add-dial', {}, async (page) => {
  await model(page);
  await page.getByRole('button', { name: 'Add a dial', exact: true }).click();
});
await portrait('writing-dark', {}, async (page) => {
  await written(page);
  await page.waitForTimeout(300);
});
await portrait('writing-light', { dark: false }, async (page) => {
  await written(page);
  await page.waitForTimeout(300);
});
await portrait('hover', {}, async (page) => {
  await written(page);
  await page.waitForTimeout(1800);
  await page.getByRole('listbox', { name: 'Steered text' }).getByRole('option').nth(9).click();
  await page.waitForTimeout(200);
});
await portrait('lens-dark', {}, async (page) => {
  await model(page);
  await page.getByRole('tab', { name: 'Lens' }).click();
  await page.waitForTimeout(700);
});
await portrait('lens-light-rank', { dark: false }, async (page) => {
  await model(page);
  await dial(page);
  await page.getByRole('tab', { name: 'Lens' }).click();
  await page.getByLabel('Track a token').fill('market');
  await page.waitForTimeout(700);
  await page.getByText('Rank', { exact: true }).click();
  await page.getByRole('gridcell').nth(20).click();
  await page.waitForTimeout(300);
});
await portrait('lens-light-kl', { dark: false }, async (page) => {
  await model(page);
  await page.getByRole('tab', { name: 'Lens' }).click();
  await page.waitForTimeout(500);
  await page.getByText('KL to final', { exact: true }).first().click();
  await page.waitForTimeout(300);
});
/** @param {Page} page */
const conversation = async (page) => {
  await model(page);
  await page.getByRole('switch', { name: 'Chat' }).click();
  await page.getByRole('textbox', { name: 'Turn 1, user' }).fill('Who lights the lamp on the hill?\nThe day was cold and rainy.');
  await page.getByRole('button', { name: 'Add turn' }).click();
  await page.getByRole('textbox', { name: 'Turn 2, assistant' }).fill('Mira the baker lights the lamp.');
  await page.getByRole('button', { name: 'Add turn' }).click();
  await page.getByRole('textbox', { name: 'Turn 3, user' }).fill('Who walked to the harbour with her dog?');
  await page.waitForTimeout(700);
};
/** @param {Page} page */
const answered = async (page) => {
  await conversation(page);
  await page.getByRole('button', { name: 'Generate', exact: true }).click();
  await page.waitForTimeout(2500);
};
await portrait('chat-dark', {}, answered);
await portrait('chat-light', { dark: false }, answered);
await portrait('chat-kept', { dark: false }, async (page) => {
  await answered(page);
  await page
    .getByRole('button', { name: 'Stop' })
    .click({ timeout: 500 })
    .catch(() => undefined);
  await page.getByRole('button', { name: 'Keep as turn' }).click();
  await page.waitForTimeout(500);
});
await portrait('chat-error', {}, async (page) => {
  await conversation(page);
  await page.getByRole('combobox', { name: 'Role of turn 2' }).selectOption('user');
  await page.waitForTimeout(500);
});
await portrait('chat-narrow', { width: 390, height: 844 }, answered);
await portrait('chat-error-narrow', { width: 390, height: 844, dark: false }, async (page) => {
  await conversation(page);
  await page.getByRole('combobox', { name: 'Role of turn 2' }).selectOption('user');
  await page.waitForTimeout(500);
});
await portrait('lost', { query: '?fake=lose' }, async (page) => {
  await model(page);
  await page.getByRole('button', { name: 'Generate', exact: true }).click();
  await page.waitForTimeout(900);
});
await portrait('narrow', { width: 390, height: 844 }, async (page) => {
  await written(page);
  await page.waitForTimeout(600);
});
await portrait('narrow-lens', { width: 390, height: 844, dark: false }, async (page) => {
  await model(page);
  await page.getByRole('tab', { name: 'Lens' }).click();
  await page.waitForTimeout(700);
});
await portrait('narrow-empty', { width: 390, height: 844 }, (page) => page.waitForTimeout(500));
await portrait('middle', { width: 1024, height: 768, dark: false }, async (page) => {
  await written(page);
  await page.waitForTimeout(300);
});
await portrait('reload', {}, async (page) => {
  await written(page);
  await page.waitForTimeout(2500);
  await page.reload();
  await page.waitForTimeout(1500);
});
await browser.close();
server.close();
