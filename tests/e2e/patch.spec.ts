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

  const drawing = page.waitForEvent('download');
  await page.getByRole('button', { name: 'SVG' }).click();
  const svg = await readFile(await (await drawing).path(), 'utf8');
  expect(svg).toContain('Activation patching');
  expect([...svg.matchAll(/<rect /g)].length).toBeGreaterThan(90);
  const tensors = page.waitForEvent('download');
  await page.getByRole('button', { name: 'safetensors' }).click();
  const bytes = await readFile(await (await tensors).path());
  const header = JSON.parse(bytes.subarray(8, 8 + Number(bytes.readBigUInt64LE(0))).toString()) as {
    value: { shape: number[]; data_offsets: [number, number] };
    __metadata__: { request: string };
  };
  expect(header.value.shape).toEqual([6, 15]);
  const first = 8 + Number(bytes.readBigUInt64LE(0)) + header.value.data_offsets[0];
  expect(bytes.readFloatLE(first + 4 * 89)).toBeCloseTo(await at(5, 14), 1);
  // Copied as a script and run: the same numbers.
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await page.getByRole('button', { name: 'Copy as script' }).click();
  const script = await page.evaluate(() => navigator.clipboard.readText());
  // As the console would run it.
  const again = await page.evaluate<number[]>(`(async () => { ${script}\n return [...grid.value.data]; })()`);
  expect(again).toHaveLength(90);
  expect(again[89]).toBe(bytes.readFloatLE(first + 4 * 89));

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

test('latents, causal tracing, paths, a set of pairs, an estimate verified, one head’s map', async ({ page, site }) => {
  await page.setViewportSize({ width: 1440, height: 1100 });
  await page.goto(site.url);
  await page.evaluate(() => window.lab.ready);
  await page.getByRole('tab', { name: 'Patch' }).click();
  await expect(page.getByText('15 tokens each; they differ at position 10')).toBeVisible(SLOW);
  const asked = page.getByRole('region', { name: 'What is asked' });
  const run = asked.getByRole('button', { name: /^Run/ });
  const answer = page.getByRole('region', { name: 'Patching grid' });
  const cell = page.getByRole('region', { name: 'The selected cell' });
  const what = asked.getByLabel('What is patched');
  const saved = async (kind: string): Promise<Buffer> => {
    const download = page.waitForEvent('download');
    await answer.getByRole('button', { name: kind }).click();
    return readFile(await (await download).path());
  };

  // Estimated, and its largest twenty verified.
  await asked.getByText('Attribution', { exact: true }).click();
  await what.selectOption('z');
  await run.click();
  await expect(answer.getByRole('heading', { name: /^Attribution patching/ })).toBeVisible(SLOW);
  await page.getByRole('button', { name: 'Verify the top 20 exactly' }).click();
  await expect(page.getByText(/^r = 0\.\d+ over 20 cells/)).toBeVisible(SLOW);
  await asked.getByText('Exact', { exact: true }).click();

  // Latents, by name; the strongest as a run of its own, in the set and as a dial.
  const dictionary = await page.evaluate(async () => {
    while ((await window.lab.dictionaries()).length < 3) await new Promise((done) => setTimeout(done, 100));
    return (await window.lab.dictionaries()).find(({ name }) => name === 'lanternwick-l0-2k')?.id ?? '';
  });
  await what.selectOption(dictionary);
  await run.click();
  const latents = answer.getByRole('listbox', { name: 'Latents by their effect' });
  await expect(latents).toBeVisible(SLOW);
  await latents.locator('[tabindex="0"]').focus();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowDown');
  await expect(latents.getByRole('option', { selected: true })).toHaveAccessibleName(/^person: Odo · latent \d+: recovered/);
  await expect(cell.getByRole('heading').first()).toContainText('person: Odo');
  await expect(cell.getByRole('listitem').first()).toBeVisible(SLOW);
  await cell.getByRole('button', { name: 'Add to the set' }).click();
  await page.getByRole('button', { name: 'Patch them together' }).click();
  const together = page.getByRole('region', { name: 'The set' }).getByText(/^All together/);
  await expect(together).toBeVisible(SLOW);
  // A set of one is the cell itself.
  const number = (text: string | null): number => Number(/(−?\d[\d.]*)/.exec(text ?? '')?.[1]?.replace('−', '-'));
  expect(number(await together.textContent())).toBeCloseTo(number(await cell.locator('dd').first().textContent()), 1);
  await cell.getByRole('button', { name: 'Make it a dial' }).click();
  const slider = page.getByRole('complementary', { name: 'Dials' }).getByRole('slider', { name: /^person: Odo/ });
  await expect(slider).toBeFocused();
  await page.getByRole('button', { name: /^Remove the dial person: Odo/ }).click();

  // Paths: the last layer’s MLP writes to the logits directly.
  await asked.getByText('Paths to a receiver').click();
  await run.click();
  await expect(answer.getByRole('heading', { name: /^Path patching/ })).toBeVisible(SLOW);
  const last = answer.getByRole('gridcell', { name: /^layer 5, MLP: recovered/ });
  expect(number(((await last.getAttribute('aria-label')) ?? '').split('recovered ')[1] ?? '')).toBeGreaterThan(0.3);
  await last.click();
  await expect(cell).toContainText('A path is two runs');
  expect((await saved('CSV')).toString()).toContain('\r\n5,MLP,');
  expect(await complaints(page)).toEqual([]);
  await asked.getByText('Every part').click();

  // Causal tracing: no contrast; restored at the noised token before any layer, and at the last position in the end.
  await page.getByText('Against itself, noised').click();
  await expect(asked.getByText('Choose the tokens that are noised.')).toBeVisible();
  await page.getByRole('listbox', { name: 'Tokens to be noised' }).getByRole('option').first().focus();
  for (let i = 0; i < 10; i++) await page.keyboard.press('ArrowRight');
  await page.keyboard.press('Enter');
  await expect(page.getByText('noised: position 10')).toBeVisible();
  await page.getByLabel('Draws of noise').fill('2');
  await page.keyboard.press('Enter');
  await what.selectOption('resid_pre');
  await run.click();
  await expect(answer.getByRole('heading', { name: /^Causal tracing/ })).toBeVisible(SLOW);
  for (const at of [/^layer 0, at .*position 10: recovered 1\.0/, /^layer 5, at .*position 14: recovered [01]\./])
    await expect(answer.getByRole('gridcell', { name: at })).toBeVisible();
  expect(await complaints(page)).toEqual([]);
  await page.getByText('Against a contrast').click();

  // A set: the world’s own, and lines of one’s own; what cannot be taken stays and says why.
  await page.getByText('A set of pairs', { exact: true }).click();
  const set = page.getByRole('region', { name: 'A set of pairs' });
  await set.getByRole('button', { name: 'Lanternwick’s own set' }).click();
  const lines = set.getByRole('textbox');
  const crooked = 'Mara has a pet | Odo has a big pet | parrot | cat';
  await lines.fill(
    `${crooked}\nWhen Ida and Tom went to the mill, Ida gave a rope to | When Ida and Tom went to the mill, Tom gave a rope to | Tom | Ida`,
  );
  await set.getByRole('button', { name: 'Add these lines' }).click();
  await expect(lines).toHaveValue(crooked);
  await expect(set.getByRole('alert')).toContainText('Line 1: The prompt has');
  await set.getByRole('switch', { name: 'Run over the set' }).click();
  await expect(asked.getByText(/11 pairs/)).toBeVisible(SLOW);
  await run.click();
  await expect(answer.getByText(/mean of 11 pairs/)).toBeVisible(SLOW);
  await answer.getByRole('gridcell', { name: /^layer 5, at .*position 14: recovered 1\.0/ }).click();
  await expect(cell).toContainText('Spread over pairs');
  expect((await saved('CSV')).toString().split('\r\n')[0]).toBe('layer,position,token,value,metric,spread');
  expect(await complaints(page)).toEqual([]);

  // A pattern’s single entries, of two short texts: one head’s map, and all of them in a file.
  await set.getByRole('switch', { name: 'Run over the set' }).click();
  await page.getByRole('textbox', { name: 'Prompt', exact: true }).fill('Mara has a pet');
  await page.getByRole('textbox', { name: /^Contrast/ }).fill('Odo has a pet');
  await expect(page.getByText('5 tokens each; they differ at position 1')).toBeVisible(SLOW);
  await what.selectOption('pattern');
  await asked.getByLabel('Grid', { exact: true }).selectOption('head-dest-src');
  await run.click();
  await expect(answer.getByRole('grid', { name: /^Patching grid of head \d\.\d, from by to/ })).toBeVisible(SLOW);
  expect((await saved('CSV')).toString().trim().split('\r\n')).toHaveLength(1 + 24 * 5 * 5);
  expect((await saved('SVG')).toString()).toMatch(/head \d\.\d/);

  // Another position, and everything as it was after a reload.
  await asked.getByLabel('Where the metric is read').selectOption('3');
  await expect(answer).toContainText('of an earlier question');
  await page.reload();
  await page.evaluate(() => window.lab.ready);
  await expect(set.getByRole('listitem')).toHaveCount(11, SLOW);
  await expect(lines).toHaveValue(crooked);
});
