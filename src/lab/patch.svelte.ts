/**
 * The question that Patch asks: the prompt on the bench against a contrast, a metric that tells them apart, what is taken from one into the other, and where. Made with the
 * instrument; kept while the page lives, its choices over a reload.
 */
import type { Attribution, Lab, Metric, SweepPlan, SweepRequest } from '../../workers/api';
import type { Bench } from './bench.svelte';
import { align, type Token } from './contrast';
import { CONTRAST, GIFT, isExample } from './examples';
import { gridsOf, OVER, type GridKind, type Over } from './grids';
import { labError } from './jobs';
import { PatchAnswer, type Asked } from './patch-answer.svelte';
import { quoted } from './pieces';
import { troubleOf, type Trouble } from './trouble';

export type MetricKind = Metric['kind'];
export type Method = 'exact' | 'attribution' | 'both';
export type Take = 'other' | 'zero' | 'mean';
export interface Chosen {
  text: string;
  token?: { id: number; piece: string };
  problem: string;
}

const KEY = 'loupe.patch.1';
const NONE: Chosen = { text: '', problem: '' };

export class PatchStore {
  contrast = $state('');
  corrupted = $state.raw<Token[]>([]);
  metric = $state<MetricKind>('logit-diff');
  correct = $state.raw<Chosen>(NONE);
  wrong = $state.raw<Chosen>(NONE);
  direction = $state<SweepRequest['direction']>('denoise');
  over = $state<Over>('resid_pre');
  take = $state<Take>('other');
  method = $state<Method>('exact');
  #grid = $state<GridKind>('layer-position');
  plan = $state.raw<{ of: string; plan: SweepPlan } | undefined>();
  planProblem = $state.raw<Trouble | undefined>();
  textProblem = $state.raw<Trouble | undefined>();
  answer = $state.raw<PatchAnswer | undefined>();
  running = $state.raw<{ stage: string; done: number; of: number; secondsLeft?: number } | undefined>();
  problem = $state.raw<Trouble | undefined>();
  by = $state<'layer' | 'head'>('head');
  attribution = $state.raw<{ of: string; found: Attribution } | undefined>();
  attributionProblem = $state.raw<Trouble | undefined>();
  /** The pair whose answers the two tokens are, and whether a hand has chosen them. */
  #suggested = $state('');
  #abort: AbortController | undefined;
  #read = 0;
  #planned = 0;

  constructor(
    private readonly lab: Lab,
    private readonly bench: Pick<Bench, 'prompt' | 'machine' | 'dials'>,
  ) {}

  clean: Token[] = $derived.by(() => this.bench.prompt.tokens.map(({ id, piece }) => ({ id, piece })));
  alignment = $derived.by(() => align(this.clean, this.corrupted));
  grids: GridKind[] = $derived(gridsOf(this.over));
  grid: GridKind = $derived(this.grids.find((each) => each === this.#grid) ?? this.grids[0] ?? 'layer-position');
  choose(grid: GridKind): void {
    this.#grid = grid;
  }
  /** The model has been asked for the two answers, or a hand has given them. */
  get asked(): boolean {
    return this.#suggested === this.pair;
  }
  /** The pair as one value. */
  pair: string = $derived.by(() => JSON.stringify([this.clean.map(({ id }) => id), this.corrupted.map(({ id }) => id)]));

  metricNow: Metric | undefined = $derived.by(() => {
    const [correct, wrong] = [this.correct.token, this.wrong.token];
    if (this.metric === 'kl') return { kind: 'kl' };
    if (!correct) return undefined;
    if (this.metric === 'logit-diff') return wrong && { kind: 'logit-diff', correct: correct.id, wrong: wrong.id };
    return { kind: this.metric, token: correct.id };
  });
  /** The metric in words. */
  said: string = $derived.by(() => {
    const [correct, wrong] = [this.correct.token, this.wrong.token].map((token) => quoted((token?.piece ?? '').trim()));
    if (this.metric === 'kl') return 'KL to the prompt’s own run';
    if (this.metric === 'logit-diff') return `logit ${correct} − logit ${wrong}`;
    return `${this.metric === 'log-prob' ? 'log-probability' : 'probability'} of ${correct}`;
  });
  request: Asked['request'] | undefined = $derived.by(() => {
    const metric = this.metricNow;
    if (!metric || this.clean.length === 0 || this.corrupted.length === 0 || this.alignment.problem) return undefined;
    return {
      clean: this.clean.map(({ id }) => id),
      corrupted: this.corrupted.map(({ id }) => id),
      metric,
      direction: this.direction,
      over: this.over,
      grid: this.grid,
      ...(this.take === 'other' ? {} : { ablate: this.take }),
      ...(this.bench.dials.active ? { edits: this.bench.dials.edits() } : {}),
    };
  });
  key: string = $derived(JSON.stringify(this.request ?? null));
  planNow: SweepPlan | undefined = $derived(this.plan?.of === this.key ? this.plan.plan : undefined);
  /** The answer is about another question than the one that stands above it. */
  stale: boolean = $derived.by(() => this.answer !== undefined && JSON.stringify(this.answer.asked.request) !== this.key);

  /** Tokens of the contrast. */
  async read(): Promise<void> {
    const ticket = ++this.#read;
    if (!this.bench.machine.model || this.contrast === '') {
      this.corrupted = [];
      return;
    }
    try {
      const { ids, pieces } = await this.lab.tokenize(this.contrast);
      if (ticket !== this.#read) return;
      this.textProblem = undefined;
      if (ids.length === this.corrupted.length && ids.every((id, i) => id === this.corrupted[i]?.id)) return;
      this.corrupted = ids.map((id, i) => ({ id, piece: pieces[i] ?? '' }));
    } catch (thrown) {
      if (ticket !== this.#read) return;
      this.textProblem = troubleOf(thrown);
      this.corrupted = [];
    }
  }

  /** The two answers, as the model itself has them: what it says after the prompt, and what after the contrast. */
  async suggest(): Promise<void> {
    const { pair } = this;
    if (this.#suggested === pair || this.clean.length === 0 || this.corrupted.length === 0 || this.alignment.problem) return;
    try {
      const asked = [this.clean, this.corrupted].map((tokens) => ({ prompt: tokens.map(({ id }) => id), logits: { top: 2 } }));
      const [clean = [], corrupted = []] = (await this.lab.batch(asked)).map(({ top }) => top?.ids.at(-1) ?? []);
      const right = clean[0];
      const other = corrupted[0] === right ? clean[1] : corrupted[0];
      if (right === undefined || other === undefined) return;
      const [correct, wrong] = await Promise.all([this.lab.token(right), this.lab.token(other)]);
      if (pair !== this.pair) return;
      this.#suggested = pair;
      this.correct = { text: correct.piece, token: correct, problem: '' };
      this.wrong = { text: wrong.piece, token: wrong, problem: '' };
    } catch (thrown) {
      this.problem = troubleOf(thrown);
    }
  }

  /** A hand chooses an answer. Words are tried with their leading space first, as they stand in running text. */
  async answerIs(which: 'correct' | 'wrong', text: string): Promise<void> {
    this.#suggested = this.pair;
    this[which] = { text, problem: '' };
    if (text === '') return;
    const spaced = text.startsWith(' ') ? text : ` ${text}`;
    try {
      const token = await this.lab.token(spaced).catch(() => this.lab.token(text));
      if (this[which].text === text) this[which] = { text, token, problem: '' };
    } catch (thrown) {
      if (this[which].text === text) this[which] = { text, problem: labError(thrown).message };
    }
  }

  /** What it would take; nothing is run. */
  async replan(): Promise<void> {
    const { request, key } = this;
    if (!request || this.plan?.of === key) return;
    const ticket = ++this.#planned;
    try {
      const plan = await this.lab.planSweep(request);
      if (ticket === this.#planned) this.plan = { of: key, plan };
      if (ticket === this.#planned) this.planProblem = undefined;
    } catch (thrown) {
      if (ticket === this.#planned) this.planProblem = troubleOf(thrown);
    }
  }

  async run(): Promise<void> {
    const { request, method } = this;
    const { model } = this.bench.machine;
    if (!request || !model || this.running) return;
    const asked: Asked = { request, clean: this.clean, corrupted: this.corrupted, said: this.said, model: model.name };
    const abort = (this.#abort = new AbortController());
    this.problem = undefined;
    this.running = { stage: 'Patching', done: 0, of: this.planNow?.cells ?? 0 };
    const began = performance.now();
    const progress = (stage: string) => (done: number, of: number) => {
      const left = done > 0 ? ((performance.now() - began) / done) * (of - done) : Number.NaN;
      this.running = { stage, done, of, ...(Number.isFinite(left) ? { secondsLeft: left / 1000 } : {}) };
    };
    try {
      const ask = (kind: 'exact' | 'attribution', stage: string) =>
        this.lab.sweep({ ...request, method: kind }, { signal: abort.signal, progress: progress(stage) });
      const approximate = method === 'exact' ? undefined : await ask('attribution', 'Approximating');
      const exact = method === 'attribution' ? undefined : await ask('exact', 'Patching');
      const set = this.answer && sameRuns(this.answer.asked, asked) ? this.answer.set : [];
      this.answer = new PatchAnswer(this.lab, asked, exact, approximate);
      this.answer.set = set;
      // Where the answer is read off: in a map that does not fit, that column is brought in sight.
      this.bench.prompt.selected ??= this.clean.length - 1;
    } catch (thrown) {
      this.problem = troubleOf(thrown);
    } finally {
      this.running = undefined;
    }
  }
  cancel(): void {
    this.#abort?.abort();
  }

  attributionKey: string = $derived.by(() =>
    JSON.stringify([this.request?.clean, this.metricNow, this.by, this.bench.dials.active && this.request?.edits]),
  );
  /** Which parts write the answer's logit, on the prompt itself. */
  async attribute(): Promise<void> {
    const { metricNow: metric, attributionKey: of, by, clean } = this;
    if (!metric || clean.length === 0 || this.attribution?.of === of) return;
    try {
      const edits = this.bench.dials.active ? { edits: this.bench.dials.edits() } : {};
      const found = await this.lab.attribute({ prompt: clean.map(({ id }) => id), metric, by, ...edits });
      if (of !== this.attributionKey) return;
      this.attribution = { of, found };
      this.attributionProblem = undefined;
    } catch (thrown) {
      if (of === this.attributionKey) this.attributionProblem = troubleOf(thrown);
    }
  }

  /** The demo's own pair, where the bench holds nothing of the person's. */
  example(): boolean {
    const { prompt } = this.bench;
    if (prompt.chatting || !isExample(prompt.text)) return false;
    prompt.text = GIFT.prompt;
    this.contrast = CONTRAST.prompt;
    return true;
  }

  save(): void {
    const { contrast, metric, direction, over, take, method } = this;
    try {
      localStorage.setItem(KEY, JSON.stringify({ contrast, metric, direction, over, take, method, grid: this.#grid }));
    } catch {
      // Not kept; nothing that is on the screen is lost.
    }
  }
  /** What another version may have written is not trusted. */
  restore(): void {
    let saved: Record<string, unknown> = {};
    try {
      const value: unknown = JSON.parse(localStorage.getItem(KEY) ?? '{}');
      if (typeof value === 'object' && value !== null) saved = value as Record<string, unknown>;
    } catch {
      return;
    }
    const pick = <T extends string>(name: string, all: readonly T[], otherwise: T): T =>
      all.find((each) => each === saved[name]) ?? otherwise;
    if (typeof saved['contrast'] === 'string') this.contrast = saved['contrast'];
    this.metric = pick('metric', ['logit-diff', 'log-prob', 'probability', 'kl'], this.metric);
    this.direction = pick('direction', ['denoise', 'noise'], this.direction);
    this.over = pick(
      'over',
      OVER.map(({ value }) => value),
      this.over,
    );
    this.take = pick('take', ['other', 'zero', 'mean'], this.take);
    this.method = pick('method', ['exact', 'attribution', 'both'], this.method);
    this.#grid = pick('grid', ['layer-position', 'layer-head', 'layer-position-head', 'head-dest-src'], this.#grid);
  }
}

/** A set may be carried over to another grid of the same two runs. */
function sameRuns(a: Asked, b: Asked): boolean {
  const of = ({ request: { clean, corrupted, metric, direction, ablate, edits } }: Asked) =>
    JSON.stringify([clean, corrupted, metric, direction, ablate, edits]);
  return of(a) === of(b);
}

const made = new WeakMap<Bench, PatchStore>();

/** The same for a bench, however often the instrument is opened. */
export function patchOf(bench: Bench): PatchStore {
  const found = made.get(bench);
  if (found) return found;
  // In a root of its own: what is derived in a component would end with it.
  $effect.root(() => {
    const store = new PatchStore(bench.lab, bench);
    store.restore();
    made.set(bench, store);
  });
  return patchOf(bench);
}
