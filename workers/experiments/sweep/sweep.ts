/**
 * One grid, exactly: every cell a run in which something is taken from the other run, all of them as rows of a few batches (DESIGN §3, “Sweeps”). Done in turns, so
 * that it can be cancelled, taken up again, and does not keep others waiting. Sources: TransformerLens's patching.py; Meng et al. 2022 (causal tracing).
 *
 * denoise  the base run is the corrupted one, and cells take clean activations        noise  the other way round
 * ablate   instead of the other run's: zeros; the mean of the base runs' own values over every position of every pair, the first position included (as a
 *          replace edit with { mean, over: 'all' }); or, to resample, the next pair's base run (of a single pair, its other side)
 */
import type { EngineEdit } from '../../contract';
import type { EngineSweep } from '../../contract-sweep';
import type { Op, Runner } from '../../gpu/commands';
import { LabError } from '../../errors';
import { gridOf, latentGrid, overHook, type Cell, type CellGrid, type Over } from '../../model/causal/grid';
import { metricFor, metricOf } from '../../model/causal/metric';
import { checkPairs } from '../../model/causal/pairs';
import { sidesOf, type Sides } from '../../model/causal/sides';
import { findHook } from '../../model/hooks';
import { planBatch, runBatch, type Sequence, type Together } from '../../model/run';
import type { Runtime } from '../../model/runtime';
import type { Grid } from '../../api';
import { chunksOf, type Limits, type Shape } from './chunks';
import type { AnyDictionary } from '../../dictionary/neurons';
import { sequenceOf, type Laid, type Stock } from './cells';
import { changesOf, chosen, decoderRows, latentLayer, latentMeasure, latentPatch, valuesOf } from './latents';
import { gathered, type PairValues } from '../../model/causal/gathered';
import { counting, explainPair, otherOf, pairOf, referenceOf, rowsOf, runPair, type PairCall, type PairRuns, type Which } from './runs';
import { firstChange, hookRows, meanRows, type HookRows, type Other } from './values';

/** What a sweep computes with: told anew each turn, since a device may have come back. */
export interface Turn {
  model: Runtime;
  dictionary: (id: string) => AnyDictionary;
  limits: Limits;
  by: Runner;
}

/** What is swept over: hooks, or a dictionary that is on the GPU. */
export type Swept = { over: Over; dictionary?: undefined } | { over?: undefined; dictionary: string };

export class SweepRun {
  rowsComputed = 0;
  rowsSkipped = 0;
  milliseconds = 0;
  private readonly values: PairValues[];
  private readonly sides: readonly Sides[];
  private readonly base: Which;
  private latents: readonly number[] = [];
  /** What lives as long as the model does. */
  private ready: { model: Runtime; pairs: PairRuns[]; stocks: Stock[]; queue: { pair: number; chunk: Laid[] }[] } | undefined;

  constructor(
    readonly request: EngineSweep,
    private readonly swept: Swept,
    private readonly name: string,
    noise: readonly EngineEdit[][] = [],
  ) {
    this.base = request.direction === 'denoise' ? 'corrupted' : 'clean';
    this.sides = sidesOf(request, noise);
    checkPairs(
      this.sides.map(({ clean, corrupted }) => ({ clean: clean.ids, corrupted: corrupted.ids })),
      (request.grid !== 'layer-head' && request.grid !== 'latent') || request.ablate === 'resample',
    );
    this.values = this.sides.map(() => ({ raw: [], clean: NaN, corrupted: NaN }));
  }

  /** Cells of all pairs that are known, and all that there are; none before the pairs have been run. */
  progress({ spec }: Runtime): [done: number, of: number] {
    const done = this.values.reduce((sum, { raw }) => sum + raw.reduce((n) => n + 1, 0), 0);
    return [done, this.sides.reduce((sum, { clean }) => sum + this.grid(spec, clean.ids.length).cells.length, 0)];
  }

  private grid(spec: Runtime['spec'], tokens: number): CellGrid {
    const { grid } = this.request;
    return this.swept.over === undefined || grid === 'latent' ? this.latentCells : gridOf(spec, this.swept.over, grid, tokens);
  }
  private latentCells: CellGrid = latentGrid(0, []);

  /** One batch: a pair's runs, or a chunk of cells. False once nothing is left. */
  async step(turn: Turn): Promise<boolean> {
    const start = performance.now();
    if (this.ready?.model !== turn.model) this.ready = { model: turn.model, pairs: [], stocks: [], queue: [] };
    const { pairs, queue } = this.ready;
    if (pairs.length < this.sides.length) {
      pairs.push(await this.pair(turn, pairs.length));
      if (pairs.length === this.sides.length) await this.lay(turn);
    } else {
      const next = queue[0];
      if (next) {
        await this.chunk(turn, next.pair, next.chunk);
        queue.shift();
      }
    }
    this.milliseconds += performance.now() - start;
    return pairs.length < this.sides.length || queue.length > 0;
  }

  private pairCall(turn: Turn, index: number): PairCall {
    const { model } = turn;
    const { request, base, swept } = this;
    const sides = this.sides[index];
    if (!sides) throw new LabError('internal', 'There is no such pair.', 'Please report this.');
    const streams = Array.from({ length: model.spec.layers - 1 }, (_, layer) => `blocks.${layer}.hook_resid_post`);
    const dictionary = swept.dictionary === undefined ? undefined : turn.dictionary(swept.dictionary);
    const { over } = swept;
    const hooks = over
      ? Array.from({ length: model.spec.layers }, (_, layer) => overHook(over, layer))
      : dictionary
        ? [dictionary.spec.hookOut]
        : [];
    const own = request.ablate && request.ablate !== 'resample';
    return {
      sides,
      base,
      metric: metricFor(request.metric, sides),
      taps: { base: [...new Set([...streams, ...hooks])], other: own ? [] : hooks },
      measures: dictionary ? [latentMeasure(dictionary)] : [],
      as: `${this.name}.${index}`,
    };
  }

  private async pair(turn: Turn, index: number): Promise<PairRuns> {
    const call = this.pairCall(turn, index);
    const runs = await runPair(turn.model, call, { by: turn.by, counted: (ops) => this.count(ops) });
    const values = this.values[index];
    if (values) [values.clean, values.corrupted] = [runs.clean.metric, runs.corrupted.metric];
    return runs;
  }

  private count(ops: readonly Op[]): void {
    this.rowsComputed += rowsOf(ops);
  }

  /** All baselines are there: what each pair's cells are made from, which of them need no computing, and the chunks of the others. */
  private async lay(turn: Turn): Promise<void> {
    const { model, limits } = turn;
    const { ready, request, swept } = this;
    if (!ready) return;
    ready.stocks =
      swept.over === undefined
        ? await this.latentStocks(turn, ready.pairs, swept.dictionary)
        : this.hookStocks(model, ready.pairs, swept.over);
    this.rowsSkipped = 0;
    ready.stocks.forEach((stock, i) => {
      const { raw } = this.values[i] ?? { raw: [] };
      const tokens = stock.side.ids.length;
      const there = ready.pairs[i]?.[this.base].metric ?? NaN;
      const todo: Laid[] = [];
      for (const cell of this.grid(model.spec, tokens).cells) {
        const first = request.skip ? this.firstOf(cell, stock, tokens) : (cell.position ?? 0);
        const seen = first !== undefined && first <= stock.position;
        // Nothing that the metric sees can differ.
        if (!seen && request.skip) {
          raw[cell.index] = there;
          this.rowsSkipped++;
        } else if (raw[cell.index] === undefined) todo.push({ cell, layer: cell.layer, from: seen ? first : stock.position });
      }
      for (const chunk of chunksOf(shapeOf(model, tokens, swept.over), todo, limits)) ready.queue.push({ pair: i, chunk });
    });
  }

  private firstOf(cell: Cell, { latents, other, base }: Stock, tokens: number): number | undefined {
    if (latents && cell.latent !== undefined) return latents.first(cell.latent);
    const known = base[cell.layer];
    return known ? firstChange(cell, other[cell.layer], known, tokens) : (cell.position ?? 0);
  }

  private stockOf(pair: PairRuns, i: number, layers: number): Omit<Stock, 'other' | 'base'> {
    const { taps } = pair[this.base];
    return {
      side: this.sides[i]?.[this.base] ?? { ids: [], edits: [] },
      position: pair.metric.position,
      streams: Array.from({ length: layers }, (_, layer) => (layer === 0 ? undefined : taps[`blocks.${layer - 1}.hook_resid_post`]?.data)),
    };
  }

  private hookStocks({ spec, planner }: Runtime, pairs: readonly PairRuns[], over: Over): Stock[] {
    const { base } = this;
    const { ablate } = this.request;
    const infos = Array.from({ length: spec.layers }, (_, layer) => findHook(planner.hooks, overHook(over, layer)));
    const rows = (pair: PairRuns, which: Which): HookRows[] => infos.map((info) => hookRows(pair[which].taps[info.name], info));
    const mine = pairs.map((pair) => rows(pair, base));
    const means = ablate === 'mean' ? infos.map((_, layer) => meanRows(mine.flatMap((each) => each[layer] ?? []))) : [];
    return pairs.map((pair, i): Stock => {
      const other = (): Other[] => {
        if (ablate === 'zero') return infos.map(() => undefined);
        if (ablate === 'mean') return means;
        if (ablate === 'resample' && mine.length > 1) return mine[(i + 1) % mine.length] ?? [];
        return rows(pair, otherOf(base));
      };
      return { ...this.stockOf(pair, i, spec.layers), other: other(), base: mine[i] ?? [] };
    });
  }

  private async latentStocks(turn: Turn, pairs: readonly PairRuns[], id: string): Promise<Stock[]> {
    const { model } = turn;
    const { base, request } = this;
    const { ablate } = request;
    const d = turn.dictionary(id);
    const info = findHook(model.planner.hooks, d.spec.hookOut);
    const both = pairs.map((pair, i) => {
      const tokens = this.sides[i]?.clean.ids.length ?? 0;
      const of = (which: Which) => valuesOf(model, d, pair[which], tokens);
      const own = of(base);
      return { tokens, base: own, other: ablate === 'zero' || ablate === 'mean' ? own : of(otherOf(base)) };
    });
    const changes = changesOf(both, ablate);
    if (this.latents.length === 0) this.latents = chosen(d, changes, request.latents);
    this.latentCells = latentGrid(latentLayer(d), this.latents);
    const decoder = await decoderRows(model, d, this.latents);
    return pairs.map((pair, i): Stock => {
      const rows = hookRows(pair[base].taps[d.spec.hookOut], info);
      const { from, to } = changes[i] ?? { from: () => new Float64Array(0), to: () => new Float64Array(0) };
      return {
        ...this.stockOf(pair, i, model.spec.layers),
        other: [],
        base: [],
        latents: {
          patch: (latent) => latentPatch(d, latent, { base: rows, from: from(latent), to: to(latent), decoder: decoder.get(latent) }),
          first: (latent) => {
            const there = to(latent);
            const found = from(latent).findIndex((value, p) => value !== there[p]);
            return found < 0 ? undefined : found;
          },
        },
      };
    });
  }

  private batch(pair: number, chunk: readonly Laid[]): { sequences: Sequence[]; together: Together } | undefined {
    const stock = this.ready?.stocks[pair];
    if (!stock) return undefined;
    const { request } = this;
    const direct = (layer: number): boolean => !stock.side.edits.some(({ at }) => at === `blocks.${layer}.hook_resid_pre`);
    const as = `${this.name}.${pair}`;
    return {
      sequences: chunk.map((each) => sequenceOf(each, this.swept.over, stock, direct)),
      together: {
        edits: stock.side.edits,
        load: { as },
        score: {
          tokens: pairOf(metricFor(request.metric, this.sides[pair]).tokens),
          ...(request.metric.kind === 'kl' ? { reference: { buffer: referenceOf(as) } } : {}),
        },
      },
    };
  }

  private async chunk(turn: Turn, pair: number, chunk: readonly Laid[]): Promise<void> {
    const made = this.batch(pair, chunk);
    const values = this.values[pair];
    if (!made || !values) return;
    const results = await runBatch(turn.model, made.sequences, [], {
      ...made.together,
      by: counting(turn.by, (ops) => this.count(ops)),
    });
    chunk.forEach(({ cell }, i) => {
      const score = results[i]?.scores[0];
      values.raw[cell.index] = score ? metricOf(this.request.metric.kind, score) : NaN;
    });
  }

  /** The first pair's runs and the first chunk, for a person to read. The pairs are run, since what chunks start from is what they give; the chunk is not. */
  async explained(turn: Turn): Promise<Op[]> {
    const pair = await explainPair(turn.model, this.pairCall(turn, 0));
    while (!this.ready?.queue.length && (this.ready?.stocks.length ?? 0) === 0) await this.step(turn);
    const next = this.ready?.queue[0];
    const made = next && this.batch(next.pair, next.chunk);
    return [...pair, ...(made ? (await planBatch(turn.model, made.sequences, [], made.together)).ops : [])];
  }

  result(model: Runtime): Grid {
    const tokens = this.sides[0]?.clean.ids.length ?? 0;
    const cells = this.sides.reduce((sum, { clean }) => sum + this.grid(model.spec, clean.ids.length).cells.length * clean.ids.length, 0);
    return {
      ...gathered(this.grid(model.spec, tokens), this.values, this.request.metric.kind),
      milliseconds: this.milliseconds,
      rowsComputed: this.rowsComputed,
      rowsNaive: cells * model.spec.layers,
      rowsSkipped: this.rowsSkipped,
    };
  }

  /** Its buffers, and whatever can be made again; what was computed stays. */
  rest(model: Runtime): void {
    this.ready = undefined;
    model.scratch.drop(`${this.name}.`);
  }
}

export const shapeOf = ({ spec, planner }: Runtime, tokens: number, over: Over | undefined): Shape => ({
  spec,
  layout: planner.layout,
  tokens,
  open: over === 'pattern',
});
