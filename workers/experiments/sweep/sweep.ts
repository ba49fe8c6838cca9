/**
 * One grid, exactly: every cell a run in which something is taken from the other run, all of them as rows of a few batches (DESIGN §3, “Sweeps”). Done in turns, so
 * that it can be cancelled, taken up again, and does not keep others waiting. Sources: TransformerLens's patching.py; Meng et al. 2022 (causal tracing).
 *
 * denoise  the base run is the corrupted one, and cells take clean activations        noise  the other way round
 * ablate   instead of the other run's: zeros; the mean of the base runs' own values over every position of every pair, the first position included (as a
 *          replace edit with { mean, over: 'all' }); or, to resample, the next pair's base run (of a single pair, its other side)
 */
import type { EngineEdit } from '../../contract';
import type { EngineNoise, EngineSweep } from '../../contract-sweep';
import type { Op } from '../../gpu/commands';
import { gridOf, overHook, type CellGrid, type Over } from '../../model/causal/grid';
import { metricOf } from '../../model/causal/metric';
import { checkPairs, firstDifference } from '../../model/causal/pairs';
import { findHook } from '../../model/hooks';
import { planBatch, runBatch, type Sequence, type Together } from '../../model/run';
import type { Runtime } from '../../model/runtime';
import type { Grid } from '../../api';
import { baselineRows, chunksOf, rowLayers, rowsWithin, type Limits, type Shape } from './chunks';
import { sequenceOf, type Laid, type Stock } from './cells';
import { gathered, type PairValues } from './result';
import { otherOf, pairOf, referenceOf, rowsOf, runPair, type Hands, type PairRuns, type Sides, type Which } from './runs';
import { firstChange, hookRows, meanRows, type HookRows, type Other } from './values';

/** What a sweep computes with: told anew each turn, since a device may have come back. */
export interface Turn {
  model: Runtime;
  limits: Limits;
  run: Hands['run'];
}

export class SweepRun {
  rowsComputed = 0;
  rowsSkipped = 0;
  milliseconds = 0;
  private readonly values: PairValues[];
  private readonly sides: readonly Sides[];
  private readonly base: Which;
  /** What lives as long as the model does. */
  private ready: { model: Runtime; pairs: PairRuns[]; stocks: Stock[]; queue: { pair: number; chunk: Laid[] }[] } | undefined;

  constructor(
    readonly request: EngineSweep & { over: Over },
    private readonly name: string,
    noise: readonly EngineEdit[][] = [],
  ) {
    this.base = request.direction === 'denoise' ? 'corrupted' : 'clean';
    this.sides = sidesOf(request, noise);
    checkPairs(
      this.sides.map(({ clean, corrupted }) => ({ clean: clean.ids, corrupted: corrupted.ids })),
      request.grid !== 'layer-head' || request.ablate === 'resample',
    );
    this.values = this.sides.map(() => ({ raw: [], clean: NaN, corrupted: NaN }));
  }

  /** Cells of all pairs, and how many of them are known. */
  progress(): [done: number, of: number] {
    const { ready, values } = this;
    const cells = ready?.stocks.reduce((sum, stock) => sum + this.grid(ready.model, stock.side.ids.length).cells.length, 0) ?? 0;
    const done = values.reduce((sum, { raw }) => sum + raw.reduce((n) => n + 1, 0), 0);
    return [done, Math.max(done, cells)];
  }

  private grid({ spec }: Runtime, tokens: number): CellGrid {
    const { over, grid } = this.request;
    return gridOf(spec, over, grid === 'latent' ? 'layer-head' : grid, tokens);
  }

  /** One batch: a pair's runs, or a chunk of cells. False once nothing is left. */
  async step(turn: Turn): Promise<boolean> {
    const start = performance.now();
    if (this.ready?.model !== turn.model) this.ready = { model: turn.model, pairs: [], stocks: [], queue: [] };
    const { pairs, queue } = this.ready;
    if (pairs.length < this.sides.length) {
      pairs.push(await this.pair(turn, pairs.length));
      if (pairs.length === this.sides.length) this.lay(turn);
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

  private async pair(turn: Turn, index: number): Promise<PairRuns> {
    const { model } = turn;
    const { request, base } = this;
    const hooks = Array.from({ length: model.spec.layers }, (_, layer) => overHook(request.over, layer));
    const streams = hooks.slice(1).map((_, layer) => `blocks.${layer}.hook_resid_post`);
    const sides = this.sides[index];
    if (!sides) throw new Error('no such pair');
    const logits = rowsWithin(shapeOf(model, sides.clean.ids.length, request.over), turn.limits.dispatch).logits;
    const taps = { base: [...new Set([...streams, ...hooks])], other: request.ablate && request.ablate !== 'resample' ? [] : hooks };
    const runs = await runPair(
      model,
      { sides, base, metric: request.metric, taps, measures: [], as: `${this.name}.${index}` },
      { run: turn.run, logits, counted: (ops) => this.count(ops) },
    );
    const values = this.values[index];
    if (values) [values.clean, values.corrupted] = [runs.clean.metric, runs.corrupted.metric];
    return runs;
  }

  private count(ops: readonly Op[]): void {
    this.rowsComputed += rowsOf(ops);
  }

  /** All baselines are there: what each pair's cells are made from, which of them need no computing, and the chunks of the others. */
  private lay({ model, limits }: Turn): void {
    const { ready, request, base } = this;
    if (!ready) return;
    const { spec, planner } = model;
    const layers = Array.from({ length: spec.layers }, (_, layer) => layer);
    const infos = layers.map((layer) => findHook(planner.hooks, overHook(request.over, layer)));
    const rows = (pair: PairRuns | undefined, which: Which): HookRows[] =>
      infos.map((info) => hookRows(pair?.[which].taps[info.name], info));
    const mine = ready.pairs.map((pair) => rows(pair, base));
    const means = request.ablate === 'mean' ? layers.map((layer) => meanRows(mine.flatMap((each) => each[layer] ?? []))) : [];
    ready.stocks = ready.pairs.map((pair, i): Stock => {
      const side = this.sides[i]?.[base] ?? { ids: [], edits: [] };
      const next = mine[(i + 1) % mine.length];
      const other = (): Other[] => {
        if (request.ablate === 'zero') return layers.map(() => undefined);
        if (request.ablate === 'mean') return means;
        if (request.ablate === 'resample' && mine.length > 1) return next ?? [];
        return rows(pair, otherOf(base));
      };
      return {
        side,
        position: pair.metric.position,
        streams: layers.map((layer) => (layer === 0 ? undefined : pair[base].taps[`blocks.${layer - 1}.hook_resid_post`]?.data)),
        other: other(),
        base: mine[i] ?? [],
      };
    });
    this.rowsSkipped = 0;
    ready.stocks.forEach((stock, i) => {
      const { raw } = this.values[i] ?? { raw: [] };
      const tokens = stock.side.ids.length;
      const there = ready.pairs[i]?.[base].metric ?? NaN;
      const todo: Laid[] = [];
      for (const cell of this.grid(model, tokens).cells) {
        const known = stock.base[cell.layer];
        const first = request.skip && known ? firstChange(cell, stock.other[cell.layer], known, tokens) : (cell.position ?? 0);
        const from = first === undefined || first > stock.position ? undefined : first;
        // Nothing that the metric sees can differ.
        if (from === undefined && request.skip) {
          raw[cell.index] = there;
          this.rowsSkipped++;
        } else if (raw[cell.index] === undefined) todo.push({ cell, layer: cell.layer, from: from ?? stock.position });
      }
      for (const chunk of chunksOf(shapeOf(model, tokens, request.over), todo, limits)) ready.queue.push({ pair: i, chunk });
    });
  }

  private batch(turn: Turn, pair: number, chunk: readonly Laid[]): { sequences: Sequence[]; together: Together } | undefined {
    const stock = this.ready?.stocks[pair];
    if (!stock) return undefined;
    const { request } = this;
    const direct = (layer: number): boolean => !stock.side.edits.some(({ at }) => at === `blocks.${layer}.hook_resid_pre`);
    const as = `${this.name}.${pair}`;
    const { logits } = rowsWithin(shapeOf(turn.model, stock.side.ids.length, request.over), turn.limits.dispatch);
    return {
      sequences: chunk.map((each) => sequenceOf(each, request.over, stock, direct)),
      together: {
        edits: stock.side.edits,
        load: { as },
        score: {
          tokens: pairOf(request.metric.tokens),
          rows: logits,
          ...(request.metric.kind === 'kl' ? { reference: { buffer: referenceOf(as) } } : {}),
        },
      },
    };
  }

  private async chunk(turn: Turn, pair: number, chunk: readonly Laid[]): Promise<void> {
    const made = this.batch(turn, pair, chunk);
    const values = this.values[pair];
    if (!made || !values) return;
    const results = await runBatch(turn.model, made.sequences, [], {
      ...made.together,
      run: async (program, ops) => {
        await turn.run(program, ops);
        this.count(ops);
      },
    });
    chunk.forEach(({ cell }, i) => {
      const score = results[i]?.scores[0];
      values.raw[cell.index] = score ? metricOf(this.request.metric.kind, score) : NaN;
    });
  }

  /** The first chunk's operations, for a person to read; its pair's runs must have been made. */
  async firstChunk(turn: Turn): Promise<Op[]> {
    const next = this.ready?.queue[0];
    const made = next && this.batch(turn, next.pair, next.chunk);
    return made ? (await planBatch(turn.model, made.sequences, [], made.together)).ops : [];
  }

  result(model: Runtime): Grid {
    const tokens = this.sides[0]?.clean.ids.length ?? 0;
    const cells = this.sides.reduce((sum, { clean }) => sum + this.grid(model, clean.ids.length).cells.length * clean.ids.length, 0);
    return {
      ...gathered(this.grid(model, tokens), this.values, this.request.metric.kind),
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

/** Every pair's two runs; of noise, the clean one and each draw. */
export function sidesOf({ pairs, edits }: Pick<EngineSweep, 'pairs' | 'edits'>, noise: readonly EngineEdit[][]): Sides[] {
  if (noise.length === 0)
    return pairs.map(({ clean, corrupted }) => ({ clean: { ids: clean, edits }, corrupted: { ids: corrupted, edits } }));
  return pairs.flatMap(({ clean }) =>
    noise.map((draw) => ({ clean: { ids: clean, edits }, corrupted: { ids: clean, edits: [...edits, ...draw] } })),
  );
}

export const shapeOf = ({ spec, planner }: Runtime, tokens: number, over: Over): Shape => ({
  spec,
  layout: planner.layout,
  tokens,
  open: over === 'pattern',
});

/** What a sweep would take, by its tokens alone: cells before the first difference need no computing where `skip`. */
export function rowsPlanned(
  model: Runtime,
  request: EngineSweep & { over: Over },
  noise: EngineNoise | undefined,
  limits: Limits,
): { cells: number; rowsComputed: number; rowsNaive: number; chunks: Laid[][]; shapes: Shape[] } {
  const out = { cells: 0, rowsComputed: 0, rowsNaive: 0, chunks: [] as Laid[][], shapes: [] as Shape[] };
  const pairs = noise ? request.pairs.flatMap((pair) => Array.from({ length: noise.draws }, () => pair)) : request.pairs;
  for (const pair of pairs) {
    const tokens = pair.clean.length;
    const shape = shapeOf(model, tokens, request.over);
    const first = noise ? Math.min(...noise.positions) : request.ablate ? 0 : firstDifference(pair);
    const { cells } = gridOf(model.spec, request.over, request.grid === 'latent' ? 'layer-head' : request.grid, tokens);
    const laid = cells.flatMap((cell): Laid[] => {
      const from = request.skip ? Math.max(first, cell.position ?? 0) : (cell.position ?? 0);
      const seen = !request.skip || (from < tokens && (cell.position ?? from) >= first);
      return seen ? [{ cell, layer: cell.layer, from: Math.min(from, tokens - 1) }] : [];
    });
    out.cells += cells.length;
    out.rowsNaive += cells.length * model.spec.layers * tokens;
    out.rowsComputed += baselineRows(shape) + laid.reduce((sum, each) => sum + rowLayers(shape, each), 0);
    for (const chunk of chunksOf(shape, laid, limits)) {
      out.chunks.push(chunk);
      out.shapes.push(shape);
    }
  }
  return out;
}
