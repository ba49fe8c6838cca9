/** Labels as a person brings them, on the built site: dropped with a dictionary and packed as Neuronpedia has them, kept over a reload, found, taken out. */
import { gzipSync } from 'node:zlib';
import type { Page } from '@playwright/test';
import { demoAlone, expect, openPage, test } from './fixtures';
import { drop, inUse } from './model';
import { saelens } from './saelens';

// Many small steps, on a software renderer, perhaps beside other work.
test.setTimeout(240_000);

const TINY = { name: 'lanternwick/3-res-tiny', hook: 'blocks.3.hook_resid_post', dIn: 128, latents: 96, k: 8, model: 'lanternwick' };
const base64 = (data: string | Uint8Array): string => Buffer.from(data).toString('base64');
const TRUTH = { source: 'the ground truth', labels: [{ latent: 4, label: 'fog', f1: 0.9 }] };
const EXPLAINED = [3, 4, 95].map((index) =>
  JSON.stringify({
    ...{ modelId: 'lanternwick', layer: '3-res-tiny', index: String(index), description: `words of fôg ${index}` },
    ...{ explanationModelName: 'gpt-4o-mini', typeName: 'oai_token-act-pair', embedding: Array.from({ length: 256 }, Math.sin) },
  }),
);

async function demo(page: Page, url: string): Promise<void> {
  await openPage(page, url);
  await demoAlone(page);
  await inUse(page, /Lanternwick/);
}

test('dropped with a dictionary and packed, kept, found, taken out, gone with it', async ({ page, site }) => {
  await demo(page, site.url);
  await drop(page, [...saelens(TINY), { name: 'labels.json', data: base64(JSON.stringify(TRUTH)) }]);
  await expect(page.getByText(`One label for “${TINY.name}”, by the ground truth.`)).toBeVisible({ timeout: 60_000 });
  await drop(page, [{ name: 'batch-0.jsonl.gz', data: base64(gzipSync(EXPLAINED.join('\n'))) }]);
  await expect(page.getByText(`3 labels for “${TINY.name}”, by Neuronpedia · gpt-4o-mini · oai_token-act-pair.`)).toBeVisible();

  // A cut batch is refused by name, and changes nothing.
  await drop(page, [{ name: 'batch-1.jsonl', data: base64(`${EXPLAINED[0] ?? ''}\n{"modelId":`) }]);
  await expect(page.getByText('batch-1.jsonl, line 2, is not readable JSON')).toBeVisible();

  await page.reload();
  const found = await page.evaluate(async () => {
    const { lab } = window;
    await lab.ready;
    const [{ id: dictionary } = { id: '' }] = await lab.dictionaries();
    await lab.label({ dictionary, latent: 7, text: 'mine: Fog' });
    const labels = (await lab.labels(dictionary)).map(({ latent, text, score }) => [latent, text, score ?? null]);
    const byLabel = (await lab.findLatents({ dictionary, label: 'FOG' })).latents.map(({ latent }) => latent);
    const promotes = await lab.findLatents({ dictionary, promotes: ' fog', top: 5 });
    const [best = { latent: 0, score: NaN }] = promotes.latents;
    const page = await lab.latent({ dictionary, latent: best.latent, top: 2048 });
    const shown = page.promoted.find(({ piece }) => piece === ' fog')?.weight;
    const prompt = 'One foggy morning, Mara walked to the lighthouse.';
    const told: number[] = [];
    const fires = await lab.findLatents(
      { dictionary, here: { prompt, positions: [-1] }, not: [{ prompt, positions: [2, 3] }, { prompt: 'The town was quiet.' }] },
      { progress: (done) => void told.push(done) },
    );
    const { rows } = await lab.encode({ dictionary, prompt });
    const quiet = await lab.encode({ dictionary, prompt: 'The town was quiet.' });
    const similar = await lab.similar({ dictionary, latent: 7, other: dictionary, top: 2 });
    const exported = await (await lab.exportLabels(dictionary)).text();
    const special = new Set((await lab.special()).ids);
    const { ids } = await lab.tokenize('The town was quiet.');
    return {
      labels,
      byLabel,
      promotes,
      shown,
      fires,
      told,
      rows,
      rest: quiet.rows.filter((_, i) => !special.has(ids[i] ?? -1)),
      similar,
      exported,
      neighbours: (await lab.latent({ dictionary, latent: 7, top: 2 })).neighbours,
    };
  });
  expect(found.labels).toEqual([
    [3, 'words of fôg 3', null],
    [4, 'fog', 0.9],
    [4, 'words of fôg 4', null],
    [7, 'mine: Fog', null],
    [95, 'words of fôg 95', null],
  ]);
  expect(found.byLabel).toEqual([7, 4, 3, 95]);
  expect(found.promotes.latents).toHaveLength(5);
  expect(Math.abs((found.promotes.latents[0]?.score ?? NaN) / (found.shown ?? NaN) - 1)).toBeLessThan(1e-4);
  const resting = [found.rows[2], found.rows[3], ...found.rest].flatMap((row) => row ?? []);
  const wanted = (found.rows.at(-1) ?? [])
    .map(([latent, value]) => value - Math.max(0, ...resting.filter(([other]) => other === latent).map(([, a]) => a)))
    .filter((score) => score > 0)
    .sort((a, b) => b - a);
  expect(found.fires.of).toBe(wanted.length);
  expect(wanted.length).toBeGreaterThan(0);
  found.fires.latents.forEach(({ score }, i) => expect(score).toBeCloseTo(wanted[i] ?? NaN, 3));
  expect(found.told).toEqual([1, 2, 3]);
  expect(found.similar.map(({ latent }) => latent)).toEqual(found.neighbours.map(({ latent }) => latent));
  expect(JSON.parse(found.exported)).toMatchObject({ source: 'you', labels: [{ latent: 7, label: 'mine: Fog' }] });

  // Gone with the dictionary; what was exported finds it again when it is back.
  await page.evaluate(async () => window.lab.remove((await window.lab.dictionaries())[0]?.id ?? ''));
  await drop(page, saelens(TINY));
  await expect.poll(() => page.evaluate(async () => (await window.lab.dictionaries()).length)).toBe(1);
  expect(await page.evaluate(async () => window.lab.labels((await window.lab.dictionaries())[0]?.id ?? ''))).toEqual([]);
  await drop(page, [{ name: 'labels (1).json', data: base64(found.exported) }]);
  await expect(page.getByText(`One label for “${TINY.name}”, by you.`)).toBeVisible();
});
