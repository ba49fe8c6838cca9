/** Raw, folded, folded and centred: chosen on the page by keyboard, told by the badge, kept over a reload, the same predictions throughout. */
import type { Page } from '@playwright/test';
import { expect, openPage, test } from './fixtures';
import { drop, fixturePath, GPT2_ODD, inUse, readFiles } from './model';

const PROMPT = [0, 5, 9, 14, 3];
const AT = 'blocks.1.hook_resid_post';

/** Log-probabilities of every position, and the means of a stream's rows. */
const look = (page: Page): Promise<{ logProbs: number[]; means: number[]; badge: string }> =>
  page.evaluate(
    async ([prompt, at]) => {
      const { logits, taps } = await window.lab.run({ prompt, logits: 'all', taps: [at] });
      const rows = (tensor: { shape: number[]; data: Float32Array } | undefined): number[][] => {
        const width = tensor?.shape.at(-1) ?? 1;
        return Array.from({ length: tensor?.shape[0] ?? 0 }, (_, r) => [...(tensor?.data.subarray(r * width, (r + 1) * width) ?? [])]);
      };
      const logProbs = rows(logits).flatMap((row) => {
        const most = Math.max(...row);
        const log = most + Math.log(row.reduce((sum, x) => sum + Math.exp(x - most), 0));
        return row.map((x) => x - log);
      });
      const means = rows(taps[at]).map((row) => Math.abs(row.reduce((a, b) => a + b, 0) / row.length) / Math.max(...row.map(Math.abs)));
      return { logProbs, means, badge: window.lab.model()?.badge ?? '' };
    },
    [PROMPT, AT] as const,
  );
const furthest = (a: readonly number[], b: readonly number[]): number => Math.max(...a.map((x, i) => Math.abs(x - (b[i] ?? NaN))));

test('chosen on the page, on the badge, kept, and nothing predicted otherwise', async ({ page, site }) => {
  await openPage(page, site.url);
  await page.evaluate(() => window.lab.ready);
  await drop(page, readFiles(GPT2_ODD.map((file) => fixturePath('gpt2-odd', file))));
  await inUse(page, /GPT-2|gpt2/i);
  const banner = page.getByRole('banner');
  const level = page.getByRole('radiogroup', { name: 'Weights' });
  await expect(banner.getByText('raw weights, not folded, not centred')).toBeVisible();
  await expect(level.getByRole('radio', { name: 'Raw' })).toBeChecked();
  const prompt = page.getByRole('textbox', { name: 'Prompt' });
  const words = await prompt.inputValue();
  const raw = await look(page);
  expect(Math.max(...raw.means)).toBeGreaterThan(1e-3);

  // By keyboard: a step to the right, folded; another, centred as well.
  await level.getByRole('radio', { name: 'Raw' }).focus();
  await page.keyboard.press('ArrowRight');
  await expect(banner.getByText(/LN folded · value biases folded · not centred/)).toBeVisible();
  const folded = await look(page);
  expect(furthest(folded.logProbs, raw.logProbs)).toBeLessThan(1e-4);
  await page.keyboard.press('ArrowRight');
  const all = /LN folded · value biases folded · writing weights centred · unembedding centred/;
  await expect(banner.getByText(all)).toBeVisible();
  const centred = await look(page);
  expect(furthest(centred.logProbs, raw.logProbs)).toBeLessThan(1e-4);
  expect(Math.max(...centred.means)).toBeLessThan(1e-5);
  await expect(prompt).toHaveValue(words);
  await expect(page.getByRole('option', { name: 'f16' })).toBeDisabled();

  // The session keeps it; a session is written a moment after a change.
  await page.waitForTimeout(600);
  await page.reload();
  await page.evaluate(() => window.lab.ready);
  await expect(banner.getByText(all)).toBeVisible();
  await expect(level.getByRole('radio', { name: 'Centred' })).toBeChecked();
  expect((await look(page)).logProbs).toEqual(centred.logProbs);

  // A script says the same with its own words, and the page follows.
  const id = await page.evaluate(() => window.lab.model()?.id ?? '');
  const info = await page.evaluate((model) => window.lab.use(model, { fold: true }), id);
  expect(info.badge).toBe(folded.badge);
  expect(info.processing).toEqual({ foldLn: true, foldValueBiases: true, centerWritingWeights: false, centerUnembed: false });
  await expect(level.getByRole('radio', { name: 'Folded', exact: true })).toBeChecked();
  await page.evaluate((model) => window.lab.use(model, { foldLn: true }), id);
  await expect(level.getByRole('radio', { checked: true })).toHaveCount(0);
  await expect(page.getByText('A script set the switches one by one')).toBeVisible();

  // What does not go together is refused, and the model stays in use.
  const refused = await page.evaluate(
    (model) =>
      window.lab.use(model, { weights: 'f16', fold: true }).then(
        () => '',
        (error: { code: string }) => error.code,
      ),
    id,
  );
  expect(refused).toBe('option-unsupported');
  expect((await look(page)).badge).toContain('LN folded · value biases not folded');

  await level.getByText('Raw').click();
  await expect(banner.getByText('raw weights, not folded, not centred')).toBeVisible();
  expect((await look(page)).logProbs).toEqual(raw.logProbs);
});

test('a choice made while a model loads is about that model', async ({ page, site }) => {
  await openPage(page, site.url);
  await page.evaluate(() => window.lab.ready);
  await drop(page, readFiles(GPT2_ODD.map((file) => fixturePath('gpt2-odd', file))));
  await inUse(page, /GPT-2/);
  await drop(page, readFiles(['config.json', 'model.safetensors'].map((file) => fixturePath('toy-grok', file))));
  await inUse(page, /TransformerLens toy/);
  // As slow as a large model, until it is called off.
  await page.evaluate(() => {
    const use = window.lab.use.bind(window.lab);
    window.lab.use = async (id, options, job) => {
      await new Promise((ready) => {
        setTimeout(ready, 800);
        job?.signal?.addEventListener('abort', ready);
      });
      return use(id, options, job);
    };
  });
  await page.getByRole('button', { name: /^GPT-2/ }).click();
  await page.getByRole('radiogroup', { name: 'Weights' }).getByText('Folded').click();
  await expect(page.getByRole('banner').getByText(/^GPT-2 .* LN folded · value biases folded/)).toBeVisible();
  await expect(page.getByRole('radio', { name: 'Folded', exact: true })).toBeChecked();
});
