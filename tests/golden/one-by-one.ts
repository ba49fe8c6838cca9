/** A sweep's cells the slow way: each a whole run with one plain edit, its metric taken from all its logits in float64. */
import type { Receiver, Tensor } from '../../workers/api';
import type { EngineEdit, EngineRunResult } from '../../workers/contract';
import type { EngineMetric, EnginePath, EngineSweep } from '../../workers/contract-sweep';
import type { Engine } from '../../workers/engine';
import { gridOf, overHook, type Cell, type CellGrid, type Over } from '../../workers/model/causal/grid';
import type { ModelSpec } from '../../workers/model/spec';
import { run } from '../support/engine';

export const replace = (
  at: string,
  value: Extract<EngineEdit, { kind: 'replace' }>['value'],
  where: EngineEdit['where'],
  head?: number,
): EngineEdit => ({
  kind: 'replace',
  at,
  value,
  where,
  skipSpecial: false,
  strength: 1,
  enabled: true,
  ...(head === undefined ? {} : { head }),
});

/** log p of every token. */
function logProbs(logits: Float32Array): Float64Array {
  const max = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const sum = logits.reduce((all, x) => all + Math.exp(x - max), 0);
  return Float64Array.from(logits, (x) => x - max - Math.log(sum));
}

export function metricOfLogits({ kind, tokens }: EngineMetric, logits: Float32Array, clean: Float32Array): number {
  const [a = 0, b = 0] = tokens;
  if (kind === 'logit-diff') return (logits[a] ?? 0) - (logits[b] ?? 0);
  const own = logProbs(logits);
  if (kind === 'log-prob') return own[a] ?? NaN;
  if (kind === 'probability') return Math.exp(own[a] ?? NaN);
  return logProbs(clean).reduce((sum, p, i) => sum + Math.exp(p) * (p - (own[i] ?? 0)), 0);
}

/** One row of a tensor whose first axis is positions; of scores, the query's rows of all heads stay where they are. */
const rowOf = ({ shape: [count = 1], data }: Tensor, p: number): Tensor => {
  const width = data.length / count;
  return { shape: [width], data: data.slice(p * width, (p + 1) * width) };
};

export interface Slow {
  clean: number;
  corrupted: number;
  /** Of the cells that were computed, by place in the grid. */
  raw: Map<number, number>;
  /** Numbers of the grid, and cells among them. */
  size: number;
  cells: number;
}

export type OneGrid = EngineSweep & { over: Over };

/** Several sweeps of one pair the slow way, `some` cells of each, in one batch; edits in force are none or one and the same list. */
export async function oneByOne(engine: Engine, spec: ModelSpec, requests: readonly OneGrid[], some: number): Promise<Slow[]> {
  const { clean = [], corrupted = [] } = requests[0]?.pairs[0] ?? {};
  const overs = [...new Set(requests.map((each) => each.over))];
  const taps = overs.flatMap((over) => Array.from({ length: spec.layers }, (_, layer) => overHook(over, layer)));
  const inForce = requests.find((each) => each.edits.length > 0)?.edits ?? [];
  const sides = await engine.batch(
    [[], inForce].flatMap((edits) => [run(clean, { edits, taps }), run(corrupted, { edits, taps })]),
    'sides',
  );
  const of = ({ edits }: OneGrid) => (edits.length ? sides.slice(2) : sides.slice(0, 2));
  const all = requests.flatMap((request) => {
    const [c, x] = of(request);
    const [base, other] = request.direction === 'denoise' ? [x, c] : [c, x];
    if (!base || !other) throw new Error('no runs');
    const edit = editsOf(spec, request, base, other);
    return cellsOf(spec, request, some).map((cell) => run(base.ids, { edits: [...request.edits, edit(cell)] }));
  });
  const results = await engine.batch(all, 'cells');
  return requests.map((request) => {
    const { metric } = request;
    const position = metric.position < 0 ? clean.length + metric.position : metric.position;
    const row = (result: EngineRunResult | undefined): Float32Array =>
      result?.logits?.data.subarray(position * spec.vocabOut, (position + 1) * spec.vocabOut) ?? new Float32Array(0);
    const [c, x] = of(request);
    const cells = cellsOf(spec, request, some);
    const own = results.splice(0, cells.length);
    return {
      clean: metricOfLogits(metric, row(c), row(c)),
      corrupted: metricOfLogits(metric, row(x), row(c)),
      raw: new Map(cells.map((cell, i) => [cell.index, metricOfLogits(metric, row(own[i]), row(c))])),
      ...counts(gridOf(spec, request.over, gridKind(request), clean.length)),
    };
  });
}

const counts = ({ size, cells }: CellGrid): Pick<Slow, 'size' | 'cells'> => ({ size, cells: cells.length });

const gridKind = ({ grid }: OneGrid): Exclude<OneGrid['grid'], 'latent'> => (grid === 'latent' ? 'layer-head' : grid);

/** Cells from all over a grid, at most `some`. */
function cellsOf(spec: ModelSpec, request: OneGrid, some: number): Cell[] {
  const { cells } = gridOf(spec, request.over, gridKind(request), request.pairs[0]?.clean.length ?? 0);
  const step = Math.max(1, cells.length / some);
  return Array.from({ length: Math.min(cells.length, some) }, (_, i) => cells[Math.floor(i * step)]).flatMap((cell) => cell ?? []);
}

function editsOf(spec: ModelSpec, request: OneGrid, base: EngineRunResult, other: EngineRunResult): (cell: Cell) => EngineEdit {
  const { over, ablate } = request;
  const tokens = base.ids.length;
  const tapped = (result: EngineRunResult, at: string): Tensor => {
    const found = result.taps[at];
    if (!found) throw new Error(`no values at ${at}`);
    return found;
  };
  return ({ layer, position, head, source }) => {
    const at = overHook(over, layer);
    const where = position === undefined ? 'all' : [position];
    if (ablate === 'zero') return replace(at, 'zero', where, head);
    if (ablate === 'mean') return replace(at, { mean: [[...base.ids]], over: 'all' }, where, head);
    const value = tapped(other, at);
    if (source !== undefined && position !== undefined && head !== undefined) {
      const { shape, data: there } = tapped(base, at);
      const data = there.slice();
      const i = (head * tokens + position) * tokens + source;
      data[i] = value.data[i] ?? 0;
      return replace(at, { shape, data }, where, head);
    }
    if (over === 'pattern' || position === undefined) return replace(at, value, where, head);
    const row = rowOf(value, position);
    if (head === undefined) return replace(at, row, where);
    const width = spec.dHead;
    return replace(at, { shape: [width], data: row.data.slice(head * width, (head + 1) * width) }, where, head);
  };
}

/** Path patching as its three runs, a sender at a time, each with plain edits of whole runs. */
export async function pathByHand(engine: Engine, spec: ModelSpec, request: EnginePath): Promise<number[]> {
  const [pair = { clean: [], corrupted: [] }] = request.pairs;
  const every = Array.from({ length: spec.layers }, (_, layer) => layer);
  const z = (layer: number): string => `blocks.${layer}.attn.hook_z`;
  const mlp = (layer: number): string => `blocks.${layer}.hook_mlp_out`;
  const last = `blocks.${spec.layers - 1}.hook_resid_post`;
  const taps = [...every.flatMap((layer) => [z(layer), mlp(layer)]), last];
  const [clean, corrupted] = await engine.batch([run(pair.clean, { taps }), run(pair.corrupted, { taps })], 'sides');
  const [base, other] = request.direction === 'denoise' ? [corrupted, clean] : [clean, corrupted];
  const of = (result: EngineRunResult | undefined, at: string): Tensor => result?.taps[at] ?? { shape: [], data: new Float32Array(0) };
  const hookOf = (receiver: Receiver): string =>
    receiver === 'logits'
      ? last
      : 'mlp' in receiver
        ? `blocks.${receiver.layer}.mlp.hook_post`
        : `blocks.${receiver.layer}.attn.hook_${receiver.input}`;
  const hooks = request.receivers.map(hookOf);
  const frozen = every.flatMap((layer) => [
    replace(z(layer), of(base, z(layer)), 'all'),
    ...(request.throughMlps ? [] : [replace(mlp(layer), of(base, mlp(layer)), 'all')]),
  ]);
  const senders = every.flatMap((layer) => [
    ...Array.from({ length: spec.heads }, (_, head) => [...frozen, replace(z(layer), of(other, z(layer)), 'all', head)]),
    [...frozen, replace(mlp(layer), of(other, mlp(layer)), 'all')],
  ]);
  const ids = base?.ids ?? [];
  // Attention and MLPs before the sender are as they were, so that freezing them changes nothing.
  const second = await engine.batch(
    senders.map((edits) => run(ids, { edits, taps: hooks })),
    'second',
  );
  const d = spec.dModel;
  const third = await engine.batch(
    second.map((result) => {
      const edits = request.receivers.map((receiver): EngineEdit => {
        const at = hookOf(receiver);
        if (receiver !== 'logits') return replace(at, of(result, at), 'all', 'head' in receiver ? receiver.head : undefined);
        const p = ids.length - 1;
        const vector = Float32Array.from(
          { length: d },
          (_, i) => (of(result, at).data[p * d + i] ?? 0) - (of(base, at).data[p * d + i] ?? 0),
        );
        return { kind: 'add', at, vector, scale: 1, where: [p], skipSpecial: false, strength: 1, enabled: true };
      });
      return run(ids, { edits, logits: 'last' });
    }),
    'third',
  );
  const row = ({ logits }: EngineRunResult): Float32Array => logits?.data ?? new Float32Array(0);
  // KL is of the clean run.
  const [self] = await engine.batch([run(pair.clean, { logits: 'last' })], 'clean');
  return third.map((result) => metricOfLogits(request.metric, row(result), self ? row(self) : row(result)));
}
