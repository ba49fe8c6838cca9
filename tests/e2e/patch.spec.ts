/** Patch as a person uses it, on the demo: its own pair, one press; a cell, the set, a dial, a file; and what is said where texts do not line up. */
import { readFile } from 'node:fs/promises';
import { complaints } from './axe';
import { expect, test } from './fixtures';

// A software renderer, perhaps beside other work: each kernel is compiled once.
test.setTimeout(150_000);
const SLOW = { timeout: 60_000 };

test('the demo’s own pair: run, a cell, together, saved, and a contrast that does not line up', async ({ page, site }) => {
  // Wide enough for every column to be in sight: those that are not are not in the document.
  await page.setViewportSize({ width: 1440, height: 900 });
  await page.goto(site.url);
  await page.evaluate(() => window.lab.ready);
  await page.getByRole('tab', { name: 'Patch' }).click();
  // The pair lies ready; one press runs it.
  await expect(page.getByRole('textbox', { name: /^Contrast/ })).toHaveValue(/Odo gave a lantern to$/);
  await expect(page.getByText('15 tokens each; they differ at position 10')).toBeVisible(SLOW);
  await page.getByRole('region', { name: 'Patch: an example' }).getByRole('button', { name: 'Run', exact: true }).click();
  const grid = page.getByRole('grid', { name: 'Patching grid, layer by position' });
  await expect(grid).toBeVisible(SLOW);
  await expect(page.getByRole('textbox', { name: 'The correct answer' })).toHaveValue(/Odo/);
  await expect(page.getByText(/^90 cells · \d+% of one forward pass a cell/)).toBeVisible(SLOW);

  // The names mover’s story: all of it at the giver’s name before any layer, all of it at the last position before the last one; nothing in between.
  const at = async (layer: number, position: number): Promise<number> => {
    const name =
      (await grid.getByRole('gridcell', { name: new RegExp(`^layer ${layer}, at .*position ${position}: `) }).getAttribute('aria-label')) ??
      '';
    return Number(/recovered (\S+),/.exec(name)?.[1]?.replace('−', '-'));
  };
  expect(await at(0, 10)).toBeGreaterThan(0.9);
  expect(await at(5, 14)).toBeGreaterThan(0.9);
  for (const layer of [1, 3, 5]) for (const position of [3, 12]) expect(Math.abs(await at(layer, position))).toBeLessThan(0.2);
  expect(await complaints(page)).toEqual([]);

  // By keyboard: the last cell of the top row; its run says the prompt’s own answer.
  await grid.locator('[tabindex="0"]').focus();
  await page.keyboard.press('End');
  const cell = page.getByRole('region', { name: 'The selected cell' });
  await expect(cell).toContainText('layer 5, at “ to”, position 14');
  await expect(cell.getByRole('listitem').first()).toContainText('Odo', SLOW);
  await cell.getByRole('button', { name: 'Add to the set' }).click();
  await expect(page.getByRole('region', { name: 'The set' })).toContainText('layer 5, at “ to”, position 14');

  // Saved: the numbers on the screen, readable elsewhere.
  const download = page.waitForEvent('download');
  await page.getByRole('button', { name: 'CSV' }).click();
  const csv = await readFile(await (await download).path(), 'utf8');
  const lines = csv.trim().split('\r\n');
  expect(lines[0]).toBe('layer,position,token,value,metric');
  expect(lines).toHaveLength(1 + 90);
  expect(Number(lines.at(-1)?.split(',').at(-2))).toBeCloseTo(await at(5, 14), 1);
  const picture = page.waitForEvent('download');
  await page.getByRole('button', { name: 'PNG' }).click();
  expect((await readFile(await (await picture).path())).subarray(1, 4).toString()).toBe('PNG');

  // A dial of it: the contrast’s values come into the prompt, and the model answers as the contrast does.
  await cell.getByRole('button', { name: 'Make it a dial' }).click();
  const slider = page.getByRole('complementary', { name: 'Dials' }).getByRole('slider', { name: /^layer 5, at/ });
  await expect(slider).toBeFocused();
  await expect(page.getByText('of an earlier question')).toBeVisible();
  await page.getByRole('button', { name: /^Remove the dial layer 5/ }).click();
  await expect(page.getByText('of an earlier question')).toHaveCount(0);

  // One word more: it says where the texts part, and asks for nothing.
  await page.getByRole('textbox', { name: /^Contrast/ }).fill('When Mara and Odo went to the big market, Odo gave a lantern to');
  await expect(page.getByRole('alert')).toContainText('They part at position 8');
  await expect(page.getByRole('button', { name: 'Run', exact: true })).toHaveCount(0);
  expect(await complaints(page)).toEqual([]);
});
