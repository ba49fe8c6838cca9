/** What latents are called and how they are found, as a person does it: labels dropped beside a dictionary and written, searches, and two dictionaries side by side. */
import type { Page } from '@playwright/test';
import { complaints } from './axe';
import { openEncoder } from './encoder';
import { demoAlone, expect, openPage, test } from './fixtures';
import { drop, inUse, type DroppedFile } from './model';
import { saelens } from './saelens';

// Many small steps, on a software renderer, perhaps beside other work.
test.setTimeout(300_000);

const PROMPT = 'One foggy morning, Mara walked to the lighthouse.';
const TINY = { name: 'tiny-res-3', hook: 'blocks.3.hook_resid_post', dIn: 128, latents: 96, k: 8, model: 'lanternwick' };
const WIDE = { ...TINY, name: 'wide-res-3', latents: 384, k: 16 };
const SLOW = { timeout: 60_000 };

const chosen = (page: Page) => page.getByRole('region', { name: 'The chosen latent' });
const finder = (page: Page) => page.getByRole('region', { name: 'Find a latent' });
const found = (page: Page) => finder(page).getByRole('listbox', { name: 'Found latents' }).getByRole('option');
const map = (page: Page) => page.getByRole('grid', { name: 'Strongest latents, latents by tokens' });

const json = (name: string, value: unknown): DroppedFile => ({ name, data: Buffer.from(JSON.stringify(value)).toString('base64') });

async function demo(page: Page, url: string): Promise<void> {
  await openPage(page, url);
  await demoAlone(page);
  await inUse(page, /Lanternwick/);
  await page.getByRole('textbox', { name: 'Prompt' }).fill(PROMPT);
}

/** The dictionary by its name, and what it finds in the prompt: the same numbers that the page shows. */
const read = (page: Page, name: string) =>
  page.evaluate(
    async ([text, wanted]) => {
      const id = (await window.lab.dictionaries()).find((each) => each.name === wanted)?.id ?? '';
      const { ids } = await window.lab.tokenize(text ?? '');
      const { ids: special } = await window.lab.special();
      const { rows } = await window.lab.encode({ dictionary: id, prompt: ids });
      const peaks = new Map<number, number>();
      rows.forEach((row, at) => {
        if (special.includes(ids[at] ?? -1)) return;
        for (const [latent, value] of row) peaks.set(latent, Math.max(value, peaks.get(latent) ?? 0));
      });
      const strongest = [...peaks].sort((a, b) => b[1] - a[1]).map(([latent]) => latent);
      return { id, ids, rows, strongest };
    },
    [PROMPT, name],
  );

/** Before a dictionary is made: which of its latents will be strongest. */
async function strongestOf(page: Page): Promise<{ first: number; second: number }> {
  await drop(page, saelens(TINY));
  await expect(page.getByRole('listbox', { name: 'Latents of the selected token' })).toBeVisible(SLOW);
  const { strongest } = await read(page, TINY.name);
  return { first: strongest[0] ?? 0, second: strongest[1] ?? 0 };
}

test('labels: dropped with their dictionary, written, exported, kept', async ({ page, site }) => {
  await demo(page, site.url);
  const { first, second } = await strongestOf(page);
  await expect(chosen(page)).toBeVisible();

  // Dropped beside its dictionary: the map says them, and how well they fit.
  const labels = {
    source: 'Lanternwick’s ground truth',
    labels: [{ latent: first, label: 'the lighthouse', f1: 0.97, precision: 0.96, recall: 0.98, note: 'fires on the last word' }],
  };
  await drop(page, [...saelens(TINY), json('labels.json', labels)]);
  await expect(map(page).getByRole('rowheader', { name: 'the lighthouse' })).toContainText('0.97', SLOW);
  await expect(map(page).getByRole('rowheader', { name: `unlabelled ${second}` })).toBeVisible();

  // The card tells who says so.
  await map(page).locator('[data-cell]').first().focus();
  await page.keyboard.press('Enter');
  await map(page)
    .getByRole('gridcell', { name: new RegExp(`latent ${first}, the lighthouse, position`) })
    .last()
    .click();
  const said = chosen(page).getByRole('group', { name: 'Labels' });
  await expect(said).toContainText('the lighthouse');
  await expect(said).toContainText('Lanternwick’s ground truth · F1 0.97');
  await expect(said).toContainText('fires on the last word');

  // A dial of it goes by its label.
  await page.getByRole('button', { name: 'Turn it up' }).click();
  const dial = page.getByRole('article', { name: `Dial the lighthouse · latent ${first}` });
  await expect(dial).toContainText('F1 0.97');

  // One's own, by keyboard: Escape leaves things as they were, Enter keeps.
  await said.getByRole('button', { name: 'Write your own' }).focus();
  await page.keyboard.press('Enter');
  const field = said.getByRole('textbox');
  await expect(field).toBeFocused();
  await page.keyboard.type('a lamp');
  await page.keyboard.press('Escape');
  await expect(said.getByRole('button', { name: 'Write your own' })).toBeFocused();
  await expect(said).not.toContainText('a lamp');
  await page.keyboard.press('Enter');
  await field.fill('the lamp on the rocks');
  await page.keyboard.press('Enter');
  await expect(said.getByRole('button', { name: 'Edit' })).toBeFocused();
  await expect(said.getByRole('listitem')).toHaveText([/^the lamp on the rocks\s*yours/, /^the lighthouse/]);
  await expect(map(page).getByRole('rowheader', { name: 'the lamp on the rocks' })).toBeVisible();
  await expect(page.getByRole('article', { name: `Dial the lamp on the rocks · latent ${first}` })).toBeVisible();
  expect(await complaints(page)).toEqual([]);

  // The model as it is: the dial off.
  await page.getByRole('switch', { name: `the lamp on the rocks · latent ${first} on` }).click();

  // Exported, and read again by who imports it.
  await page.keyboard.press('/');
  await expect(finder(page).getByRole('textbox')).toBeFocused();
  const download = page.waitForEvent('download');
  await finder(page).getByRole('button', { name: 'Export your own' }).click();
  expect((await download).suggestedFilename()).toMatch(/labels.*\.json$/);
  await finder(page)
    .locator('input[type="file"]')
    .setInputFiles({ name: 'labels.json', mimeType: 'application/json', buffer: Buffer.from('{"labels": [{"latent": 4000}]}') });
  await expect(finder(page).getByRole('alert')).toBeVisible();
  await finder(page)
    .locator('input[type="file"]')
    .setInputFiles({
      name: 'labels.json',
      mimeType: 'application/json',
      buffer: Buffer.from(JSON.stringify({ source: 'a friend', labels: [{ latent: second, label: 'fog' }] })),
    });
  await expect(map(page).getByRole('rowheader', { name: 'fog' })).toBeVisible();
  await finder(page).getByRole('button', { name: 'Close' }).click();
  await expect(page.getByRole('button', { name: /^Find a latent/ })).toBeFocused();

  // By label: those that have one first.
  const active = page.getByRole('listbox', { name: 'Latents of the selected token' });
  await page.getByText('By label').click();
  await expect(active.getByRole('option').first()).toContainText(/the lamp on the rocks|fog/);

  // After a reload.
  await page.waitForTimeout(600);
  await page.reload();
  await page.evaluate(() => window.lab.ready);
  await expect(chosen(page).getByRole('group', { name: 'Labels' })).toContainText('the lamp on the rocks', SLOW);
  await expect(page.getByRole('article', { name: `Dial the lamp on the rocks · latent ${first}` })).toBeVisible();

  // Removed: the other source is what it is called again.
  await said.getByRole('button', { name: 'Remove' }).click();
  await expect(said.getByRole('listitem')).toHaveCount(1);
  await expect(map(page).getByRole('rowheader', { name: 'the lighthouse' })).toBeVisible(SLOW);
});

test('found by label, by token, by where it fires', async ({ page, site }) => {
  await demo(page, site.url);
  await drop(page, saelens(TINY));
  await expect(page.getByRole('listbox', { name: 'Latents of the selected token' })).toBeVisible(SLOW);
  const { id, ids, rows } = await read(page, TINY.name);

  // Without labels it says where they come from.
  await page.getByRole('button', { name: /^Find a latent/ }).click();
  await expect(finder(page)).toContainText('This dictionary has no labels yet');
  await page.evaluate((dictionary) => window.lab.label({ dictionary, latent: 7, text: 'a foggy morning' }), id);
  await page.keyboard.type('MORNING');
  await expect(found(page)).toHaveCount(1);
  await expect(found(page)).toContainText('a foggy morning');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await expect(chosen(page).getByRole('heading', { name: 'Latent 7', exact: false }).first()).toBeVisible();
  await finder(page).getByRole('textbox').fill('no such words');
  await expect(finder(page)).toContainText('No label holds all of these words.');

  // By a token: the numbers are the latent's own. What is no token says what it is made of.
  await finder(page).getByText('Token it promotes').click();
  await finder(page).getByRole('textbox').fill('lighthouse');
  await expect(found(page)).toHaveCount(20, SLOW);
  await expect(finder(page)).toContainText('that promote “ lighthouse”');
  const best = await page.evaluate(
    async (dictionary) =>
      (await window.lab.findLatents({ dictionary, promotes: ' lighthouse', top: 2 })).latents.map(({ latent }) => latent),
    id,
  );
  await expect(found(page).first()).toContainText(`latent ${best[0]}`);
  await found(page).first().click();
  await expect(
    chosen(page)
      .getByRole('heading', { name: `Latent ${best[0]}`, exact: false })
      .first(),
  ).toBeVisible();
  await finder(page).getByText('suppresses').click();
  await expect(finder(page)).toContainText('that suppress “ lighthouse”');
  await finder(page).getByRole('textbox').fill('lighthouse morning');
  await expect(finder(page).getByRole('alert')).toContainText('not-one-token');
  expect(await complaints(page)).toEqual([]);
  await finder(page).getByRole('button', { name: '“ morning”' }).click();
  await expect(finder(page)).toContainText('that suppress “ morning”', SLOW);

  // Here, not there: the selected token against the rest of the prompt, by brute force.
  await finder(page).getByText('Fires here, not there').click();
  await page.getByRole('listbox', { name: 'Prompt tokens' }).locator('[tabindex="0"]').focus();
  await page.keyboard.press('End');
  const last = ids.length - 1;
  await expect(finder(page)).toContainText('not at the rest of this prompt');
  await finder(page).getByRole('button', { name: 'Find', exact: true }).click();
  const elsewhere = (latent: number) => Math.max(0, ...rows.slice(1, last).map((row) => row.find(([each]) => each === latent)?.[1] ?? 0));
  const expected = (rows[last] ?? [])
    .map(([latent, value]) => ({ latent, score: value - elsewhere(latent) }))
    .sort((a, b) => b.score - a.score);
  await expect(found(page).first()).toContainText(`latent ${expected[0]?.latent}`, SLOW);
  await finder(page).getByText('Two texts').click();
  await expect(finder(page).getByRole('textbox', { name: 'Fires here' })).toHaveValue(PROMPT);
  await finder(page).getByRole('textbox', { name: 'and not here' }).fill('Once upon a time');
  await finder(page).getByRole('button', { name: 'Find', exact: true }).click();
  await expect(found(page).first()).toBeVisible(SLOW);
  expect(await complaints(page)).toEqual([]);

  // By meaning: what it takes.
  await finder(page).getByText('Meaning', { exact: true }).click();
  await expect(finder(page)).toContainText('a small sentence encoder of your own');
  await openEncoder(page);
  await finder(page).getByText('Label', { exact: true }).click();
  await finder(page).getByText('Meaning', { exact: true }).click();
  await page.evaluate((dictionary) => window.lab.label({ dictionary, latent: 9, text: 'numbers' }), id);
  await finder(page).getByRole('textbox').fill('a foggy morning');
  await page.keyboard.press('Enter');
  await expect(found(page)).toHaveCount(2, SLOW);
  await expect(found(page).first()).toHaveText(/latent 7\s+a foggy morning\s+1\.00/);
  await page.keyboard.press('Escape');
  await expect(finder(page)).toHaveCount(0);
});

test('two dictionaries of one place, side by side', async ({ page, site }) => {
  await demo(page, site.url);
  await drop(page, saelens(WIDE));
  await expect(page.getByRole('listbox', { name: 'Latents of the selected token' })).toBeVisible(SLOW);
  await expect(page.getByRole('combobox', { name: 'beside' })).toHaveCount(0);
  await drop(page, saelens(TINY));
  const beside = page.getByRole('combobox', { name: 'beside' });
  await expect(beside).toBeVisible(SLOW);
  await expect(page.getByRole('combobox', { name: 'Dictionary' })).toHaveValue(/./);
  await expect(beside.getByRole('option')).toHaveText(['none', 'wide-res-3 · 384']);
  await beside.selectOption({ index: 1 });
  const card = page.getByRole('region', { name: 'Beside wide-res-3' });
  await expect(card).toContainText('4 times as wide (384 against 96 latents)');
  await expect(card).toContainText('Choose a latent of tiny-res-3');

  // The likest, by cosine: each row of the narrow one is a row of the wide one too.
  const tiny = await read(page, TINY.name);
  const latent = tiny.strongest[0] ?? 0;
  await expect(map(page)).toBeVisible(SLOW);
  await map(page)
    .getByRole('gridcell', { name: new RegExp(`^latent ${latent}, position`) })
    .last()
    .click();
  const grid = card.getByRole('grid');
  await expect(grid.getByRole('row')).toHaveCount(8, SLOW);
  await expect(grid.getByRole('rowheader').nth(1)).toContainText(`latent ${latent}`);
  await expect(grid.getByRole('rowheader').nth(1)).toContainText('1.00');
  const wide = await read(page, WIDE.name);
  const similar = await page.evaluate(
    ([dictionary, other, which]) =>
      window.lab.similar({ dictionary: String(dictionary), other: String(other), latent: Number(which), top: 6 }),
    [tiny.id, wide.id, latent],
  );
  for (const [i, each] of similar.entries()) await expect(grid.getByRole('rowheader').nth(i + 1)).toContainText(`latent ${each.latent}`);
  await expect(card.getByRole('listbox', { name: 'Active latents of wide-res-3' }).getByRole('option')).toHaveCount(10);
  expect(await complaints(page)).toEqual([]);

  // A row's name, or Enter on its cells, opens that latent in the other one.
  await grid.getByRole('gridcell', { name: new RegExp(`^latent ${latent} of wide-res-3, position 3`) }).click();
  await expect(card.getByRole('button', { name: 'Open it', exact: true })).toBeVisible();
  await page.keyboard.press('Enter');
  await expect(page.getByRole('region', { name: 'Beside tiny-res-3' })).toContainText('4 times narrower', SLOW);
  await expect(
    chosen(page)
      .getByRole('heading', { name: `Latent ${latent}`, exact: false })
      .first(),
  ).toBeVisible();

  // The choice is kept.
  await page.waitForTimeout(600);
  await page.reload();
  await page.evaluate(() => window.lab.ready);
  await expect(page.getByRole('region', { name: 'Beside tiny-res-3' })).toBeVisible(SLOW);
});
