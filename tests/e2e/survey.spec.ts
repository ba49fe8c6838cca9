/** A text of one's own, as a person uses it: dropped, read, left, gone on with after a reload, a latent's examples on it, and how good the dictionary is. */
import type { Page } from '@playwright/test';
import { EXAMPLES } from '../../src/lab/examples';
import { complaints } from './axe';
import { demoAlone, expect, openPage, test } from './fixtures';
import { drop, inUse } from './model';
import { saelens } from './saelens';

// Every token on a software renderer, perhaps beside other work.
test.setTimeout(480_000);
const SLOW = { timeout: 240_000 };

const TINY = { name: 'tiny-res-1', hook: 'blocks.1.hook_resid_post', dIn: 128, latents: 96, k: 8, model: 'lanternwick' };
const STORY = EXAMPLES.map(({ prompt }) => prompt).join(' ');
/** About two thousand tokens. */
const TEXT = Array.from({ length: 22 }, (_, i) => `Day ${i}. ${STORY}`).join('\n');
const file = (name: string, text: string) => ({ name, data: Buffer.from(text).toString('base64') });

const shelf = (page: Page) => page.getByRole('complementary', { name: 'Shelf' });
const card = (page: Page) => page.getByRole('region', { name: 'On your text' });
const chosen = (page: Page) => page.getByRole('region', { name: 'The chosen latent' });
const surveys = (page: Page) =>
  page.evaluate(async () =>
    (await window.lab.surveys()).map(({ tokens, finished, density }) => ({ tokens, finished, density: [...density] })),
  );

test('dropped, read, left, gone on with; examples, latents active together, scores', async ({ page, site }) => {
  await openPage(page, site.url);
  await demoAlone(page);
  await inUse(page, /Lanternwick/);
  await drop(page, saelens(TINY));
  await expect(card(page)).toContainText('Drop a text of your own', { timeout: 60_000 });

  // What is no text is refused with its reason; what is one lies on the shelf, ready to be read.
  await drop(page, [file('torn.jsonl', '{"text": "once"}\n{"text": ')]);
  await expect(page.getByRole('alert', { name: 'Why nothing was added' })).toContainText('torn.jsonl, line 2');
  await page.getByRole('button', { name: 'Dismiss' }).click();
  await page.getByRole('tab', { name: 'Generate' }).click();
  await drop(page, [file('days.txt', TEXT)]);
  const item = shelf(page).getByRole('button', { name: /^Read in Features: days\.txt/ });
  await expect(item).toBeVisible();
  await expect(page.getByRole('tab', { name: 'Features' })).toHaveAttribute('aria-selected', 'true');
  await expect(card(page)).toContainText(`${TINY.name} reads it once`);
  expect(await complaints(page)).toEqual([]);

  // Read, and left when some of it has been.
  await card(page).getByRole('button', { name: 'Read', exact: true }).click();
  await expect(card(page).getByRole('progressbar')).toBeVisible();
  await expect(card(page)).toContainText(/\d a second/, SLOW);
  await card(page).getByRole('button', { name: 'Cancel' }).click();
  await expect(card(page).getByRole('button', { name: 'Go on' })).toBeVisible(SLOW);
  const [left] = await surveys(page);
  expect(left?.finished).toBe(false);
  expect(left?.tokens).toBeGreaterThan(0);
  await expect(card(page)).toContainText(`Read so far ${left?.tokens.toLocaleString('en')} tokens`);

  // Kept over a reload, and gone on with from there: no token twice, none left out.
  await page.waitForTimeout(600);
  await page.reload();
  await page.evaluate(() => window.lab.ready);
  await expect(card(page)).toContainText(`Read so far ${left?.tokens.toLocaleString('en')} tokens`, { timeout: 60_000 });
  await card(page).getByRole('button', { name: 'Go on' }).click();
  await expect(card(page).getByRole('button', { name: 'Start again' })).toBeVisible(SLOW);
  const [done] = await surveys(page);
  expect(done?.finished).toBe(true);
  const all = await page.evaluate(async (text) => (await window.lab.tokenize(text, { bos: false })).ids.length, TEXT);
  expect(done?.tokens).toBe(all);
  await expect(card(page)).toContainText(`Read ${all.toLocaleString('en')} tokens`);
  await expect(card(page).getByRole('button', { name: 'Go on' }), 'it has been read to its end').toHaveCount(0);

  // By keyboard through the densities, to the latents of a bar, and to one of them.
  const densities = card(page).getByRole('listbox', { name: 'Latents by how often they are active' });
  await densities.locator('[tabindex="0"]').focus();
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('ArrowLeft');
  await page.keyboard.press('Enter');
  const bar = card(page).getByRole('list', { name: 'Latents of the bar' }).getByRole('button');
  const latent = Number(/\d+/.exec((await bar.first().textContent()) ?? '')?.[0]);
  await bar.first().click();
  await expect(
    chosen(page)
      .getByRole('heading', { name: `Latent ${latent}` })
      .first(),
  ).toBeVisible();

  // Its page: the strongest examples are those that the calls give.
  const strongest = chosen(page).getByRole('list', { name: 'Examples: Strongest' });
  await expect(strongest).toBeVisible(SLOW);
  const told = await page.evaluate(async (latent) => {
    const [{ id } = { id: '' }] = await window.lab.dictionaries();
    const { bins, count, coactive } = await window.lab.dashboard({ dictionary: id, latent });
    return { bins, count, coactive };
  }, latent);
  expect(told.count).toBe(Math.round((done?.density[latent] ?? 0) * all));
  const [first] = told.bins[0]?.examples ?? [];
  await expect(strongest.getByRole('button').first()).toContainText((first?.tokens[first.position]?.piece ?? '?').trim());
  await expect(strongest.getByRole('button').first()).toHaveAccessibleName(/^[\d.]+ at /);
  expect(await complaints(page)).toEqual([]);

  // An example becomes the prompt; what stood there can be put back.
  const prompt = page.getByRole('textbox', { name: 'Prompt' });
  const mine = await prompt.inputValue();
  await strongest.getByRole('button').first().click();
  await chosen(page).getByRole('button', { name: 'Open in the prompt' }).click();
  await expect(prompt).not.toHaveValue(mine);
  const peak = first?.tokens[first.position]?.id;
  await expect
    .poll(() =>
      page.evaluate(async () => {
        const at = document.querySelector('[aria-label="Prompt tokens"] [aria-selected="true"]');
        return at ? (at.getAttribute('aria-label') ?? '') : '';
      }),
    )
    .toContain((await page.evaluate((id) => window.lab.token(id ?? 0), peak)).piece.trim());
  await chosen(page).getByRole('button', { name: 'Put your prompt back' }).click();
  await expect(prompt).toHaveValue(mine);

  // To a latent that is active together with it, and quickly to others: the last one asked for is shown.
  const together = chosen(page).getByRole('list', { name: 'Latents active together with it' }).getByRole('button');
  const other = told.coactive[0]?.latent;
  await expect(together.first()).toContainText(String(other));
  await together.first().click();
  await expect(chosen(page).getByRole('listbox', { name: `Activations of latent ${other}` })).toBeVisible(SLOW);

  // How good it is, on its beginning.
  const quality = page.getByRole('region', { name: 'How good it is' });
  await quality.getByRole('combobox', { name: 'Tokens to measure on' }).selectOption('1024');
  await quality.getByRole('button', { name: 'Measure' }).click();
  await expect(quality.getByRole('progressbar')).toBeVisible();
  await quality.getByRole('button', { name: 'Cancel' }).click();
  await expect(quality.getByRole('button', { name: 'Measure' })).toBeVisible(SLOW);
  await quality.getByRole('button', { name: 'Measure' }).click();
  await expect(quality).toContainText('FVU', SLOW);
  await expect(quality).toContainText(/clean [\d.]+ · spliced [\d.]+ · zero [\d.]+ nats/);
  expect(await complaints(page)).toEqual([]);

  // Removed, after asking, with what was read of it.
  await shelf(page).getByRole('button', { name: 'Remove days.txt' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click();
  await expect(item).toHaveCount(0);
  await expect(card(page)).toContainText('Drop a text of your own');
  expect(await surveys(page)).toEqual([]);
});
