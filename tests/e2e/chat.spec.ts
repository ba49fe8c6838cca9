/** A conversation with a model that brings a chat template: written, read as tokens, answered, kept, edited, found again after a reload. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Page } from '@playwright/test';
import { askOffline, expect, openPage, test } from './fixtures';
import { drop, fixturePath, GPT2_ODD, inUse, readFiles, type DroppedFile } from './model';

const TEMPLATE = `{{ bos_token }}
{%- for message in messages %}
  {%- if loop.index0 > 0 and message.role == messages[loop.index0 - 1].role %}{{ raise_exception('Roles must alternate') }}{% endif %}
  {{- '<|im_start|>' + message.role + ' ' + message.content + '<|im_end|>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant' }}{% endif %}
`;

/** The golden Llama with two chat markers where its vocabulary has room, positions for a conversation, and a template. */
function chatModel(): DroppedFile[] {
  const shards = ['00001', '00002', '00003'].map((n) => `model-${n}-of-00003.safetensors`);
  const json = (file: string): Record<string, unknown> =>
    JSON.parse(readFileSync(fixturePath('llama-gqa', file), 'utf8')) as Record<string, unknown>;
  const made = (name: string, content: string): DroppedFile => ({ name, data: Buffer.from(content).toString('base64') });
  const tokenizer = json('tokenizer.json');
  const marker = (id: number, content: string): object => ({
    id,
    content,
    special: true,
    normalized: false,
    single_word: false,
    lstrip: false,
    rstrip: false,
  });
  const added = [...(tokenizer['added_tokens'] as object[]), marker(111, '<|im_start|>'), marker(112, '<|im_end|>')];
  return [
    ...readFiles(['model.safetensors.index.json', ...shards].map((file) => fixturePath('llama-gqa', file))),
    made('config.json', JSON.stringify({ ...json('config.json'), max_position_embeddings: 200 })),
    made('tokenizer.json', JSON.stringify({ ...tokenizer, added_tokens: added })),
    made('tokenizer_config.json', JSON.stringify(json('tokenizer_config.json'))),
    made('chat_template.jinja', TEMPLATE),
  ];
}

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const complaints = async (page: Page): Promise<string[]> => {
  await page.evaluate(`(() => { ${axe}; })()`);
  const { violations } = await page.evaluate<{ violations: { id: string; nodes: { html: string }[] }[] }>(
    `axe.run(document, { resultTypes: ['violations'] })`,
  );
  return violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html.slice(0, 160) ?? ''}`);
};
const strip = (page: Page) => page.getByRole('listbox', { name: 'Prompt tokens' }).getByRole('option');
const turn = (page: Page, name: string) => page.getByRole('textbox', { name, exact: true });
const pieces = (page: Page, messages: { role: string; content: string }[]): Promise<string[]> =>
  page.evaluate(async (given) => (await window.lab.chat(given)).pieces, messages);
/** Pieces as the strip writes them. */
const shown = (all: string[]): string[] => all.map((piece) => (piece === ' ' ? '·' : piece));

async function open(page: Page, url: string): Promise<void> {
  await openPage(page, url);
  await page.evaluate(() => window.lab.ready);
  await drop(page, chatModel());
  await inUse(page, /Llama/);
}

test('written by keyboard, read as tokens, answered, kept as a turn, edited, and there after a reload', async ({ page, site, watch }) => {
  await open(page, site.url);
  const fetched = (): boolean => watch.requests.some(({ url, by }) => by === 'page' && /jinja/.test(url));
  expect(fetched(), 'the interpreter, before any chat').toBe(false);

  await expect(page.getByRole('switch', { name: 'Chat' })).toBeVisible();
  await turn(page, 'Prompt').fill('the page is small');
  await page.keyboard.press('Tab');
  await expect(page.getByRole('switch', { name: 'Chat' })).toBeFocused();
  await page.keyboard.press('Space');
  await expect(page.getByRole('switch', { name: 'Chat' })).toBeFocused();
  await expect(turn(page, 'Turn 1, user')).toHaveValue('the page is small');
  await page.getByRole('combobox', { name: 'Role of turn 1' }).focus();
  await page.keyboard.press('s');
  await page.keyboard.press('Tab');
  await expect(turn(page, 'Turn 1, system')).toBeFocused();
  await page.getByRole('button', { name: 'Add turn' }).focus();
  await page.keyboard.press('Enter');
  await expect(turn(page, 'Turn 2, user')).toBeFocused();
  await page.keyboard.type('read it slowly');

  const asked = [
    { role: 'system', content: 'the page is small' },
    { role: 'user', content: 'read it slowly' },
  ];
  const read = await pieces(page, asked);
  expect(read[0]).toBe('<s>');
  expect(read.filter((piece) => piece === '<s>')).toHaveLength(1);
  expect(read.filter((piece) => piece === '<|im_start|>')).toHaveLength(3);
  await expect.poll(() => strip(page).allTextContents()).toEqual(shown(read));
  await expect(page.getByRole('option', { name: /im_(start|end).*special token/ })).toHaveCount(5);
  expect(fetched(), 'the interpreter, once used').toBe(true);

  // The strip is the prompt: a token selects its position, and its id is the one that lab.chat gives.
  const { ids } = await page.evaluate((given) => window.lab.chat(given), asked);
  for (const position of [1, ids.length - 1]) {
    await strip(page).nth(position).hover();
    await expect(page.getByText(`id ${ids[position]} · position ${position}`)).toBeVisible();
  }
  await strip(page).nth(1).click();
  await expect(page.getByRole('complementary', { name: 'Dials' }).getByText('position 1', { exact: true })).toBeVisible();
  expect(await complaints(page)).toEqual([]);

  await page.getByLabel('Tokens to write').fill('9');
  await turn(page, 'Turn 2, user').focus();
  await page.keyboard.press('Control+Enter');
  const written = page.getByRole('listbox', { name: 'Steered text' }).getByRole('option');
  await expect.poll(() => written.count()).toBeGreaterThan(0);
  // Twice, as a hasty hand does: it is kept once.
  await page.getByRole('button', { name: 'Keep as turn' }).dblclick({ timeout: 60_000 });
  await expect(turn(page, 'Turn 4, user')).toBeFocused();
  const said = await turn(page, 'Turn 3, assistant').inputValue();
  const words = await written.evaluateAll((all) => {
    const texts = all.map((each) => ({ text: each.textContent ?? '', special: each.classList.contains('special') }));
    const end = texts.findIndex(({ special }) => special);
    return texts.slice(0, end < 0 ? texts.length : end).map(({ text }) => text.replace('·', ' '));
  });
  expect(words.length).toBeGreaterThan(2);
  expect(said).toBe(words.join(''));
  await page.keyboard.type('and the lake');
  await expect
    .poll(async () => (await strip(page).allTextContents()).join(''))
    .toContain('user and the lake<|im_end|><|im_start|>assistant');

  await turn(page, 'Turn 1, system').fill('the hill is grand');
  const conversation = [
    { role: 'system', content: 'the hill is grand' },
    { role: 'user', content: 'read it slowly' },
    { role: 'assistant', content: said },
    { role: 'user', content: 'and the lake' },
  ];
  const edited = shown(await pieces(page, conversation));
  await expect.poll(() => strip(page).allTextContents()).toEqual(edited);

  await page.waitForTimeout(600);
  await page.reload();
  await page.evaluate(() => window.lab.ready);
  await inUse(page, /Llama/);
  for (const [i, { role, content }] of conversation.entries()) await expect(turn(page, `Turn ${i + 1}, ${role}`)).toHaveValue(content);
  await expect.poll(() => strip(page).allTextContents()).toEqual(edited);
  expect(await complaints(page)).toEqual([]);
});

test('what the template refuses is told with its code; another role can be typed; a turn can go', async ({ page, site }) => {
  await open(page, site.url);
  await turn(page, 'Prompt').fill('the page');
  await page.getByRole('switch', { name: 'Chat' }).click();
  await page.getByRole('button', { name: 'Add turn' }).click();
  // An answer begun is gone on with: nothing stands after it.
  await turn(page, 'Turn 2, assistant').fill('the lake is');
  await expect.poll(async () => (await strip(page).allTextContents()).slice(-3).join('')).toMatch(/ is$/);

  await page.getByRole('combobox', { name: 'Role of turn 2' }).selectOption('user');
  const alert = page.getByRole('region', { name: 'Prompt' }).getByRole('alert');
  await expect(alert).toContainText('Roles must alternate');
  await expect(alert).toContainText('chat-template-refused');
  await expect(strip(page)).toHaveCount(0);
  await expect(page.getByRole('button', { name: 'Generate', exact: true })).toBeDisabled();
  expect(
    await page.evaluate(() =>
      window.lab
        .chat([
          { role: 'a', content: '' },
          { role: 'a', content: '' },
        ])
        .catch((e: { code: string }) => e.code),
    ),
  ).toBe('chat-template-refused');
  for (const width of [1440, 390]) {
    await page.setViewportSize({ width, height: 820 });
    expect(await page.evaluate(() => document.documentElement.scrollWidth > innerWidth), `overflow at ${width}`).toBe(false);
    expect(await complaints(page), `at ${width}`).toEqual([]);
  }

  await page.getByRole('combobox', { name: 'Role of turn 2' }).selectOption('other …');
  const role = page.getByRole('textbox', { name: 'Name of the role of turn 2' });
  await expect(role).toBeFocused();
  await role.fill('reader');
  await page.keyboard.press('Enter');
  await expect(turn(page, 'Turn 2, reader')).toBeFocused();
  await expect(alert).toHaveCount(0);
  await expect.poll(async () => (await strip(page).allTextContents()).join('')).toContain('<|im_start|>reader the lake is<|im_end|>');
  await page.getByRole('button', { name: 'Remove turn 1, user' }).click();
  await expect(turn(page, 'Turn 1, reader')).toBeFocused();
  await page.getByRole('button', { name: 'Remove turn 1, reader' }).click();
  await expect(page.getByRole('button', { name: 'Add turn' })).toBeFocused();
  await expect(strip(page)).toHaveCount(0);
});

test('a model without a template has plain text; the turns wait for one that has', async ({ page, site }) => {
  await open(page, site.url);
  await page.getByRole('switch', { name: 'Chat' }).click();
  await turn(page, 'Turn 1, user').fill('the grain of the paper');
  await drop(page, readFiles(GPT2_ODD.map((file) => fixturePath('gpt2-odd', file))));
  await inUse(page, /GPT-2/);
  await expect(turn(page, 'Prompt')).toBeVisible();
  await expect(page.getByRole('switch', { name: 'Chat' })).toHaveCount(0);
  const code = await page.evaluate(() => window.lab.chat([{ role: 'user', content: 'a' }]).catch((e: { code: string }) => e.code));
  expect(code).toBe('chat-template-missing');
  await page
    .getByRole('button', { name: /^Llama/ })
    .first()
    .click();
  await inUse(page, /Llama/);
  await expect(turn(page, 'Turn 1, user')).toHaveValue('the grain of the paper');
  await expect.poll(async () => (await strip(page).allTextContents()).join('')).toContain('user the grain of the paper');
});

test('no model reads the tokens of another: one that reads numbers says so, and the text before stays', async ({ page, site }) => {
  await open(page, site.url);
  await turn(page, 'Prompt').fill('the page is small');
  await expect(strip(page)).not.toHaveCount(0);
  await page.getByLabel('Tokens to write').fill('3');
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'Generate', exact: true }).click();
  const written = page.getByRole('listbox', { name: 'Steered text' }).getByRole('option');
  await expect(written).toHaveCount(3);

  await drop(page, readFiles(['config.json', 'model.safetensors'].map((file) => fixturePath('toy-grok', file))));
  await inUse(page, /TransformerLens toy/);
  const alert = page.getByRole('region', { name: 'Prompt' }).getByRole('alert');
  await expect(alert).toContainText('Write ids from 0 to 89');
  await expect(strip(page)).toHaveCount(0);
  const generate = page.getByRole('button', { name: 'Generate', exact: true });
  await expect(generate).toBeDisabled();
  await turn(page, 'Prompt').fill('5 17 89');
  await expect(alert).toHaveCount(0);
  await expect(strip(page)).toHaveText(['5', '17', '89']);

  // More than fits cannot be generated from, so that the attempt costs no text.
  await turn(page, 'Prompt').fill('5 '.repeat(20));
  await expect(alert).toContainText('longer than the 19 positions');
  await expect(generate).toBeDisabled();
  await turn(page, 'Prompt').press('Control+Enter');
  await expect(alert).toHaveCount(1);
  await expect(written).toHaveCount(3);
});

test('a script’s mistakes are told, and what hangs on a message is left behind', async ({ page, site }) => {
  await open(page, site.url);
  const answers = await page.evaluate(async () => {
    const message = { role: 'user', content: 'a', onclick: () => undefined };
    const { lab } = window;
    const chat = lab.chat as (messages: unknown, options?: unknown) => Promise<{ ids: number[] }>;
    const use = lab.use as (id?: unknown, options?: unknown) => Promise<unknown>;
    const told = (work: Promise<unknown>): Promise<unknown> =>
      work.then(
        () => 'accepted',
        (error: { code: string }) => error.code,
      );
    return Promise.all([
      told(chat([message])),
      told(chat([() => 'a'])),
      told(chat('a')),
      told(chat([message], null)),
      told(chat([message], { add_generation_prompt: false })),
      told(chat([message], { continueFinal: 'no' })),
      told(use(lab.model())),
      told(use()),
    ]);
  });
  const option = 'option-unsupported';
  expect(answers).toEqual(['accepted', 'chat-messages', 'chat-messages', option, option, option, 'model-unknown', 'model-unknown']);
});

test('the first chat may be without a network', async ({ page, site, context }) => {
  await open(page, site.url);
  await expect.poll(async () => (await askOffline(page)).ready, { timeout: 60_000 }).toBe(true);
  await page.waitForTimeout(600);
  expect((await askOffline(page)).ready).toBe(true);
  await context.setOffline(true);
  await page.reload();
  await page.evaluate(() => window.lab.ready);
  await inUse(page, /Llama/);
  expect((await pieces(page, [{ role: 'user', content: 'a' }]))[1]).toBe('<|im_start|>');
});
