/**
 * What every end-to-end test gets: the built site on a plain server under a sub-path, a full Chromium with WebGPU and a profile folder of
 * the test's own (so that OPFS survives a restart of the browser), and a watch that fails the test when anything, the page, its workers or the
 * service worker, asks another origin for something, or when the page runs into its own policy.
 */
import { existsSync } from 'node:fs';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test as base, chromium, expect, type BrowserContext, type Page } from '@playwright/test';
import { findChromium, gpuFlags } from '../../tools/chromium.mjs';
import { serve } from '../../tools/serve.mjs';
import type { OfflineAnswer } from '../../workers/precache';

export { expect };

const dist = fileURLToPath(new URL('../../dist', import.meta.url));
const beside = process.env['LOUPE_SHARED_DATA'] ?? fileURLToPath(new URL('../../../shared/data', import.meta.url));

/** A folder of data that does not ship with the repo, or undefined: `test.skip(sharedData === undefined, whySkipped)`. */
export const sharedData: string | undefined = existsSync(beside) ? beside : undefined;
export const whySkipped = 'needs the folder shared/data beside the clone (or LOUPE_SHARED_DATA)';

export type Site = Awaited<ReturnType<typeof serve>>;

/** Serves the built site, or a copy of it, at a sub-path. `port` lets a test bring a server back at the address it had. */
export const serveSite = ({ root = dist, port = 0 } = {}): Promise<Site> => serve({ root, base: '/some/where/', port });

/** A copy of the built site that a test may change. */
export async function copySite(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'loupe-build-'));
  await cp(dist, folder, { recursive: true });
  return folder;
}

export interface Watch {
  /** Everything asked for so far, by anyone. */
  readonly requests: { url: string; by: 'page' | 'service worker' }[];
  /** The origins that are the site's own; a test that serves a site itself adds its origin. */
  readonly own: Set<string>;
  /** What went anywhere else. */
  foreign(): string[];
  /** What the policy refused. */
  readonly refused: string[];
}

export interface LaunchOptions {
  /** Instead of the switches that make WebGPU work. */
  args?: string[];
  bypassCSP?: boolean;
  serviceWorkers?: 'allow' | 'block';
}

interface Options {
  /** 'expected' in tests that try what must not work. */
  refusals: 'none' | 'expected';
}

interface Fixtures {
  watch: Watch;
  /** Starts a browser on the test's own profile. One at a time: close it before starting the next, which then finds what it kept. */
  launch(options?: LaunchOptions): Promise<BrowserContext>;
}

export const test = base.extend<Options & Fixtures & { watched: undefined }, { site: Site }>({
  refusals: ['none', { option: true }],

  site: [
    async ({ browserName: _ }, use) => {
      if (!existsSync(join(dist, 'sw.js'))) throw new Error('There is no built site: run npm run build first.');
      const site = await serveSite();
      await use(site);
      await site.close();
    },
    { scope: 'worker' },
  ],

  watch: async ({ site }, use) => {
    const requests: Watch['requests'] = [];
    const own = new Set([site.origin]);
    const local = /^(blob|data|about):/;
    const foreign = (): string[] => requests.map(({ url }) => url).filter((url) => !local.test(url) && !own.has(new URL(url).origin));
    await use({ requests, own, foreign, refused: [] });
  },

  launch: async ({ watch }, use) => {
    const profile = await mkdtemp(join(tmpdir(), 'loupe-e2e-'));
    const executablePath = findChromium();
    const open = new Set<BrowserContext>();
    await use(async (options = {}) => {
      const context = await chromium.launchPersistentContext(profile, {
        ...(executablePath === undefined ? {} : { executablePath }),
        args: gpuFlags(),
        ...options,
      });
      open.add(context);
      context.on('close', () => open.delete(context));
      context.on('request', (request) =>
        watch.requests.push({ url: request.url(), by: request.serviceWorker() ? 'service worker' : 'page' }),
      );
      context.on('console', (message) => {
        if (/Content Security Policy/i.test(message.text())) watch.refused.push(message.text());
      });
      return context;
    });
    for (const context of open) await context.close();
    await rm(profile, { recursive: true, force: true, maxRetries: 5 });
  },

  context: async ({ launch }, use) => {
    const context = await launch();
    await use(context);
  },

  page: async ({ context }, use) => {
    await use(context.pages()[0] ?? (await context.newPage()));
  },

  watched: [
    async ({ watch, refusals }, use) => {
      await use(undefined);
      expect(watch.foreign(), 'requests to another origin').toEqual([]);
      if (refusals === 'none') expect(watch.refused, 'refused by the policy').toEqual([]);
    },
    { auto: true },
  ],
});

/** The demo world's model on the bench and nothing else of it on the shelf: for a test that brings a dictionary or a text of its own. */
export async function demoAlone(page: Page): Promise<void> {
  await page.evaluate(async () => {
    await window.lab.ready;
    await window.lab.openDemo();
  });
  const rest = () => page.evaluate(async () => [...(await window.lab.dictionaries()), ...(await window.lab.texts())].map(({ id }) => id));
  await expect.poll(async () => (await rest()).length, { timeout: 60_000 }).toBe(4);
  await page.evaluate((ids) => Promise.all(ids.map((id) => window.lab.remove(id))), await rest());
  await expect.poll(rest).toEqual([]);
}

/** Opens the page, on an empty bench unless the demo is asked for, and waits until both of its workers run. */
export async function openPage(page: Page, url: string, { demo = false } = {}): Promise<void> {
  const asked = new URL(url);
  if (!demo) asked.searchParams.set('demo', 'none');
  await page.goto(asked.href);
  await bothWorkers(page);
}

export async function bothWorkers(page: Page): Promise<void> {
  await expect.poll(() => page.workers().length, { message: 'the engine and the files worker' }).toBeGreaterThanOrEqual(2);
  for (const worker of page.workers()) expect(await worker.evaluate(() => isSecureContext)).toBe(true);
}

/**
 * Asks the service worker, as the page does: a question that reaches a worker just as a new build takes its place is lost with it, and is asked
 * of the new one.
 */
export function askOffline(page: Page): Promise<OfflineAnswer> {
  return page.evaluate(async () => {
    for (;;) {
      const { active } = await navigator.serviceWorker.ready;
      if (!active) continue;
      const { port1, port2 } = new MessageChannel();
      const answer = await new Promise<OfflineAnswer | undefined>((resolve) => {
        const replaced = (): void => {
          if (active.state === 'redundant') resolve(undefined);
        };
        active.addEventListener('statechange', replaced);
        port1.onmessage = ({ data }: MessageEvent<OfflineAnswer>) => resolve(data);
        active.postMessage({ type: 'offline-ready?' }, [port2]);
        replaced();
      });
      port1.close();
      if (answer) return answer;
    }
  });
}
