/**
 * The question that Patch asks: the prompt on the bench against a contrast (or against itself noised, or a set of such pairs), a metric that tells them apart, what is
 * taken from one into the other, and where. Made with the instrument; kept while the page lives, its choices over a reload.
 */
import type { DictionaryInfo, Lab, Metric, SweepPlan, SweepRequest } from '../../workers/api';
import type { Bench } from './bench.svelte';
import { align, type Token } from './contrast';
import { CONTRAST, GIFT, isExample } from './examples';
import { gridsOf, OVER, type GridKind } from './grids';
import { labError } from './jobs';
import { PatchAnswer, type Asked } from './patch-answer.svelte';
import { NoiseChoice } from './patch-noise.svelte';
import { asked, PairSet, tokenOf } from './patch-pairs.svelte';
import { PathChoice } from './patch-path.svelte';
import { isPath, sameRuns, type Request } from './patch-question';
import { put, type Method, type Running } from './patch-run';
import { suggested } from './patch-suggest';
import { readJson } from './patch-kept';
import { patchLines } from './script-causal';
import { Writes } from './patch-writes.svelte';
import { quoted } from './pieces';
import { troubleOf, type Trouble } from './trouble';

export type MetricKind = Metric['kind'];
export type Take = 'other' | 'zero' | 'mean';
export interface Chosen {
  text: string;
  token?: { id: number; piece: string };
  problem: string;
}

const NONE: Chosen = { text: '', problem: '' };
type Around = Pick<Bench, 'prompt' | 'machine' | 'dials'> & Partial<Pick<Bench, 'features' | 'labels'>>;

export class PatchStore {
  contrast = $state('');
  corrupted = $state.raw<Token[]>([]);
  metric = $state<MetricKind>('logit-diff');
  correct = $state.raw<Chosen>(NONE);
  wrong = $state.raw<Chosen>(NONE);
  /** Where the metric is read; the last position without a choice. */
  position = $state<number | undefined>();
  direction = $state<SweepRequest['direction']>('denoise');
  /** What is patched: a kind of activation, or a dictionary's id. */
  over = $state<string>('resid_pre');
  take = $state<Take>('other');
  #method = $state<Method>('exact');
  #grid = $state<GridKind>('layer-position');
  readonly noise = new NoiseChoice();
  readonly path = new PathChoice();
  readonly pairs: PairSet;
  readonly writes: Writes;
  plan = $state.raw<{ of: string; plan: SweepPlan } | undefined>();
  planProblem = $state.raw<Trouble | undefined>();
  textProblem = $state.raw<Trouble | undefined>();
  answer = $state.raw<PatchAnswer | undefined>();
  running = $state.raw<Running | undefined>();
  problem = $state.raw<Trouble | undefined>();
  /** The pair whose answers the two tokens are, and whether a hand has chosen them. */
  #suggested = $state('');
  #abort: AbortController | undefined;
  #read = 0;
  #planned = 0;

  constructor(
    private readonly lab: Lab,
    private readonly bench: Around,
  ) {
    this.pairs = new PairSet(lab);
    this.writes = new Writes(lab, () => ({ prompt: this.clean.map(({ id }) => id), metric: this.metricNow, edits: this.#edits }));
  }

  clean: Token[] = $derived.by(() => this.bench.prompt.tokens.map(({ id, piece }) => ({ id, piece })));
  alignment = $derived.by(() => align(this.clean, this.corrupted));
  /** Averaged over a set of pairs; noise speaks of the prompt's own tokens, so it is asked of the prompt alone. */
  get many(): boolean {
    return this.pairs.on && !this.noise.on;
  }
  /** There is something to ask about: two texts that line up, a set of them, or a text to be noised. */
  ready: boolean = $derived.by(() => {
    if (this.many) return this.pairs.good.length > 0;
    if (this.noise.on) return this.clean.length > 0;
    return this.clean.length > 0 && this.corrupted.length > 0 && !this.alignment.problem;
  });
  /** The two texts whose tokens stand along the grid: the prompt's and its contrast's, or the first pair of the set. */
  texts: { clean: Token[]; corrupted: Token[] } = $derived.by(() => {
    const [first] = this.many ? this.pairs.good : [];
    return first ?? { clean: this.clean, corrupted: this.noise.on ? this.clean : this.corrupted };
  });
  get base(): Token[] {
    return this.texts.clean;
  }
  dictionaries: readonly DictionaryInfo[] = $derived.by(() => {
    const model = this.bench.machine.model?.id;
    return (this.bench.features?.dictionaries ?? []).filter(({ fits }) => model !== undefined && fits.includes(model));
  });
  /** The one whose latents are patched. */
  dictionary: DictionaryInfo | undefined = $derived.by(() => this.dictionaries.find(({ id }) => id === this.over));
  /** A dictionary that has left the shelf, or is of another model, gives way. */
  overNow: SweepRequest['over'] = $derived.by(() => {
    if (this.dictionary) return { dictionary: this.dictionary.id };
    return OVER.find(({ value }) => value === this.over)?.value ?? 'resid_pre';
  });
  grids: GridKind[] = $derived(gridsOf(this.overNow));
  grid: GridKind = $derived(this.grids.find((each) => each === this.#grid) ?? this.grids[0] ?? 'layer-position');
  choose(grid: GridKind): void {
    this.#grid = grid;
  }
  /** Gradients estimate grids; paths are only run. */
  get approximable(): boolean {
    return !this.path.on;
  }
  get method(): Method {
    return this.approximable ? this.#method : 'exact';
  }
  set method(method: Method) {
    this.#method = method;
  }
  /** The model has been asked for the two answers, or a hand has given them. */
  get asked(): boolean {
    return this.#suggested === this.pair;
  }
  /** What the two answers are about, as one value. */
  pair: string = $derived.by(() => {
    const other = this.noise.on ? 'noise' : this.corrupted.map(({ id }) => id);
    return JSON.stringify([this.clean.map(({ id }) => id), other, ...(this.at === undefined ? [] : [this.at])]);
  });
  /** Where it is read, where that is not the last position. */
  at: number | undefined = $derived.by(() => {
    const { position } = this;
    return position !== undefined && position < this.base.length - 1 ? position : undefined;
  });

  metricNow: Metric | undefined = $derived.by(() => {
    // Pairs that all have answers of their own need none besides.
    const [first] = this.many && this.pairs.good.every(({ correct, wrong }) => correct && wrong) ? this.pairs.good : [];
    const [correct, wrong] = [first?.correct ?? this.correct.token, first?.wrong ?? this.wrong.token];
    const position = this.at === undefined ? {} : { position: this.at };
    if (this.metric === 'kl') return { kind: 'kl', ...position };
    if (!correct) return undefined;
    if (this.metric === 'logit-diff') return wrong && { kind: 'logit-diff', correct: correct.id, wrong: wrong.id, ...position };
    return { kind: this.metric, token: correct.id, ...position };
  });
  /** The metric in words. */
  said: string = $derived.by(() => {
    const own = this.many && this.pairs.good.some(({ correct }) => correct);
    const [correct, wrong] = own ? ['right', 'wrong'] : [this.correct, this.wrong].map(({ token }) => quoted((token?.piece ?? '').trim()));
    const where = this.at === undefined ? '' : ` at position ${this.at}`;
    if (this.metric === 'kl') return `KL to the prompt’s own run${where}`;
    if (this.metric === 'logit-diff') return `logit ${correct} − logit ${wrong}${where}`;
    return `${this.metric === 'log-prob' ? 'log-probability' : 'probability'} of ${correct}${where}`;
  });
  get #edits() {
    return this.bench.dials.active ? this.bench.dials.edits() : undefined;
  }
  request: Request | undefined = $derived.by(() => {
    const base = this.metricNow;
    if (!base || !this.ready || this.uneven) return undefined;
    const edits = this.#edits;
    const common = { ...asked(this.many ? this.pairs.good : [this.texts], base), direction: this.direction, ...(edits ? { edits } : {}) };
    const { model } = this.bench.machine;
    if (this.path.on && !this.noise.on) {
      const receivers = model ? this.path.of(model) : [];
      if (receivers.length === 0) return undefined;
      return { ...common, receivers, ...(this.path.throughMlps ? { throughMlps: true } : {}) };
    }
    const noise = this.noise.of(this.clean.length);
    if (this.noise.on && !noise) return undefined;
    const put = this.take === 'other' || noise ? {} : { ablate: this.take };
    return { ...common, over: this.overNow, grid: this.grid, ...(noise ? { noise } : {}), ...put };
  });
  /** Pairs of unequal lengths have no positions in common: what to do is said. */
  uneven: string = $derived.by(() => {
    const lengths = this.pairs.good.map(({ clean }) => clean.length);
    const [least, most] = [Math.min(...lengths), Math.max(...lengths)];
    if (!this.many || least === most || this.path.on || !/position|dest/.test(this.grid)) return '';
    return `The pairs have ${least} to ${most} tokens, and this grid has a cell for each: take layer × head, or pairs that are as long.`;
  });
  key: string = $derived(JSON.stringify(this.request ?? null));
  /** What is planned: of both methods the exact one, which takes longer. */
  #planKey: string = $derived.by(() => `${this.method === 'attribution' ? 'attribution' : 'exact'} ${this.key}`);
  planNow: SweepPlan | undefined = $derived(this.plan?.of === this.#planKey ? this.plan.plan : undefined);
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

  /** The two answers, as the model itself has them. */
  async suggest(): Promise<void> {
    const { pair, at } = this;
    const noise = this.noise.on;
    if (this.#suggested === pair || this.clean.length === 0) return;
    if (!noise && (this.corrupted.length === 0 || this.alignment.problem)) return;
    try {
      const found = await suggested(this.lab, noise ? [this.clean] : [this.clean, this.corrupted], at);
      if (!found || pair !== this.pair) return;
      const [correct, wrong] = found;
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
    try {
      const token = await tokenOf(this.lab, text);
      if (this[which].text === text) this[which] = { text, token, problem: '' };
    } catch (thrown) {
      if (this[which].text === text) this[which] = { text, problem: labError(thrown).message };
    }
  }

  /** What it would take; nothing is run. Of a path there is no plan: a sender takes two runs. */
  async replan(): Promise<void> {
    const request = this.request;
    const of = this.#planKey;
    if (!request || isPath(request) || this.plan?.of === of) return;
    const ticket = ++this.#planned;
    try {
      const plan = await this.lab.planSweep(this.method === 'attribution' ? { ...request, method: 'attribution' } : request);
      if (ticket === this.#planned) this.plan = { of, plan };
      if (ticket === this.#planned) this.planProblem = undefined;
    } catch (thrown) {
      if (ticket === this.#planned) this.planProblem = troubleOf(thrown);
    }
  }

  async run(): Promise<void> {
    const { model } = this.bench.machine;
    if (!this.request || !model || this.running) return;
    const abort = (this.#abort = new AbortController());
    this.problem = undefined;
    this.running = { stage: 'Patching', done: 0, of: this.planNow?.cells ?? 0 };
    try {
      // Pressed before the model was asked for the answers: they would come later, and the grid be about others.
      if (!this.asked) await this.suggest();
      const { request, method, dictionary } = this;
      if (!request || abort.signal.aborted) return;
      const { clean, corrupted } = this.texts;
      const { labels } = this.bench;
      const about: Asked = {
        ...{ request, clean, corrupted, said: this.said, model: model.name },
        ...(dictionary && !isPath(request) ? { dictionary, label: (latent: number) => labels?.text(dictionary.id, latent) } : {}),
      };
      const { exact, approximate } = await put(this.lab, request, method, abort.signal, (running) => (this.running = running));
      const set = this.answer && sameRuns(this.answer.asked.request, request) ? this.answer.set : [];
      this.answer = new PatchAnswer(this.lab, about, exact, approximate);
      this.answer.set = set;
      // Where the answer is read off: in a map that does not fit, that column is brought in sight.
      this.bench.prompt.selected ??= this.at ?? clean.length - 1;
    } catch (thrown) {
      this.problem = troubleOf(thrown);
    } finally {
      this.running = undefined;
    }
  }
  cancel(): void {
    this.#abort?.abort();
  }
  /** The question as calls; none while it is not whole. */
  script(): readonly string[] | undefined {
    const { request, method, writes } = this;
    if (!request) return undefined;
    const said = (tokens: readonly Token[]) => tokens.map(({ piece }) => piece).join('');
    const { clean, corrupted } = this.texts;
    return patchLines({
      request,
      methods: method === 'both' ? ['exact', 'attribution'] : [method],
      texts: [said(clean), said(corrupted)],
      attribute: writes.open ? writes.request : undefined,
    });
  }

  /** The demo's own pair, where the bench holds nothing of the person's. */
  example(): boolean {
    const { prompt } = this.bench;
    if (prompt.chatting || !isExample(prompt.text)) return false;
    prompt.text = GIFT.prompt;
    this.contrast = CONTRAST.prompt;
    return true;
  }

  /** Everything that was chosen, as it is kept. */
  kept(): Record<string, unknown> {
    const { contrast, metric, direction, over, take, noise, path, pairs } = this;
    const parts = { noise: noise.kept(), path: path.kept(), pairs: pairs.kept() };
    return { contrast, metric, direction, over, take, method: this.#method, grid: this.#grid, ...parts };
  }
  /** What another version may have written is not trusted. A dictionary may have left the shelf meanwhile: then the stream is patched. */
  restore(saved = readJson()): void {
    const pick = <T extends string>(name: string, all: readonly T[], otherwise: T): T =>
      all.find((each) => each === saved[name]) ?? otherwise;
    if (typeof saved['contrast'] === 'string') this.contrast = saved['contrast'];
    this.metric = pick('metric', ['logit-diff', 'log-prob', 'probability', 'kl'], this.metric);
    this.direction = pick('direction', ['denoise', 'noise'], this.direction);
    if (typeof saved['over'] === 'string') this.over = saved['over'];
    this.take = pick('take', ['other', 'zero', 'mean'], this.take);
    this.#method = pick('method', ['exact', 'attribution', 'both'], this.#method);
    this.#grid = pick('grid', ['layer-position', 'layer-head', 'layer-position-head', 'head-dest-src'], this.#grid);
    this.noise.restore(saved['noise']);
    this.path.restore(saved['path']);
    this.pairs.restore(saved['pairs']);
  }
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
    bench.opened = { ...bench.opened, patch: store };
  });
  return patchOf(bench);
}
