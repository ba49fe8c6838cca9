/** A dictionary whose files tell a wrong convention: the page says so by itself, one press puts it right, and each convention can be changed and taken back. */
import { readFileSync } from 'node:fs';
import type { Page } from '@playwright/test';
import { complaints } from './axe';
import { demoAlone, expect, openPage, test } from './fixtures';
import { drop, inUse, type DroppedFile } from './model';

// Each doubtful check reconstructs some hundred tokens a dozen times over, on a software renderer, perhaps beside other work.
test.setTimeout(360_000);

const SLOW = { timeout: 120_000 };

/** Trained on rows brought to mean 0 and deviation 1; its cfg.json says that nothing is done to them. */
function mistaken(): DroppedFile[] {
  const cfg = {
    architecture: 'topk',
    k: 16,
    d_in: 128,
    d_sae: 256,
    dtype: 'float16',
    device: 'cpu',
    apply_b_dec_to_input: true,
    normalize_activations: 'none',
    reshape_activations: 'none',
    metadata: {
      sae_lens_version: '6.0.0',
      hook_name: 'blocks.3.hook_resid_post',
      model_name: 'lanternwick',
      neuronpedia_id: 'mistaken',
      prepend_bos: true,
    },
  };
  const weights = readFileSync(new URL('../golden/fixtures/trained/topk-layernorm.safetensors', import.meta.url));
  return [
    { name: 'cfg.json', data: Buffer.from(JSON.stringify(cfg)).toString('base64') },
    { name: 'sae_weights.safetensors', data: weights.toString('base64') },
  ];
}

const contractOf = (page: Page): Promise<Record<string, unknown>> =>
  page.evaluate(async () => (await window.lab.dictionaries()).find(({ name }) => name === 'mistaken')?.contract ?? {});

test('a wrong convention is said, put right, and taken back', async ({ page, site }) => {
  await openPage(page, site.url);
  await demoAlone(page);
  await inUse(page, /Lanternwick/);
  await page.getByRole('textbox', { name: 'Prompt' }).fill('One foggy morning, Mara walked to the lighthouse.');
  await drop(page, mistaken());
  const warning = page.getByRole('status', { name: 'How it is read is doubtful' });
  await expect(warning).toContainText('mean 0 and deviation 1', SLOW);
  expect(await complaints(page)).toEqual([]);

  // Kept as it is: the warning goes, the numbers stay.
  const checked = page.getByText('tokens of plain text:');
  await warning.getByRole('button', { name: 'Keep as it is' }).click();
  await expect(warning).toHaveCount(0);
  await expect(checked).toContainText('kept as it is');

  // By hand, to something as wrong: the warning comes again, and one press puts it right.
  await page.getByText('Its contract: how').click();
  const editor = page.getByRole('group', { name: 'Conventions of mistaken' });
  await editor.getByRole('combobox', { name: 'BOS' }).selectOption({ label: 'not before its training texts' });
  await expect(editor).toContainText('the file says: before its training texts');
  await expect.poll(async () => (await contractOf(page))['prependBos']).toBe(false);
  await expect(warning).toBeVisible(SLOW);
  await warning.getByRole('button', { name: 'Use Normalised: each row, mean 0 and deviation 1' }).click();
  await expect(warning).toHaveCount(0);
  await expect(editor.getByRole('combobox', { name: 'Normalised' })).toHaveValue('layer_norm');
  await expect(checked).toBeVisible(SLOW);
  await expect(checked).not.toContainText('kept');
  expect(await contractOf(page)).toMatchObject({ normalisation: 'layer_norm', prependBos: false });
  expect(await complaints(page)).toEqual([]);

  // A number that cannot be is refused in words, and nothing is changed.
  await editor.getByRole('combobox', { name: 'Normalised' }).selectOption({ label: 'times a number' });
  const scale = editor.getByRole('spinbutton', { name: 'Scale' });
  await scale.fill('-2');
  await scale.press('Enter');
  await expect(editor.getByRole('alert')).toContainText('contract-invalid');
  expect((await contractOf(page))['scale']).toBe(1);
  await scale.fill('0.06');
  await scale.press('Enter');
  await expect.poll(async () => (await contractOf(page))['scale']).toBe(0.06);

  await editor.getByRole('button', { name: 'All as the file says' }).click();
  await expect.poll(async () => contractOf(page)).toMatchObject({ normalisation: 'none', scale: 1, prependBos: true });
  await expect(editor.getByRole('button')).toHaveCount(0);
});

test('by script: the same check, on a text of one’s own', async ({ page, site }) => {
  await openPage(page, site.url);
  await demoAlone(page);
  await inUse(page, /Lanternwick/);
  await drop(page, mistaken());
  await expect(page.getByRole('button', { name: 'Open in Features: mistaken' })).toBeVisible(SLOW);
  const found = await page.evaluate(async () => {
    const { lab } = window;
    // The demo's own stand beside it.
    const id = (await lab.dictionaries()).find(({ name }) => name === 'mistaken')?.id ?? '';
    const text = Array.from(
      { length: 12 },
      (_, i) => `One foggy morning, Mara walked to the lighthouse. Odo gave her ${i} lanterns and went home.`,
    );
    const wrong = await lab.checkContract({ dictionary: id, text });
    await lab.overrideContract(id, wrong.likely?.[0]?.change ?? {});
    const right = await lab.checkContract({ dictionary: id, text: text.join(' ') });
    const code = (work: Promise<unknown>): Promise<string> => work.then(String, (thrown: unknown) => (thrown as { code: string }).code);
    const stop = new AbortController();
    stop.abort();
    return {
      wrong,
      right,
      codes: [
        await code(lab.checkContract({ dictionary: id, text: '' })),
        await code(lab.checkContract({ dictionary: id, text: 3 as never })),
        await code(lab.checkContract({ dictionary: 'dictionary-none' })),
        await code(lab.checkContract({ dictionary: id }, { signal: stop.signal })),
      ],
    };
  });
  expect(found.wrong.ok).toBe(false);
  expect(found.wrong.likely?.[0]).toMatchObject({ field: 'normalisation', value: 'layer_norm' });
  expect(found.right.ok).toBe(true);
  expect(found.right.fvu).toBeLessThan(found.wrong.fvu / 2);
  expect(found.codes).toEqual(['prompt-empty', 'request-invalid', 'dictionary-unknown', 'cancelled']);
});
