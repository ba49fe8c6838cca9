/** The tour, by keyboard alone: each stop ends with what the visitor did; it can be left, resumed, reloaded and declined, and gives back what it found. */
import type { Page } from '@playwright/test';
import { complaints } from './axe';
import { expect, openPage, test } from './fixtures';
import { drop, fixturePath, GPT2_ODD, readFiles } from './model';

const SLOW = { timeout: 60_000 };
const heading = (page: Page, name: string) => page.getByRole('heading', { name, exact: true });
const press = async (page: Page, name: string | RegExp): Promise<void> => {
  const button = page.getByRole('button', { name, exact: true });
  await button.focus();
  await page.keyboard.press('Enter');
};

async function arrive(page: Page, url: string): Promise<void> {
  await page.goto(url);
  await page.evaluate(() => window.lab.ready);
  await expect(page.getByRole('complementary', { name: 'Dials' }).getByRole('slider').first()).toBeVisible(SLOW);
}

/** To the foot of the last column, then up it to the first cell from which the answer stays on top. */
async function findForming(page: Page): Promise<void> {
  await press(page, 'Take me there');
  const focused = page.locator('[role=gridcell]:focus');
  await expect(focused).toHaveCount(1);
  await page.keyboard.press('End');
  const [top = 0, column = 0] = ((await focused.getAttribute('data-cell')) ?? '').split('-').map(Number);
  const word = (row: number): Promise<string> => page.locator(`[data-cell="${row}-${column}"]`).innerText();
  const answer = await word(top);
  let win = top;
  while (win > 0 && (await word(win - 1)) === answer) win--;
  for (let row = top; row > 0; row--) await page.keyboard.press('ArrowDown');
  if (win > 0) await expect(page.getByText(/^The top row is the answer/)).toBeVisible();
  for (let row = 0; row < win; row++) {
    await expect(page.getByText(/^That is where it is decided/)).toHaveCount(0);
    await page.keyboard.press('ArrowUp');
  }
}

/** Head 4.1 looks at a name, and nothing hangs on it; down to the lowest layer, to the one that does. */
async function silenceTheCopier(page: Page): Promise<void> {
  const heads = page.getByRole('listbox', { name: 'Heads' });
  await expect(heads.getByRole('option')).toHaveCount(24, SLOW);
  await press(page, 'Take me there');
  await expect(heads.getByRole('option', { name: /^head 0\.0/ })).toBeFocused();
  for (const key of ['ArrowUp', 'ArrowUp', 'ArrowUp', 'ArrowUp']) await page.keyboard.press(key);
  await expect(page.getByText(/^Each square is a head/)).toBeVisible();
  await page.keyboard.press('ArrowRight');
  await expect(page.getByText(/^Head 4\.1 looks at a name/)).toBeVisible();
  await press(page, 'Take me there');
  await expect(page.getByRole('button', { name: 'Silence this head' })).toBeFocused();
  await page.keyboard.press('Enter');
  await expect(page.getByText(/^Without head 4\.1 it still ends with “Odo”, at 100%/)).toBeVisible(SLOW);
  await heads.locator('[tabindex="0"]').focus();
  for (let i = 0; i < 4; i++) await page.keyboard.press('ArrowDown');
  await press(page, 'Silence this head');
  await expect(page.getByText(/falls from 100% to \d\d?%/)).toBeVisible(SLOW);
}

/** The fact is in the last column from layer 1 on; the dial of it brings the other pet. */
async function moveTheFact(page: Page): Promise<void> {
  await expect(page.getByText(/^96 cells/)).toBeVisible(SLOW);
  await press(page, 'Take me there');
  await expect(page.getByRole('button', { name: 'Run', exact: true })).toBeFocused();
  await page.keyboard.press('Enter');
  await expect(page.getByText(/^Where does the fact travel/)).toBeVisible(SLOW);
  await press(page, 'Take me there');
  await page.keyboard.press('End');
  await expect(page.getByText(/^That one activation carries it/)).toBeVisible(SLOW);
  await press(page, 'Take me there');
  await page.keyboard.press('Enter');
  await expect(page.getByText(/^You moved a fact/)).toBeVisible();
  // What is said is so: under the dial this question has the other's answer.
  const says = await page.evaluate(async () => {
    const [prompt, other] = ['Mara', 'Odo'].map((name) => `Question: Which pet does ${name} have?\nAnswer: ${name} has a pet`);
    const at = 'blocks.5.hook_resid_pre';
    const value = { prompt: other ?? '', from: [15] };
    const { top } = await window.lab.run({
      prompt: prompt ?? '',
      edits: [{ kind: 'replace', at, where: [15], value }],
      logits: { top: 1 },
    });
    return (await window.lab.token(top?.ids.at(-1)?.[0] ?? 0)).piece;
  });
  expect(says).toBe(' cat');
}

test('every stop by keyboard; left, resumed, reloaded', async ({ page, site }) => {
  await arrive(page, site.url);
  await press(page, 'Take the tour');
  await expect(heading(page, 'A prediction forms')).toBeFocused(SLOW);
  await expect(page.getByRole('gridcell').first()).toBeVisible(SLOW);

  // Left with Escape: the focus goes to where it is taken up again, and nothing of it is in the way.
  await page.keyboard.press('Escape');
  await expect(heading(page, 'A prediction forms')).toHaveCount(0);
  await expect(page.getByRole('button', { name: 'Resume tour' })).toBeFocused();
  await page.keyboard.press('Enter');
  await expect(heading(page, 'A prediction forms')).toBeFocused(SLOW);
  await expect(page.getByRole('gridcell').first()).toBeVisible(SLOW);

  await findForming(page);
  await expect(page.getByText(/^That is where it is decided/)).toBeVisible();
  await expect(heading(page, 'A prediction forms')).toBeFocused();

  await press(page, 'Next: The head that copies names');
  await expect(heading(page, 'The head that copies names')).toBeFocused(SLOW);
  await silenceTheCopier(page);

  await press(page, 'Next: A story bent by a dial');
  await expect(heading(page, 'A story bent by a dial')).toBeFocused(SLOW);
  await press(page, 'Take me there');
  const slider = page.getByRole('slider', { name: /^merry/ });
  await expect(slider).toBeFocused();
  for (let i = 0; i < 6; i++) await page.keyboard.press('PageDown');
  await expect(page.getByText(/^Now let it write/)).toBeVisible();

  // A reload: the same step, the dial where it was turned to.
  const turned = await slider.inputValue();
  await page.waitForTimeout(700);
  await page.reload();
  await page.evaluate(() => window.lab.ready);
  await expect(page.getByText(/^Now let it write/)).toBeVisible();
  await expect(slider).toHaveValue(turned);
  await press(page, 'Take me there');
  await expect(page.getByRole('button', { name: 'Generate', exact: true })).toBeFocused();
  await page.keyboard.press('Enter');
  await expect(page.getByText(/^You bent a story/)).toBeVisible(SLOW);

  await press(page, 'Next: A fact from one person to another');
  await expect(heading(page, 'A fact from one person to another')).toBeFocused(SLOW);
  await moveTheFact(page);
  await press(page, 'Finish');
  await expect(page.getByRole('button', { name: 'Tour', exact: true })).toBeFocused();
  await page.waitForTimeout(700);
  await page.reload();
  await page.evaluate(() => window.lab.ready);
  await expect(page.getByRole('button', { name: 'Take the tour' })).toHaveCount(0);
});

test('an invitation that is declined does not come again; a stop can be skipped', async ({ page, site }) => {
  await arrive(page, site.url);
  await press(page, 'Not now');
  await page.waitForTimeout(700);
  await page.reload();
  await page.evaluate(() => window.lab.ready);
  await expect(page.getByRole('button', { name: 'Take the tour' })).toHaveCount(0);
  await press(page, 'Tour');
  await expect(heading(page, 'A prediction forms')).toBeFocused(SLOW);
  await press(page, 'Skip this stop');
  await expect(heading(page, 'The head that copies names')).toBeFocused(SLOW);
});

test('what lay on the bench comes back after it', async ({ page, site }) => {
  await openPage(page, site.url);
  await page.evaluate(() => window.lab.ready);
  await drop(page, readFiles(GPT2_ODD.map((file) => fixturePath('gpt2-odd', file))));
  await expect.poll(() => page.evaluate(() => window.lab.model()?.family), SLOW).toBe('gpt2');
  const own = await page.evaluate(() => window.lab.model()?.id);
  await page.getByRole('textbox', { name: 'Prompt' }).fill('words of my own');
  await press(page, 'Tour');
  await expect(heading(page, 'A prediction forms')).toBeFocused(SLOW);
  expect(await page.evaluate(() => window.lab.model()?.name)).toBe('Lanternwick');
  await page.waitForTimeout(700);
  await page.reload();
  await page.evaluate(() => window.lab.ready);
  await press(page, 'Leave the tour');
  await expect(page.getByRole('textbox', { name: 'Prompt' })).toHaveValue('words of my own');
  await expect.poll(() => page.evaluate(() => window.lab.model()?.id), SLOW).toBe(own);
});

test('what was written in the middle of it stays, and what lay there before is offered', async ({ page, site }) => {
  await arrive(page, site.url);
  const prompt = page.getByRole('textbox', { name: 'Prompt' });
  await prompt.fill('the first words of my own');
  await press(page, 'Take the tour');
  await expect(heading(page, 'A prediction forms')).toBeFocused(SLOW);
  await prompt.fill('and newer ones');
  await press(page, 'Leave the tour');
  await expect(prompt).toHaveValue('and newer ones');
  await page.waitForTimeout(700);
  await page.reload();
  await page.evaluate(() => window.lab.ready);
  await expect(prompt).toHaveValue('and newer ones');
  await press(page, 'Put it back');
  await expect(prompt).toHaveValue('the first words of my own');
  await expect(page.getByRole('button', { name: 'Put it back' })).toHaveCount(0);
});

for (const colorScheme of ['dark', 'light'] as const) {
  test(`axe has no complaint, ${colorScheme}; nothing overflows, narrow or wide`, async ({ page, site }) => {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    await arrive(page, site.url);
    const looks = async (what: string, widths = [1440, 1000, 390]): Promise<void> => {
      for (const width of widths) {
        await page.setViewportSize({ width, height: 820 });
        await page.waitForTimeout(300);
        expect(await page.evaluate(() => document.documentElement.scrollWidth > innerWidth), `${what} at ${width}`).toBe(false);
        expect(await complaints(page), `${what} at ${width}`).toEqual([]);
      }
      await page.setViewportSize({ width: 1440, height: 820 });
    };
    await looks('the first visit');
    await page.getByRole('tab', { name: 'Lens' }).click();
    await expect(page.getByRole('gridcell').first()).toBeVisible(SLOW);
    await looks('the lens and its example');
    await page.getByRole('button', { name: 'Take the tour' }).click();
    await expect(page.getByRole('gridcell').first()).toBeVisible(SLOW);
    await looks('the first stop');
    await page.getByRole('button', { name: 'Skip this stop' }).click();
    await expect(page.getByRole('option', { name: /^head 5\.3/ })).toBeVisible(SLOW);
    await looks('the second stop', [1440, 390]);
    await page.getByRole('button', { name: 'Skip this stop' }).click();
    await expect(page.getByRole('slider').first()).toBeVisible();
    await looks('the third stop');
    await page.getByRole('button', { name: 'Skip this stop' }).click();
    await expect(page.getByText(/^96 cells/)).toBeVisible(SLOW);
    await looks('the fourth stop', [1440, 390]);
  });
}
