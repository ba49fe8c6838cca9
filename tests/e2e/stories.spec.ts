/**
 * First light: a real trained model dropped on the built page's own drop zone, held against its float64 reference; then the
 * same again from the shelf with the network unplugged.
 */
import { readFileSync } from 'node:fs';
import { askOffline, expect, openPage, sharedData, test, whySkipped } from './fixtures';
import { drop, inUse, readFiles, STORIES, storiesPath } from './model';

interface Golden {
  prompt: string;
  input_ids: number[];
  last_logits: number[];
  argmax_per_pos: number[];
  greedy_257: number[];
}

test.skip(sharedData === undefined, whySkipped);

test('dropped: last logits within 1e-4, argmax at every position, all 257 greedy tokens; then offline from the shelf', async ({
  page,
  site,
  context,
}) => {
  const golden = JSON.parse(readFileSync(storiesPath('golden.json'), 'utf8')) as Golden;
  await openPage(page, site.url);
  await page.evaluate(() => window.lab.ready);
  await drop(page, readFiles(STORIES.map(storiesPath)));
  await inUse(page, /Llama|stories/i);
  const read = await page.evaluate(async ({ prompt }) => {
    const { ids, logits } = await window.lab.run({ prompt, logits: 'all' });
    const last = await window.lab.run({ prompt, logits: 'last' });
    return { ids, logits: [...(logits?.data ?? [])], last: [...(last.logits?.data ?? [])], shape: last.logits?.shape };
  }, golden);
  expect(read.ids).toEqual(golden.input_ids);
  expect(read.shape).toEqual([1, 512]);
  expect(Math.max(...read.last.map((x, i) => Math.abs(x - (golden.last_logits[i] ?? NaN))))).toBeLessThanOrEqual(1e-4);
  const argmax = golden.input_ids.map((_, p) => {
    const row = read.logits.slice(p * 512, (p + 1) * 512);
    return row.indexOf(Math.max(...row));
  });
  expect(argmax).toEqual(golden.argmax_per_pos);

  const generate = (): Promise<number[]> =>
    page.evaluate(async ({ greedy_257, input_ids }) => {
      const ids = [...input_ids];
      const run = window.lab.generate({ prompt: input_ids, tokens: greedy_257.length - input_ids.length, temperature: 0, eos: false });
      for await (const step of run) ids.push(step.steered.id);
      return ids;
    }, golden);
  expect(golden.greedy_257.length).toBeGreaterThanOrEqual(257);
  expect(await generate()).toEqual(golden.greedy_257);

  expect((await askOffline(page)).ready).toBe(true);
  await page.waitForTimeout(500);
  await context.setOffline(true);
  await page.reload();
  await page.evaluate(() => window.lab.ready);
  await inUse(page, /Llama|stories/i);
  expect(await generate()).toEqual(golden.greedy_257);
});

test('counts: a decode step is what lab.explain says, from 10 to 20 tokens', async ({ page, site }) => {
  await openPage(page, site.url);
  await page.evaluate(() => window.lab.ready);
  await drop(page, readFiles(STORIES.map(storiesPath)));
  await inUse(page, /Llama|stories/i);
  const counted = await page.evaluate(async () => {
    const request = { prompt: 'Once upon a time', tokens: 40, temperature: 0, eos: false };
    const planned = await window.lab.explain(request);
    const run = window.lab.generate(request);
    let taken = 0;
    let before = (await window.lab.device()).counters;
    let after = before;
    for await (const step of run) {
      void step;
      taken++;
      if (taken === 10) before = (await window.lab.device()).counters;
      if (taken === 20) {
        after = (await window.lab.device()).counters;
        break;
      }
    }
    const change = (name: 'dispatches' | 'copies' | 'submits' | 'pipelines' | 'bytesWritten'): number => (after[name] - before[name]) / 10;
    return {
      planned: planned.filter((each) => each.kernel !== 'copy').length,
      copies: planned.filter((each) => each.kernel === 'copy').length,
      dispatches: change('dispatches'),
      copied: change('copies'),
      submits: change('submits'),
      pipelines: change('pipelines'),
      written: change('bytesWritten'),
    };
  });
  expect(counted.planned).toBeLessThanOrEqual(5 * 5 + 4);
  expect(counted.dispatches).toBe(counted.planned);
  expect(counted.copied).toBe(counted.copies);
  expect(counted).toMatchObject({ submits: 1, pipelines: 0, written: 0 });
});
