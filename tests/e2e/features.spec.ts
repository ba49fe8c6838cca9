/** Features as a person uses it: a dictionary is dropped, read by keyboard, turned up, kept over a reload, and removed. */
import type { Page } from '@playwright/test';
import { number } from '../../src/lab/format';
import { shown } from '../../src/lab/pieces';
import { complaints } from './axe';
import { demoAlone, expect, openPage, test } from './fixtures';
import { drop, fixturePath, GPT2_ODD, inUse, readFiles } from './model';
import { saelens } from './saelens';

// Many small steps, on a software renderer, perhaps beside other work.
test.setTimeout(240_000);

const PROMPT = 'One foggy morning, Mara walked to the lighthouse.';
const TINY = { name: 'tiny-res-3', hook: 'blocks.3.hook_resid_post', dIn: 128, latents: 96, k: 8, model: 'lanternwick' };
const SLOW = { timeout: 60_000 };

const shelf = (page: Page) => page.getByRole('complementary', { name: 'Shelf' });
const dials = (page: Page) => page.getByRole('complementary', { name: 'Dials' });
const active = (page: Page) => page.getByRole('listbox', { name: 'Latents of the selected token' });
const chosen = (page: Page) => page.getByRole('region', { name: 'The chosen latent' });

async function demo(page: Page, url: string): Promise<void> {
  await openPage(page, url);
  await demoAlone(page);
  await inUse(page, /Lanternwick/);
  await page.getByRole('textbox', { name: 'Prompt' }).fill(PROMPT);
}

test('dropped, read by keyboard, turned up, kept, removed', async ({ page, site }) => {
  await demo(page, site.url);
  await page.getByRole('tab', { name: 'Features' }).click();
  await expect(page.getByText('rewrites one place of a model as a few active latents')).toBeVisible();
  await page.getByRole('tab', { name: 'Generate' }).click();

  // Dropped: it lies on the shelf, and Features opens on it.
  await drop(page, saelens(TINY));
  const item = shelf(page).getByRole('button', { name: `Open in Features: ${TINY.name}` });
  await expect(item).toContainText('TopK · 96 latents');
  await expect(item).toContainText('layer 3 · after the layer');
  await expect(page.getByRole('tab', { name: 'Features' })).toHaveAttribute('aria-selected', 'true');
  await expect(active(page)).toBeVisible(SLOW);

  // By keyboard to the last token: what is shown is what lab.encode says.
  const prompt = page.getByRole('listbox', { name: 'Prompt tokens' });
  await prompt.locator('[tabindex="0"]').focus();
  await page.keyboard.press('End');
  const read = await page.evaluate(async (text) => {
    const [dictionary] = await window.lab.dictionaries();
    const id = dictionary?.id ?? '';
    const { ids } = await window.lab.tokenize(text);
    return { id, ids, rows: await window.lab.encode({ dictionary: id, prompt: ids }) };
  }, PROMPT);
  const last = read.ids.length - 1;
  const row = read.rows.rows[last] ?? [];
  const on = (latent: number): number => read.rows.rows.filter((each) => each.some(([n]) => n === latent)).length;
  expect(row.length).toBeGreaterThan(1);
  const said = row.map(([latent, value]) => `latent ${latent} ${number(value)} on ${on(latent)} of ${read.ids.length} tokens`);
  const names = () =>
    active(page)
      .getByRole('option')
      .evaluateAll((all) => all.map((each) => (each.textContent ?? '').trim().replace(/\s+/g, ' ')));
  await expect.poll(names).toEqual(said);
  await expect(page.getByRole('region', { name: 'Active latents' })).toContainText(`position ${last}`);
  await page.getByText('By rarity').click();
  await expect.poll(async () => (await names()).toSorted()).toEqual(said.toSorted());
  const [rarest = ''] = await names();
  expect(on(Number(/\d+/.exec(rarest)?.[0]))).toBe(Math.min(...row.map(([latent]) => on(latent))));
  await page.getByText('By value').click();

  // Down the list: a latent is chosen, the text is coloured by it, and its weights are read out.
  await active(page).locator('[tabindex="0"]').focus();
  await page.keyboard.press('ArrowDown');
  const [latent = 0] = row[1] ?? [];
  await expect(
    chosen(page)
      .getByRole('heading', { name: `Latent ${latent}`, exact: false })
      .first(),
  ).toBeVisible();
  const info = await page.evaluate(({ id, latent }) => window.lab.latent({ dictionary: id, latent, top: 8 }), { id: read.id, latent });
  const promoted = chosen(page).getByRole('list', { name: 'Promoted tokens' }).getByRole('listitem');
  await expect(promoted).toHaveCount(8);
  for (const [i, { piece, weight }] of info.promoted.entries()) {
    await expect(promoted.nth(i)).toContainText(shown(piece, false).text.trim());
    await expect(promoted.nth(i)).toContainText(number(weight));
  }
  const along = read.rows.rows.map((each) => each.find(([n]) => n === latent)?.[1] ?? 0);
  const strip = chosen(page).getByRole('listbox', { name: `Activation of latent ${latent}` });
  await expect(strip.getByRole('option').nth(last)).toHaveAttribute('aria-label', new RegExp(`activation ${number(along[last] ?? NaN)}`));
  expect(await complaints(page)).toEqual([]);

  // A neighbour and back, then up: a dial at four times its largest activation, its slider focused.
  const neighbour = chosen(page).getByRole('list', { name: 'Neighbours' }).getByRole('button').first();
  await expect(neighbour).toHaveAccessibleName(new RegExp(`Go to latent ${info.neighbours[0]?.latent}`));
  await page.getByRole('button', { name: 'Turn it up' }).focus();
  await page.keyboard.press('Enter');
  const slider = dials(page).getByRole('slider');
  await expect(slider).toBeFocused();
  // The BOS is no part of what it is measured by.
  const most = Number((4 * Math.max(...along.slice(1))).toPrecision(2));
  expect(Number(await slider.inputValue())).toBeCloseTo(most, 3);
  expect(Number(await slider.getAttribute('max'))).toBeCloseTo(2 * most, 3);
  await expect(page.getByRole('radiogroup', { name: 'Which model' })).toBeVisible(SLOW);

  // The text is another with it, and its strongest latents are told while it is written.
  await page.getByRole('tab', { name: 'Generate' }).click();
  await page.getByRole('spinbutton', { name: 'Tokens to write' }).fill('16');
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Generate', exact: true }).click();
  const live = page.getByRole('group', { name: 'Live latents' });
  await expect(live.getByRole('button')).toHaveCount(3, SLOW);
  await expect(page.getByRole('button', { name: 'Continue' })).toBeVisible(SLOW);
  const column = (name: string): Promise<string> => page.getByRole('listbox', { name }).innerText();
  expect(await column('Steered text')).not.toBe(await column('Baseline text'));
  await expect(live.getByRole('button').first()).toHaveAccessibleName(new RegExp(`^latent ${latent} `));
  expect(await complaints(page)).toEqual([]);
  await live.getByRole('switch').click();
  await expect(live.getByRole('button')).toHaveCount(0);
  await live.getByRole('switch').click();
  await live.getByRole('button').first().click();

  // Kept over a reload: the instrument, the dictionary, the latent and the dial.
  await expect(chosen(page)).toBeVisible(SLOW);
  await page.waitForTimeout(600);
  await page.reload();
  await page.evaluate(() => window.lab.ready);
  await expect(
    chosen(page)
      .getByRole('heading', { name: `Latent ${latent}` })
      .first(),
  ).toBeVisible(SLOW);
  await expect(active(page)).toBeVisible(SLOW);
  expect(Number(await slider.inputValue())).toBeCloseTo(most, 3);

  // Another model: it does not fit, says so, and its dial rests.
  await drop(page, readFiles(GPT2_ODD.map((file) => fixturePath('gpt2-odd', file))));
  await expect(item).toContainText('does not fit the model in use', SLOW);
  await expect(page.getByText(`${TINY.name} belongs to the model lanternwick`)).toBeVisible(SLOW);
  await expect(dials(page).getByText('rests: its dictionary does not fit')).toBeVisible();
  expect(await complaints(page)).toEqual([]);
  await page.getByRole('button', { name: /^Use .*lanternwick/i }).click();
  await inUse(page, /Lanternwick/);

  // Removed, after asking: from the shelf, from the bench, and its dial with it.
  await shelf(page)
    .getByRole('button', { name: `Remove ${TINY.name}` })
    .click();
  await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click();
  await expect(item).toHaveCount(0);
  await expect(slider).toHaveCount(0);
  await expect(page.getByText('rewrites one place of a model as a few active latents')).toBeVisible();
  expect(await page.evaluate(() => window.lab.dictionaries())).toEqual([]);
});

test('by script: scores, one latent, a contract overruled; what runs on a dictionary ends with it', async ({ page, site }) => {
  await demo(page, site.url);
  await drop(page, saelens(TINY));
  await expect(active(page)).toBeVisible(SLOW);
  const found = await page.evaluate(async (prompt) => {
    const { lab } = window;
    const [{ id } = { id: '' }] = await lab.dictionaries();
    const told: number[] = [];
    const scores = await lab.evaluate({ dictionary: id, text: [prompt, prompt.repeat(60)] }, { progress: (done) => void told.push(done) });
    const stop = new AbortController();
    const code = (work: Promise<unknown>): Promise<string> => work.then(String, (thrown: unknown) => (thrown as { code: string }).code);
    const late = code(
      lab.evaluate(
        { dictionary: id, text: Array.from({ length: 20 }, () => prompt) },
        { signal: stop.signal, progress: () => stop.abort() },
      ),
    );
    const cancelled = await late;
    const range = await code(lab.latent({ dictionary: id, latent: 96 }));
    const { cosine, norm, neighbours } = await lab.latent({ dictionary: id, latent: 4, top: 3 });
    const info = await lab.overrideContract(id, { residual: 'centred' });
    const stream = lab.generate({ prompt, tokens: 40, watch: [id] });
    for await (const step of stream) {
      if (step.latents?.[id]) break;
    }
    const running = lab.generate({ prompt, tokens: 200, watch: [id], eos: false });
    const steps = running[Symbol.asyncIterator]();
    await steps.next();
    await lab.remove(id);
    return { scores, told, cancelled, range, cosine, norm, neighbours, info, ended: await running.ended };
  }, PROMPT);
  expect(found.scores['l0']).toBeGreaterThan(1);
  expect(found.scores['l0']).toBeLessThanOrEqual(TINY.k);
  expect(found.scores['ce_score']).toBeLessThan(1);
  expect(found.told.at(-1)).toBe(found.told.length);
  expect(found.told.length, 'the long text is read in pieces').toBeGreaterThan(2);
  expect(found.cancelled).toBe('cancelled');
  expect(found.range).toBe('latent-range');
  expect(found.cosine).toBeCloseTo(1, 4);
  expect(found.norm).toBeGreaterThan(0.5);
  expect(found.neighbours).toHaveLength(3);
  expect(found.info.contract['residual']).toBe('centred');
  expect(found.ended).toBe('cancelled');
});

test('the model’s own neurons: a layer chosen, a token’s neurons read, one turned up; kept, and another model’s are not these', async ({
  page,
  site,
}) => {
  await demo(page, site.url);
  await page.getByRole('tab', { name: 'Features' }).click();
  await page.getByRole('button', { name: 'Open MLP neurons' }).click();
  const layer = page.getByRole('combobox', { name: 'Layer' });
  await expect(layer).toHaveValue('3');
  await layer.selectOption('2');
  await expect(page.getByRole('combobox', { name: 'Dictionary' })).toHaveValue('neurons');
  await expect(active(page)).toBeVisible(SLOW);
  const prompt = page.getByRole('listbox', { name: 'Prompt tokens' });
  await prompt.locator('[tabindex="0"]').focus();
  await page.keyboard.press('End');

  // What is shown are the numbers above 0 of the hook itself, the largest first.
  const read = await page.evaluate(async (text) => {
    const { lab } = window;
    const { ids } = await lab.tokenize(text);
    const hook = 'blocks.2.mlp.hook_post';
    const tap = (await lab.run({ prompt: ids, taps: [hook], logits: 'none' })).taps[hook];
    const width = tap?.shape[1] ?? 0;
    const row = [...(tap?.data ?? [])].slice((ids.length - 1) * width);
    return { all: await lab.neurons(), shelf: await lab.dictionaries(), row };
  }, PROMPT);
  expect(read.all).toHaveLength(6);
  expect(read.shelf).toEqual([]);
  const wanted = [...read.row.entries()].filter(([, value]) => value > 0).sort((a, b) => b[1] - a[1]);
  await expect(page.getByRole('region', { name: 'Active latents' })).toContainText(`L0`);
  const names = () =>
    active(page)
      .getByRole('option')
      .evaluateAll((all) => all.map((each) => (each.textContent ?? '').trim().replace(/\s+/g, ' ')));
  await expect
    .poll(async () => (await names()).slice(0, 5).map((name) => name.split(' ').slice(1, 3).join(' ')))
    .toEqual(wanted.slice(0, 5).map(([neuron, value]) => `${neuron} ${number(value)}`));

  // One of them: its weights, and a dial.
  const [neuron = 0] = wanted[0] ?? [];
  await active(page).getByRole('option').first().click();
  await expect(
    chosen(page)
      .getByRole('heading', { name: `Neuron ${neuron}` })
      .first(),
  ).toBeVisible(SLOW);
  const info = await page.evaluate((latent) => window.lab.latent({ dictionary: 'neurons:blocks.2', latent, top: 8 }), neuron);
  const promoted = chosen(page).getByRole('list', { name: 'Promoted tokens' }).getByRole('listitem');
  await expect(promoted).toHaveCount(8);
  await expect(promoted.first()).toContainText(number(info.promoted[0]?.weight ?? NaN));
  await expect(chosen(page)).toContainText(`cos(W_in, W_out)`);
  expect(await complaints(page)).toEqual([]);
  await page.getByRole('button', { name: 'Turn it up' }).click();
  await expect(dials(page).getByText(`neuron ${neuron} · MLP neurons, layer 2`)).toBeVisible();
  await expect(page.getByRole('radiogroup', { name: 'Which model' })).toBeVisible(SLOW);

  // The text is another with it, and neurons are told while it is written.
  await page.getByRole('tab', { name: 'Generate' }).click();
  await page.getByRole('spinbutton', { name: 'Tokens to write' }).fill('8');
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Generate', exact: true }).click();
  const live = page.getByRole('group', { name: 'Live latents' });
  await expect(live.getByRole('button')).toHaveCount(3, SLOW);
  await expect(live.getByRole('button').first()).toHaveAccessibleName(new RegExp(`^latent ${neuron} `), SLOW);
  await expect(page.getByRole('button', { name: 'Continue' })).toBeVisible(SLOW);
  await live.getByRole('button').first().click();

  // Kept over a reload.
  await page.waitForTimeout(600);
  await page.reload();
  await page.evaluate(() => window.lab.ready);
  await expect(layer).toHaveValue('2', SLOW);
  await expect(
    chosen(page)
      .getByRole('heading', { name: `Neuron ${neuron}` })
      .first(),
  ).toBeVisible(SLOW);
  await expect(dials(page).getByRole('slider')).toHaveCount(1);

  // Another model’s neurons have the same name and are not the same.
  await drop(page, readFiles(GPT2_ODD.map((file) => fixturePath('gpt2-odd', file))));
  await expect(dials(page).getByText('rests: made for another model')).toBeVisible(SLOW);
});
