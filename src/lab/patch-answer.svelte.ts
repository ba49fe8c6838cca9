/**
 * What a patching sweep found, and what is asked of it next: one cell's own run, cells gathered and patched together, the approximation's largest cells done exactly. It
 * holds the request it answers, so that what is looked at later is about the same texts, metric and dials.
 */
import type { DictionaryInfo, Grid, Lab, PatchPart, PatchSetResult } from '../../workers/api';
import type { Token } from './contrast';
import { cellName, correlation, effectOf, latentOf, partOf, ranked, reach } from './grids';
import { isNeurons } from './neurons';
import { editsOf, sidesOf } from './patch-cell';
import { ablationOf, isPath, kindOf, noised, type Request } from './patch-question';
import { quoted } from './pieces';
import { troubleOf, type Trouble } from './trouble';

export interface Candidate {
  id: number;
  piece: string;
  probability: number;
}
export interface Kept {
  part: PatchPart;
  name: string;
  value: number;
}
export interface Asked {
  request: Request;
  /** The tokens of the pair; of the first, where there is a set of them. */
  clean: readonly Token[];
  corrupted: readonly Token[];
  /** Whose latents are patched, and what they are called. */
  dictionary?: DictionaryInfo;
  label?: (latent: number) => string | undefined;
  /** The metric in words. */
  said: string;
  model: string;
}

const TOP = 8;
export const VERIFIED = 20;

export class PatchAnswer {
  selected = $state<number | undefined>();
  detail = $state.raw<{ cell: number; top: Candidate[] } | undefined>();
  set = $state.raw<Kept[]>([]);
  together = $state.raw<{ of: readonly Kept[]; found: PatchSetResult } | undefined>();
  /** Cells of the approximation that were computed exactly, one by one. */
  verified = $state.raw<ReadonlyMap<number, number>>(new Map());
  working = $state.raw<{ what: string; done: number; of: number } | undefined>();
  problem = $state.raw<Trouble | undefined>();
  #abort: AbortController | undefined;
  #look = 0;

  constructor(
    private readonly lab: Lab,
    readonly asked: Asked,
    readonly exact: Grid | undefined,
    readonly approximate: Grid | undefined,
  ) {}

  get grid(): Grid | undefined {
    return this.exact ?? this.approximate;
  }
  /** The runs are too alike for a share of their difference to mean anything: the metric itself is shown. */
  get bare(): boolean {
    return this.grid !== undefined && !this.grid.value.data.some((x) => Number.isFinite(x));
  }
  readonly effect = (value: number): number => effectOf(this.asked.request.direction, value);
  /** What a cell is coloured by: recovered or lost; where that means nothing, how far the metric moved. */
  shown(grid: Grid, cell: number): number {
    if (this.bare) return (grid.raw.data[cell] ?? Number.NaN) - (this.asked.request.direction === 'denoise' ? grid.corrupted : grid.clean);
    return this.effect(grid.value.data[cell] ?? Number.NaN);
  }
  /** How far from nothing the colours reach; both methods share it. */
  span(): number {
    const { exact, approximate } = this;
    const all = [exact, approximate].flatMap((grid) => (grid ? Array.from(grid.value.data, (_, i) => this.shown(grid, i)) : []));
    return reach(all, (x) => x);
  }

  name(cell: number): string {
    const { grid } = this;
    if (!grid) return '';
    const latent = latentOf(grid, cell);
    if (latent === undefined) return cellName(grid, cell, (position) => quoted(this.asked.clean[position]?.piece ?? ''));
    const label = this.asked.label?.(latent);
    const name = `${isNeurons(this.asked.dictionary?.id) ? 'neuron' : 'latent'} ${latent}`;
    return label === undefined ? name : `${label} · ${name}`;
  }
  /** What a cell takes from the other run, where that is a patch that can be made by itself: a noised run is a mean of many, a path is two runs. */
  part(cell: number): PatchPart | undefined {
    const { request, dictionary } = this.asked;
    if (isPath(request) || noised(request) || !this.grid) return undefined;
    return partOf(request.over, this.grid, cell, kindOf(request), dictionary?.hookOut);
  }
  /** Of a set with means over all its pairs, one pair cannot be asked by itself. */
  get settable(): boolean {
    const { request } = this.asked;
    return !(request.pairs?.length && ablationOf(request) === 'mean');
  }

  /** Single cells can be run by themselves, and mean what they mean in the grid: not so where the other run is a mean of draws. */
  get verifiable(): boolean {
    return this.settable && !noised(this.asked.request);
  }

  /** Approximate beside exact, cell by cell; the verified ones where there is no exact grid. */
  pairs(): { cell: number; approximate: number; exact: number }[] {
    const { approximate, exact, verified } = this;
    if (!approximate) return [];
    const cells = exact ? Array.from(approximate.value.data, (_, i) => i) : [...verified.keys()];
    return cells
      .map((cell) => ({
        cell,
        approximate: this.effect(approximate.value.data[cell] ?? Number.NaN),
        exact: this.effect(exact ? (exact.value.data[cell] ?? Number.NaN) : (verified.get(cell) ?? Number.NaN)),
      }))
      .filter((pair) => Number.isFinite(pair.approximate) && Number.isFinite(pair.exact));
  }
  r(): number {
    return correlation(this.pairs().map((pair) => [pair.approximate, pair.exact] as const));
  }

  /** The run with this one cell patched: what it would say. Of a set of pairs, the first. */
  async look(cell: number): Promise<void> {
    this.selected = cell;
    const ticket = ++this.#look;
    const part = this.part(cell);
    if (!part || this.detail?.cell === cell) return;
    const { request, dictionary } = this.asked;
    try {
      const put = await editsOf(this.lab, part, { ...request, ablate: ablationOf(request) }, dictionary);
      if (!put || ticket !== this.#look) return;
      const { base: prompt } = sidesOf(request);
      const { top } = await this.lab.run({ prompt, edits: [...(request.edits ?? []), ...put], logits: { top: TOP } });
      const at = request.metric.position ?? -1;
      const [ids, probabilities] = [top?.ids.at(at) ?? [], top?.probabilities.at(at) ?? []];
      const named = await Promise.all(ids.map((id) => this.lab.token(id)));
      if (ticket !== this.#look) return;
      this.detail = { cell, top: named.map(({ id, piece }, i) => ({ id, piece, probability: probabilities[i] ?? 0 })) };
    } catch (thrown) {
      if (ticket === this.#look) this.problem = troubleOf(thrown);
    }
  }

  gathered(cell: number): boolean {
    const name = this.name(cell);
    return this.set.some((each) => each.name === name);
  }
  gather(cell: number): void {
    const part = this.part(cell);
    const { grid } = this;
    if (!part || !grid || this.gathered(cell)) return;
    this.set = [...this.set, { part, name: this.name(cell), value: this.effect(grid.value.data[cell] ?? Number.NaN) }];
  }
  drop(name: string): void {
    this.set = this.set.filter((each) => each.name !== name);
  }
  /** The result, where the set is still the one it was computed for. */
  get all(): PatchSetResult | undefined {
    return this.together?.of === this.set ? this.together.found : undefined;
  }

  patchTogether(): Promise<void> {
    const { set } = this;
    return this.#work('Patching them together', set.length, async (signal) => {
      this.together = {
        of: set,
        found: await this.#patched(
          set.map(({ part }) => part),
          signal,
        ),
      };
    });
  }

  /** The largest cells of the approximation, each computed exactly. */
  verify(count = VERIFIED): Promise<void> {
    const { approximate } = this;
    if (!approximate) return Promise.resolve();
    const cells = ranked(approximate.value.data, this.effect, count).filter((cell) => this.part(cell) !== undefined);
    return this.#work('Verifying', cells.length, async (signal) => {
      const found = new Map(this.verified);
      for (const [i, cell] of cells.entries()) {
        const part = this.part(cell);
        if (!part) continue;
        const { value } = await this.#patched([part], signal);
        found.set(cell, value);
        this.verified = new Map(found);
        this.working = { what: 'Verifying', done: i + 1, of: cells.length };
      }
    });
  }

  cancel(): void {
    this.#abort?.abort();
  }

  /** Parts patched together; over a set, the mean of its pairs, each asked by itself. A pair whose own value means nothing is left out of it, as in the grid. */
  async #patched(parts: readonly PatchPart[], signal: AbortSignal): Promise<PatchSetResult> {
    const { request } = this.asked;
    const { clean, corrupted, pairs = [], metric, edits, direction } = request;
    const ablate = ablationOf(request);
    const common = { direction, ...(edits ? { edits } : {}), ...(ablate ? { ablate } : {}), parts };
    const found: PatchSetResult[] = [];
    for (const pair of [{ clean, corrupted }, ...pairs]) found.push(await this.lab.patchSet({ ...common, metric, ...pair }, { signal }));
    const mean = (of: keyof PatchSetResult) => {
      const known = found.map((each) => each[of]).filter((x) => of !== 'value' || Number.isFinite(x));
      return known.reduce((sum, x) => sum + x / known.length, known.length ? 0 : Number.NaN);
    };
    return { value: mean('value'), raw: mean('raw'), clean: mean('clean'), corrupted: mean('corrupted') };
  }

  async #work(what: string, of: number, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    if (this.working) return;
    const abort = (this.#abort = new AbortController());
    this.working = { what, done: 0, of };
    this.problem = undefined;
    try {
      await work(abort.signal);
    } catch (thrown) {
      this.problem = troubleOf(thrown);
    } finally {
      this.working = undefined;
    }
  }
}
