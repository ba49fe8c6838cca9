/** A browser without WebGPU: the page says so and what to do, `lab.ready` rejects with a code, and nothing else breaks. */
import { expect, test } from './fixtures';

test('says what is missing and what to do', async ({ launch, site }) => {
  // No switch that lets WebGPU run on a software renderer: as on a machine without a usable GPU.
  const context = await launch({ args: ['--disable-gpu', '--disable-features=WebGPUService,WebGPU'] });
  const page = await context.newPage();
  const faults: string[] = [];
  page.on('pageerror', (error) => faults.push(error.message));
  await page.goto(site.url);
  const found = await page.evaluate(async () => {
    try {
      await window.lab.ready;
      return undefined;
    } catch (thrown) {
      const { code, hint } = thrown as Error & { code: string; hint: string };
      return { code, hint };
    }
  });
  expect(['webgpu-missing', 'adapter-missing']).toContain(found?.code);
  expect(found?.hint).not.toBe('');
  await expect(page.getByRole('heading', { name: /WebGPU|graphics|GPU/i }).first()).toBeVisible();
  await expect(page.getByText(/Chrome/).first()).toBeVisible();
  expect(faults).toEqual([]);
});
