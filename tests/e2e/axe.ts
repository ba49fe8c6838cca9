/** What axe has to say about the page as it stands, a line a complaint. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Page } from '@playwright/test';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

interface Found {
  violations: { id: string; nodes: { html: string }[] }[];
}

export async function complaints(page: Page): Promise<string[]> {
  await page.evaluate(`(() => { ${axe}; })()`);
  const { violations } = await page.evaluate<Found>(`axe.run(document, { resultTypes: ['violations'] })`);
  return violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html.slice(0, 160) ?? ''}`);
}
