/** A browser without the private file system: the model lives in memory, runs all the same, and the shelf says so. */
import { expect, openPage, test } from './fixtures';
import { drop, fixturePath, GPT2_ODD, inUse, readFiles } from './model';

test('without OPFS the model lives in memory, and the shelf says so', async ({ launch, site }) => {
  const context = await launch({ serviceWorkers: 'block' });
  // What such a browser does, put before the files worker's own code.
  await context.route(/files\.worker.*\.js$/, async (route) => {
    const response = await route.fetch();
    const body = `navigator.storage.getDirectory = () => Promise.reject(new DOMException('none here', 'SecurityError'));\n${await response.text()}`;
    await route.fulfill({ response, body });
  });
  const page = await context.newPage();
  await openPage(page, site.url);
  await page.evaluate(() => window.lab.ready);
  expect((await page.evaluate(() => window.lab.storage())).opfs).toBe(false);
  await drop(page, readFiles(GPT2_ODD.map((file) => fixturePath('gpt2-odd', file))));
  await inUse(page, /gpt2|GPT-2/i);
  await expect(page.getByText(/in memory/i).first()).toBeVisible();
  const { length, stored } = await page.evaluate(async () => {
    const [model] = (await window.lab.models()) as { stored?: string }[];
    const { logits } = await window.lab.run({ prompt: [0, 5, 9], logits: 'last' });
    return { length: logits?.data.length, stored: model?.stored };
  });
  expect(length).toBe(97);
  expect(stored).toBe('memory');
  await page.reload();
  await page.evaluate(() => window.lab.ready);
  expect(await page.evaluate(() => window.lab.models())).toEqual([]);
});
