/** Attention as a person uses it, on the demo: all heads, one large, by keyboard; a head silenced by a dial, and what that changes. */
import { complaints } from './axe';
import { expect, test } from './fixtures';

// A software renderer, perhaps beside other work: each kernel is compiled once.
test.setTimeout(150_000);
const SLOW = { timeout: 60_000 };

test('heads at a glance, one large, silenced', async ({ page, site }) => {
  await page.goto(site.url);
  await page.evaluate(() => window.lab.ready);
  await page.getByRole('tab', { name: 'Attention' }).click();
  await page.getByRole('button', { name: 'See who looks at whom' }).click(SLOW);
  const heads = page.getByRole('listbox', { name: 'Heads' });
  await expect(heads.getByRole('option')).toHaveCount(24, SLOW);

  // What is said of a cell is what the tap holds.
  const read = await page.evaluate(async () => {
    const { ids } = await window.lab.tokenize(document.querySelector('textarea')?.value ?? '');
    const hook = 'blocks.5.attn.hook_pattern';
    const { taps } = await window.lab.run({ prompt: ids, taps: [hook], logits: 'none' });
    const { shape, data } = taps[hook] ?? { shape: [], data: new Float32Array() };
    const last = ids.length - 1;
    return { last, row: [...data.slice(last * ids.length, (last + 1) * ids.length)], shape };
  });
  expect(read.shape).toEqual([4, read.last + 1, read.last + 1]);
  // By keyboard through the heads: the first is 0.0; up five layers, and on to the map.
  await heads.locator('[tabindex="0"]').focus();
  await expect(heads.getByRole('option', { selected: true })).toHaveAccessibleName(/^head 0\.0/);
  for (let i = 0; i < 5; i++) await page.keyboard.press('ArrowUp');
  await expect(heads.getByRole('option', { selected: true })).toHaveAccessibleName(/^head 5\.0/);
  const baseline = page.getByRole('radiogroup', { name: 'Which model' });
  await expect(baseline, 'the demo’s dial is on').toBeVisible(SLOW);
  await baseline.getByText('Baseline').click();
  const map = page.getByRole('grid', { name: 'Head 5.0, queries by keys' });
  await map.focus();
  for (const key of ['PageDown', 'End', 'Home']) await page.keyboard.press(key);
  const cell = map.getByRole('gridcell');
  await expect(cell).toHaveText(new RegExp(`^from .*position ${read.last}, to .*position 0: `));
  const said = async () => Number(((await cell.textContent()) ?? '').split(': ').at(-1)?.replace('−', '-'));
  expect(Math.abs((await said()) - (read.row[0] ?? Number.NaN))).toBeLessThan(0.006);
  await page.keyboard.press('ArrowRight');
  expect(Math.abs((await said()) - (read.row[1] ?? Number.NaN))).toBeLessThan(0.006);
  // The position is selected everywhere; what comes later cannot be reached.
  await expect(page.getByRole('listbox', { name: 'Prompt tokens' }).getByRole('option', { selected: true })).toHaveAttribute(
    'data-position',
    String(read.last),
  );
  await page.keyboard.press('PageUp');
  await expect(cell).toHaveText(new RegExp(`position ${read.last}, to`));
  expect(await complaints(page)).toEqual([]);

  // Silenced: a dial whose slider has the focus; later layers look elsewhere.
  await heads.getByRole('option', { name: /^head 0\.1/ }).click();
  await page.getByRole('button', { name: 'Silence this head' }).click();
  const dials = page.getByRole('complementary', { name: 'Dials' });
  const slider = dials.getByRole('slider', { name: /^head 0\.1, silenced/ });
  await expect(slider).toBeFocused();
  await expect(slider).toHaveValue('1');
  await expect(page.getByText('It is on the bench.')).toBeVisible();
  await baseline.getByText('Difference').click();
  const largest = page
    .getByRole('list', { name: /attends to most$/ })
    .getByRole('button')
    .first();
  const differs = async (): Promise<number> => {
    let most = 0;
    for (const head of ['1.0', '1.1', '2.1', '3.2', '4.1']) {
      await heads.getByRole('option', { name: `head ${head}` }).click();
      most = Math.max(most, Math.abs(Number((await largest.innerText()).trim().split(/\s+/).at(-1)?.replace('−', '-'))));
    }
    return most;
  };
  await expect.poll(differs, SLOW).toBeGreaterThan(0.05);
  expect(await complaints(page)).toEqual([]);
});
