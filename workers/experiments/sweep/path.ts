/**
 * Path patching: what a sender does to the metric through chosen receivers alone (Wang et al. 2022, §3.1 and appendix; Goldowsky-Dill et al. 2023). Three runs:
 *   1. both prompts, their activations kept
 *   2. the base prompt with the sender's output of the other run, every other head's z and every MLP's output kept as in 1 (MLPs recomputed where asked):
 *      what reaches the receivers' inputs is the sender's direct path, and is noted
 *   3. the base prompt with the receivers' inputs as noted in 2, everything else computed: the metric
 * All senders of a chunk are sequences of one batch that enter at their own layer. An MLP receives through its hidden units (hook_post), which is its whole input's effect;
 * the logits receive the last stream's change at the metric's position. Runs 2 and 3 are one where the logits are the only receiver.
 */
import type { Grid, Receiver, Tensor } from '../../api';
import type { EngineEdit } from '../../contract';
import type { EnginePath } from '../../contract-sweep';
import { LabError } from '../../errors';
import { metricFor, metricOf, metricPosition } from '../../model/causal/metric';
import { checkPairs, firstDifference } from '../../model/causal/pairs';
import { findHook } from '../../model/hooks';
import { runBatch, type Patch, type Sequence, type Together } from '../../model/run';
import type { Runtime } from '../../model/runtime';
import type { ModelSpec } from '../../model/spec';
import { chunksOf, type Entry, type Shape } from './chunks';
import { gathered, type PairValues } from '../../model/causal/gathered';
import { counting, otherOf, pairOf, referenceOf, rowsOf, runPair, type PairRuns, type Which } from './runs';
import type { Turn } from './sweep';
import { hookRows, patchOf } from './values';

interface Sender extends Entry {
  index: number;
  /** Absent: the layer's MLP. */
  head?: number;
}

const zHook = (layer: number): string => `blocks.${layer}.attn.hook_z`;
const mlpHook = (layer: number): string => `blocks.${layer}.hook_mlp_out`;

/** Where a receiver's input is read and written. */
const receiverHook = (receiver: Exclude<Receiver, 'logits'>): string =>
  'mlp' in receiver ? `blocks.${receiver.layer}.mlp.hook_post` : `blocks.${receiver.layer}.attn.hook_${receiver.input}`;

/** Does a sender lie before a receiver? An MLP reads what its own layer's heads write, unless the block is parallel. */
function reaches(spec: ModelSpec, { layer, head }: Sender, receiver: Receiver): boolean {
  if (receiver === 'logits') return true;
  return layer < receiver.layer || (layer === receiver.layer && 'mlp' in receiver && head !== undefined && !spec.block.parallel);
}

export function checkReceivers({ spec }: Runtime, receivers: readonly Receiver[]): void {
  const wrong = (message: string): LabError =>
    new LabError(
      'path-receiver',
      message,
      "Receivers are 'logits', { layer, mlp: true } or { layer, head, input: 'q' | 'k' | 'v' }; k and v have the key heads.",
    );
  if (receivers.length === 0) throw wrong('The path has no receiver.');
  for (const receiver of receivers) {
    if (receiver === 'logits') continue;
    const { layer } = receiver;
    if (!Number.isInteger(layer) || layer < 0 || layer >= spec.layers) throw wrong(`There is no layer ${String(layer)}.`);
    if ('mlp' in receiver) {
      if (spec.dMlp === 0) throw wrong('This model has no MLPs.');
      continue;
    }
    const heads = receiver.input === 'q' ? spec.heads : spec.kvHeads;
    if (!['q', 'k', 'v'].includes(receiver.input)) throw wrong(`A head has no input “${String(receiver.input)}”.`);
    if (!Number.isInteger(receiver.head) || receiver.head < 0 || receiver.head >= heads)
      throw wrong(`Layer ${layer} has no head ${String(receiver.head)} for ${receiver.input}; it has ${heads}.`);
  }
}

export class PathRun {
  rowsComputed = 0;
  rowsSkipped = 0;
  milliseconds = 0;
  private readonly base: Which;
  private readonly values: PairValues[];
  private ready: { model: Runtime; pairs: PairRuns[]; queue: { pair: number; chunk: Sender[] }[] } | undefined;

  constructor(
    private readonly request: EnginePath,
    private readonly name: string,
  ) {
    checkPairs(request.pairs, request.positions !== undefined);
    this.base = request.direction === 'denoise' ? 'corrupted' : 'clean';
    this.values = request.pairs.map(() => ({ raw: [], clean: NaN, corrupted: NaN }));
  }

  private columns({ heads, dMlp }: ModelSpec): number {
    return heads + (dMlp > 0 ? 1 : 0);
  }
  progress({ spec }: Runtime): [number, number] {
    const done = this.values.reduce((sum, { raw }) => sum + raw.reduce((n) => n + 1, 0), 0);
    return [done, this.values.length * spec.layers * this.columns(spec)];
  }

  async step(turn: Turn): Promise<boolean> {
    const start = performance.now();
    if (this.ready?.model !== turn.model) this.ready = { model: turn.model, pairs: [], queue: [] };
    const { pairs, queue } = this.ready;
    if (pairs.length < this.request.pairs.length) {
      const index = pairs.length;
      pairs.push(await this.pair(turn, index));
      queue.push(...this.lay(turn, index, pairs[index]));
    } else {
      const next = queue[0];
      const runs = next && pairs[next.pair];
      if (next && runs) await this.chunk(turn, next.pair, runs, next.chunk);
      queue.shift();
    }
    this.milliseconds += performance.now() - start;
    return pairs.length < this.request.pairs.length || queue.length > 0;
  }

  private shape({ spec, planner }: Runtime, pair: number): Shape {
    return { spec, layout: planner.layout, tokens: this.request.pairs[pair]?.clean.length ?? 0, open: false };
  }

  private async pair(turn: Turn, index: number): Promise<PairRuns> {
    const { model } = turn;
    const { layers, dMlp } = model.spec;
    const { metric, edits } = this.request;
    const pair = this.request.pairs[index] ?? { clean: [], corrupted: [] };
    const every = Array.from({ length: layers }, (_, layer) => layer);
    const own = every.flatMap((layer) => [zHook(layer), ...(dMlp > 0 ? [mlpHook(layer)] : [])]);
    const runs = await runPair(
      model,
      {
        sides: { clean: { ids: pair.clean, edits }, corrupted: { ids: pair.corrupted, edits } },
        base: this.base,
        metric: metricFor(metric, this.request.pairs[index]),
        taps: { base: [...own, ...every.map((layer) => `blocks.${layer}.hook_resid_post`)], other: own },
        measures: [],
        as: `${this.name}.${index}`,
      },
      {
        by: turn.by,
        counted: (ops) => (this.rowsComputed += rowsOf(ops)),
      },
    );
    const values = this.values[index];
    if (values) [values.clean, values.corrupted] = [runs.clean.metric, runs.corrupted.metric];
    return runs;
  }

  /** The senders that reach a receiver, in chunks; the others change nothing. */
  private lay({ model, limits }: Turn, pair: number, runs: PairRuns | undefined): { pair: number; chunk: Sender[] }[] {
    const { spec } = model;
    const { receivers } = this.request;
    const columns = this.columns(spec);
    const ids = this.request.pairs[pair];
    const raw = this.values[pair]?.raw ?? [];
    const there = runs?.[this.base].metric ?? NaN;
    const first = ids ? Math.max(firstDifference(ids), Math.min(...this.positions(pair))) : 0;
    const todo: Sender[] = [];
    for (let layer = 0; layer < spec.layers; layer++)
      for (let column = 0; column < columns; column++) {
        const index = layer * columns + column;
        const sender: Sender = { index, layer, from: first, ...(column < spec.heads ? { head: column } : {}) };
        if (raw[index] !== undefined) continue;
        if (first <= (runs?.metric.position ?? 0) && receivers.some((each) => reaches(spec, sender, each))) todo.push(sender);
        else {
          raw[index] = there;
          this.rowsSkipped++;
        }
      }
    // Two runs a sender.
    return chunksOf(this.shape(model, pair), todo, { ...limits, chunk: limits.chunk / 2 }).map((chunk) => ({ pair, chunk }));
  }

  private positions(pair: number): number[] {
    const tokens = this.request.pairs[pair]?.clean.length ?? 0;
    const { positions } = this.request;
    return positions ? positions.map((each) => metricPosition(each, tokens, 'A sender')) : Array.from({ length: tokens }, (_, i) => i);
  }

  private async chunk(turn: Turn, pair: number, runs: PairRuns, chunk: readonly Sender[]): Promise<void> {
    const { model } = turn;
    const { spec } = model;
    const { request } = this;
    const { metric } = runs;
    const direct = request.receivers.every((each) => each === 'logits');
    const as = `${this.name}.${pair}`;
    const reference = metric.kind === 'kl' ? { reference: { buffer: referenceOf(as) } } : {};
    const score = { tokens: pairOf(metric.tokens), ...reference };
    const together: Together = {
      edits: request.edits,
      load: { as },
      score,
      by: counting(turn.by, (ops) => (this.rowsComputed += rowsOf(ops))),
    };
    const common = this.common(pair, runs);
    const second = await runBatch(
      model,
      chunk.map((sender): Sequence => {
        const reached = request.receivers.filter((each) => reaches(spec, sender, each));
        const hooks = reached.map((each) => (each === 'logits' ? `blocks.${spec.layers - 1}.hook_resid_post` : receiverHook(each)));
        return {
          ...common(sender.layer, sender.from),
          patches: [this.sent(model, pair, runs, sender)],
          taps: direct ? [] : [...new Set(hooks)],
          scores: direct ? [metric.position] : [],
        };
      }),
      [],
      { ...together, patches: this.kept(model, runs) },
    );
    const third = direct
      ? second
      : await runBatch(
          model,
          chunk.map((sender, i) => this.receiving(model, runs, sender, second[i]?.taps ?? {}, common)),
          [],
          together,
        );
    const raw = this.values[pair]?.raw ?? [];
    chunk.forEach(({ index }, i) => {
      const found = third[i]?.scores[0];
      raw[index] = found ? metricOf(metric.kind, found) : NaN;
    });
  }

  /** A sequence of the base prompt that enters at a layer, from a position on. */
  private common(pair: number, runs: PairRuns): (layer: number, from: number) => Omit<Sequence, 'patches' | 'scores'> {
    const ids = this.request.pairs[pair]?.[this.base] ?? [];
    return (layer, from) => {
      const stream = layer > 0 ? runs[this.base].taps[`blocks.${layer - 1}.hook_resid_post`]?.data : undefined;
      const width = stream ? stream.length / ids.length : 0;
      return {
        ids,
        promptLength: ids.length,
        edits: [],
        taps: [],
        logits: [],
        prefix: { of: 'kept', length: from },
        ...(stream ? { start: { layer, residual: stream.slice(from * width) } } : {}),
      };
    };
  }

  /** The sender's own output, of the other run, at the senders' positions. */
  private sent({ planner }: Runtime, pair: number, runs: PairRuns, { layer, head }: Sender): Patch {
    const at = head === undefined ? mlpHook(layer) : zHook(layer);
    const { data, units, width } = hookRows(runs[otherOf(this.base)].taps[at], findHook(planner.hooks, at));
    const where = this.positions(pair);
    const map = new Map(where.map((p) => [p, p]));
    const from = head === undefined ? {} : { from: head * width };
    return { at, where, ...(head === undefined ? {} : { head }), source: { data, width, rowWords: units * width, map, ...from } };
  }

  /** Every head's z and every MLP's output as they were: of all senders alike, before their own. */
  private kept({ planner, spec }: Runtime, runs: PairRuns): Patch[] {
    const { base, request } = this;
    return Array.from({ length: spec.layers }, (_, layer) => [
      zHook(layer),
      ...(spec.dMlp > 0 && !request.throughMlps ? [mlpHook(layer)] : []),
    ])
      .flat()
      .map((at) => {
        const rows = hookRows(runs[base].taps[at], findHook(planner.hooks, at));
        return patchOf(at, { index: 0, layer: 0 }, rows, undefined, rows.count);
      });
  }

  /** The third run of a sender: its receivers' inputs as the second noted them. */
  private receiving(
    { planner, spec }: Runtime,
    runs: PairRuns,
    sender: Sender,
    taps: Readonly<Record<string, Tensor>>,
    common: (layer: number, from: number) => Omit<Sequence, 'patches' | 'scores'>,
  ): Sequence {
    const { from } = sender;
    const reached = this.request.receivers.filter((each) => reaches(spec, sender, each));
    const layers = reached.map((each) => (each === 'logits' ? spec.layers - 1 : each.layer));
    const patches: Patch[] = [];
    const edits: EngineEdit[] = [];
    for (const receiver of reached) {
      if (receiver === 'logits') {
        edits.push(this.change(runs, sender, taps, spec));
        continue;
      }
      const at = receiverHook(receiver);
      const { data, units, width, count } = hookRows(taps[at], findHook(planner.hooks, at));
      const map = new Map(Array.from({ length: count }, (_, i) => [from + i, i]));
      const head = 'head' in receiver ? receiver.head : undefined;
      const source = { data, width, rowWords: units * width, map, ...(head === undefined ? {} : { from: head * width }) };
      patches.push({ at, where: [...map.keys()], ...(head === undefined ? {} : { head }), source });
    }
    return { ...common(Math.min(...layers), from), edits, patches, scores: [runs.metric.position] };
  }

  /** What the direct path adds to the last stream, at the metric's position. */
  private change(runs: PairRuns, { from }: Sender, taps: Readonly<Record<string, Tensor>>, spec: ModelSpec): EngineEdit {
    const at = `blocks.${spec.layers - 1}.hook_resid_post`;
    const { position } = runs.metric;
    const d = spec.dModel;
    const there = runs[this.base].taps[at]?.data ?? new Float32Array(0);
    const found = taps[at]?.data ?? new Float32Array(0);
    const vector = Float32Array.from({ length: d }, (_, i) => (found[(position - from) * d + i] ?? 0) - (there[position * d + i] ?? 0));
    return { kind: 'add', at, where: [position], skipSpecial: false, strength: 1, enabled: true, vector, scale: 1 };
  }

  result({ spec }: Runtime): Grid {
    const columns = this.columns(spec);
    const labels = Array.from({ length: columns }, (_, h) => (h < spec.heads ? String(h) : 'MLP'));
    const layer = { name: 'layer', labels: Array.from({ length: spec.layers }, (_, l) => String(l)) };
    const tokens = this.request.pairs.reduce((sum, { clean }) => sum + clean.length, 0);
    return {
      ...gathered(
        { axes: [layer, { name: 'head', labels }], shape: [spec.layers, columns], size: spec.layers * columns },
        this.values,
        this.request.metric.kind,
      ),
      milliseconds: this.milliseconds,
      rowsComputed: this.rowsComputed,
      rowsNaive: spec.layers * columns * spec.layers * tokens,
      rowsSkipped: this.rowsSkipped,
    };
  }

  rest(model: Runtime): void {
    this.ready = undefined;
    model.scratch.drop(`${this.name}.`);
  }
}
