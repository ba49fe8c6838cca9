/**
 * What a patching sweep found, and what is asked of it next: one cell's own run, cells gathered and patched together, the approximation's largest cells done exactly. It
 * holds the request it answers, so that what is looked at later is about the same texts, metric and dials.
 */
import type { Edit, Grid, Lab, PatchPart, PatchSetResult, SweepRequest } from '../../workers/api';
import type { Token } from './contrast';
import { cellName, correlation, effectOf, partOf, ranked, reach } from './grids';
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
  request: SweepRequest & { clean: readonly number[]; corrupted: readonly number[] };
  clean: readonly Token[];
  corrupted: readonly Token[];
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
    return grid ? cellName(grid, cell, (position) => quoted(this.asked.clean[position]?.piece ?? '')) : '';
  }
  part(cell: number): PatchPart | undefined {
    const { over, grid: kind } = this.asked.request;
    return this.grid && partOf(over, this.grid, cell, kind);
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

  /** The run with this one cell patched: what it would say. */
  async look(cell: number): Promise<void> {
    this.selected = cell;
    const ticket = ++this.#look;
    const edit = this.#edit(cell);
    if (!edit || this.detail?.cell === cell) return;
    const { request } = this.asked;
    try {
      const prompt = request.direction === 'denoise' ? request.corrupted : request.clean;
      const { top } = await this.lab.run({ prompt, edits: [...(request.edits ?? []), edit], logits: { top: TOP } });
      const at = request.metric.position ?? -1;
      const [ids, probabilities] = [top?.ids.at(at) ?? [], top?.probabilities.at(at) ?? []];
      const named = await Promise.all(ids.map((id) => this.lab.token(id)));
      if (ticket !== this.#look) return;
      this.detail = { cell, top: named.map(({ id, piece }, i) => ({ id, piece, probability: probabilities[i] ?? 0 })) };
    } catch (thrown) {
      if (ticket === this.#look) this.problem = troubleOf(thrown);
    }
  }

  #edit(cell: number): Edit | undefined {
    const part = this.part(cell);
    if (!part) return undefined;
    const { clean, corrupted, direction, ablate } = this.asked.request;
    if (ablate === 'mean') return undefined;
    const where = part.positions ?? clean.map((_, i) => i);
    return {
      kind: 'replace',
      at: part.at,
      where: [...where],
      ...(part.head === undefined ? {} : { head: part.head }),
      value: ablate === 'zero' ? 'zero' : { prompt: direction === 'denoise' ? clean : corrupted, from: [...where] },
    };
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
      const found = await this.lab.patchSet({ ...this.#common(), parts: set.map(({ part }) => part) }, { signal });
      this.together = { of: set, found };
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
        const { value } = await this.lab.patchSet({ ...this.#common(), parts: [part] }, { signal });
        found.set(cell, value);
        this.verified = new Map(found);
        this.working = { what: 'Verifying', done: i + 1, of: cells.length };
      }
    });
  }

  cancel(): void {
    this.#abort?.abort();
  }

  #common() {
    const { clean, corrupted, metric, edits, direction, ablate } = this.asked.request;
    return { clean, corrupted, metric, direction, ...(edits ? { edits } : {}), ...(ablate ? { ablate } : {}) };
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
