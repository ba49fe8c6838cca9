/**
 * What is said about the shipped model, in small: `npm run world:check` asks thousands of prompts in a quarter of an hour; this asks every fact and
 * some of the rest at each change, so that an engine that reads the demo wrongly, or files that do not belong together, cannot land.
 */
import { facts, indirectObjects, inductionPrompts } from '../../tools/world/index';
import { compare, recall } from '../../tools/world/check/in-page';
import { expect, openPage, test } from './fixtures';

test('the shipped model knows its world', async ({ page, site }) => {
  test.setTimeout(240_000);
  await openPage(page, site.url, { demo: true });
  await page.evaluate(() => window.lab.ready);

  const asked = facts();
  const told = await page.evaluate(recall, asked);
  const wrong = asked.flatMap(({ prompt, answer }, i) => (told[i]?.right ? [] : [`${prompt}${answer}: ${told[i]?.said ?? ''}`]));
  expect(wrong.length / asked.length, wrong.join('\n')).toBeLessThanOrEqual(0.01);

  const given = indirectObjects(60, 77);
  const differences = await page.evaluate(
    compare,
    given.map(({ prompt, right, wrong: other }) => ({ prompt, right, wrong: other })),
  );
  expect(differences.filter(({ difference }) => difference > 0).length).toBeGreaterThanOrEqual(59);
  expect(differences.reduce((sum, { difference }) => sum + difference, 0) / given.length).toBeGreaterThanOrEqual(3);

  const names = await page.evaluate(recall, inductionPrompts(60, 77));
  expect(names.filter(({ right }) => right).length).toBeGreaterThanOrEqual(54);
});
