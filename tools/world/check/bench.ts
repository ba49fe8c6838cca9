/**
 * The engine as the checks use it: pages of the built site in a browser, asked through `window.lab` alone. Several pages share a list
 * of questions, because one page leaves a core idle while its other half (the page's own thread, the file worker) works.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { chromium, type Browser, type Page } from 'playwright';
import { findChromium, gpuFlags } from '../../chromium.mjs';
import { serve } from '../../serve.mjs';
import type { Edit, ModelInfo } from '../../../workers/api';
import * as inPage from './in-page';

/** Edits as they travel to the page: plain arrays. */
export type PlainEdit = Edit;

export interface Told {
  prompt: string;
  /** With the space before it. */
  answer: string;
  edits?: PlainEdit[];
}
export interface Compared {
  prompt: string;
  right: string;
  wrong: string;
  edits?: PlainEdit[];
}
export interface Continued {
  prompt: string;
  tokens: number;
  seed: number;
  temperature: number;
  edits?: PlainEdit[];
  stop?: string[];
}
export interface Continuation {
  text: string;
  ended: string;
  tokens: number;
}

export interface Opening {
  /** The folder that is served. */
  dist: string;
  /** A folder with a model to open instead of what the page has on its bench when it is ready. */
  model?: string;
  pages: number;
}

export class Benches {
  private constructor(
    private readonly browser: Browser,
    private readonly site: { close(): Promise<void> },
    private readonly pages: readonly Page[],
    readonly model: ModelInfo,
    readonly adapter: string,
  ) {}

  /** Starts the browser; ready when a model is on the bench of every page. */
  static async open({ dist, model, pages: count }: Opening): Promise<Benches> {
    const site = await serve({ root: dist });
    const executablePath = findChromium();
    const browser = await chromium.launch({ ...(executablePath === undefined ? {} : { executablePath }), args: gpuFlags() });
    const files =
      model === undefined ? [] : readdirSync(model).map((name) => ({ name, base64: readFileSync(join(model, name)).toString('base64') }));
    const pages: Page[] = [];
    let info: ModelInfo | undefined;
    for (let i = 0; i < count; i++) {
      const page = await (await browser.newContext()).newPage();
      page.on('pageerror', (error) => console.error(`  page: ${error.message}`));
      await page.goto(site.url);
      await page.waitForFunction(() => window.lab !== undefined);
      info = await page.evaluate(inPage.ready, files);
      pages.push(page);
    }
    const [first] = pages;
    if (!first || !info) throw new Error('No page was asked for.');
    return new Benches(browser, site, pages, info, await first.evaluate(async () => (await window.lab.device()).adapter));
  }

  async close(): Promise<void> {
    await this.browser.close();
    await this.site.close();
  }

  /** Every item, in portions, by whichever page is free; answers in the items' order. */
  async spread<I, O>(items: readonly I[], portion: number, ask: (page: Page, some: I[]) => Promise<O[]>): Promise<O[]> {
    const answers: O[] = [];
    let next = 0;
    const worker = async (page: Page): Promise<void> => {
      while (next < items.length) {
        const at = next;
        next += portion;
        const some = await ask(page, items.slice(at, at + portion));
        some.forEach((one, i) => (answers[at + i] = one));
      }
    };
    await Promise.all(this.pages.map(worker));
    return answers;
  }

  /** Is the answer, token by token, what the model holds likeliest, and is it at its end there? Also what it says instead. */
  recall(asked: readonly Told[]): Promise<{ right: boolean; said: string }[]> {
    return this.spread(asked, 24, (page, some) => page.evaluate(inPage.recall, some));
  }

  /** logit(right) − logit(wrong) at the last position, and whether `right` is the likeliest of all tokens. */
  compare(asked: readonly Compared[]): Promise<{ difference: number; first: boolean }[]> {
    return this.spread(asked, 24, (page, some) => page.evaluate(inPage.compare, some));
  }

  /** Texts sampled by lab.generate. An empty prompt is the one token that begins every text. */
  write(asked: readonly Continued[]): Promise<Continuation[]> {
    return this.spread(asked, 8, (page, some) => page.evaluate(inPage.write, some));
  }

  /** Mean activations [hooks][d_model] over the prompts' last positions, or over all of them but the first (BOS). */
  means(prompts: readonly string[], hooks: readonly string[], over: 'last' | 'all'): Promise<number[][]> {
    return this.spread(prompts, 24, (page, some) => page.evaluate(inPage.sums, { prompts: some, hooks, over })).then((parts) => {
      const [first] = parts;
      if (!first) throw new Error('no prompts');
      const count = parts.reduce((sum, part) => sum + part.count, 0);
      return hooks.map((_, h) =>
        Array.from(
          { length: first.sums[h]?.length ?? 0 },
          (__, i) => parts.reduce((sum, part) => sum + (part.sums[h]?.[i] ?? 0), 0) / count,
        ),
      );
    });
  }

  /** Activations [prompt][d_model] at a hook, at each prompt's last position. */
  lasts(prompts: readonly string[], hook: string): Promise<number[][]> {
    return this.spread(prompts, 24, (page, some) =>
      page.evaluate(inPage.sums, { prompts: some, hooks: [hook], over: 'last' as const }),
    ).then((parts) => parts.map(({ sums }) => sums[0] ?? []));
  }

  /** One question to one page. */
  ask<I, O>(question: (given: I) => Promise<O>, given: I): Promise<O> {
    const [page] = this.pages;
    if (!page) throw new Error('no page');
    return (page.evaluate as (question: (given: I) => Promise<O>, given: I) => Promise<O>)(question, given);
  }

  /** One question to every page; the first one's answer. */
  async everywhere<I, O>(question: (given: I) => Promise<O>, given: I): Promise<O> {
    const [answer] = await Promise.all(
      this.pages.map((page) => (page.evaluate as (question: (given: I) => Promise<O>, given: I) => Promise<O>)(question, given)),
    );
    if (answer === undefined) throw new Error('no page');
    return answer;
  }

  /** Whole questions, one item each, over all pages. */
  each<I, O>(items: readonly I[], question: (given: I) => Promise<O>): Promise<O[]> {
    return this.spread(items, 1, async (page, [one]) => [
      await (page.evaluate as (question: (given: I) => Promise<O>, given: I) => Promise<O>)(question, one as I),
    ]);
  }
}
