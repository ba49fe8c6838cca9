/** The GPU process dies in the middle of a text: the device comes back, the text goes on, and it is the text it would have been. */
import { expect, openPage, test } from './fixtures';
import { drop, fixturePath, GPT2_ODD, inUse, readFiles } from './model';

test('lost once during generation: session restored, text kept', async ({ page, site, context }) => {
  await openPage(page, site.url);
  await page.evaluate(() => window.lab.ready);
  await drop(page, readFiles(GPT2_ODD.map((file) => fixturePath('gpt2-odd', file))));
  await inUse(page, /GPT-2|gpt2/i);
  const session = await context.browser()?.newBrowserCDPSession();
  const crash = session ?? (await context.newCDPSession(page));
  await page.exposeFunction('crashGpu', async () => {
    await crash.send('Browser.crashGpuProcess' as never).catch(() => undefined);
  });
  const texts = await page.evaluate(async () => {
    const request = {
      prompt: [0, 5, 9, 14, 3],
      tokens: 14,
      temperature: 0,
      eos: false,
      baseline: true,
      edits: [{ kind: 'add' as const, at: 'blocks.1.hook_resid_pre', vector: Array.from({ length: 30 }, (_, i) => Math.sin(i)), scale: 1 }],
    };
    const write = async (breaks: boolean): Promise<{ ids: number[]; base: (number | undefined)[]; dials: unknown[]; ended: string }> => {
      const run = window.lab.generate(request);
      const ids: number[] = [];
      const base: (number | undefined)[] = [];
      const dials: unknown[] = [];
      for await (const step of run) {
        ids.push(step.steered.id);
        base.push(step.baseline?.id);
        dials.push(step.dials[0]);
        if (ids.length === 3) run.dial(0, { value: 2.5 });
        if (ids.length === 7 && breaks) await (window as unknown as { crashGpu(): Promise<void> }).crashGpu();
      }
      return { ids, base, dials, ended: await run.ended };
    };
    const whole = await write(false);
    const before = (await window.lab.device()).counters.submits;
    const broken = await write(true);
    // A fresh device counts from nothing.
    const fresh = (await window.lab.device()).counters.submits < before;
    const after = await window.lab.run({ prompt: request.prompt, logits: 'last' });
    return { whole, broken, fresh, after: after.logits?.data.length };
  });
  expect(texts.fresh, 'the device was really lost').toBe(true);
  expect(texts.broken.ids).toEqual(texts.whole.ids);
  expect(texts.broken.base).toEqual(texts.whole.base);
  expect(texts.broken.dials).toEqual(texts.whole.dials);
  expect(texts.broken.ended).toBe('length');
  expect(texts.after).toBe(97);
});
