/** Models for end-to-end tests: real files as a person drops them, and small made-up ones with known weights. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import { expect, type Page } from '@playwright/test';
import { sharedData } from './fixtures';

export interface DroppedFile {
  name: string;
  /** base64 */
  data: string;
}

export const STORIES = ['config.json', 'generation_config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'];
export const storiesPath = (file: string): string => join(sharedData ?? '', 'stories260K', file);
export const fixturePath = (name: string, file: string): string =>
  fileURLToPath(new URL(`../golden/fixtures/${name}/${file}`, import.meta.url));

export const GPT2_ODD = ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'];

export const readFiles = (paths: readonly string[]): DroppedFile[] =>
  paths.map((path) => ({ name: path.slice(path.lastIndexOf('/') + 1), data: readFileSync(path).toString('base64') }));

/** Drops files on the page's own drop zone, with the events that a browser sends. */
export async function drop(page: Page, files: readonly DroppedFile[]): Promise<void> {
  const transfer = await page.evaluateHandle((list) => {
    const made = new DataTransfer();
    for (const { name, data } of list) made.items.add(new File([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], name));
    return made;
  }, files);
  const zone = page.getByText('Nothing leaves this tab.').first();
  for (const type of ['dragenter', 'dragover', 'drop']) await zone.dispatchEvent(type, { dataTransfer: transfer });
}

/** Waits until a model is in use, as the top bar says. */
export async function inUse(page: Page, name: RegExp): Promise<void> {
  await expect(page.getByRole('banner').getByText(name).first()).toBeVisible({ timeout: 60_000 });
}
