/**
 * A pair's two whole runs, computed once, side by side: what every cell of a grid takes from them. The base run is the one that cells are made in (the
 * corrupted one to denoise, the clean one to noise); its residuals come back, its keys and values stay on the GPU under a name.
 */
import type { Tensor } from '../../api';
import { LabError } from '../../errors';
import type { Op, Runner } from '../../gpu/commands';
import { metricOf, metricPosition, type ResolvedMetric } from '../../model/causal/metric';
import type { Measured } from '../../model/collect';
import type { Sides, Which } from '../../model/causal/sides';
import { planBatch, runBatch, type Measure, type Sequence, type Together } from '../../model/run';
import type { Runtime } from '../../model/runtime';

export type { Which } from '../../model/causal/sides';
export const otherOf = (which: Which): Which => (which === 'clean' ? 'corrupted' : 'clean');

export interface Ran {
  taps: Readonly<Record<string, Tensor>>;
  metric: number;
  measured: readonly Measured[];
}
export interface PairRuns {
  clean: Ran;
  corrupted: Ran;
  metric: ResolvedMetric;
  /** The base run's keys and values, and the clean run's row of logits, begin with this name. */
  as: string;
}

export interface PairCall {
  sides: Sides;
  base: Which;
  metric: { kind: ResolvedMetric['kind']; position: number; tokens: readonly number[] };
  /** Hooks whose values are wanted of the base run and of the other. */
  taps: { base: readonly string[]; other: readonly string[] };
  measures: readonly Measure[];
  as: string;
}

/** How a batch is run, and who counts its rows. */
export interface Hands {
  by: Runner;
  counted(ops: readonly Op[]): void;
}

export const referenceOf = (as: string): string => `${as}.reference`;
export const pairOf = (tokens: readonly number[]): [number, number] => [tokens[0] ?? 0, tokens[1] ?? tokens[0] ?? 0];

export function pairBatch(call: PairCall): { sequences: Sequence[]; together: Together; metric: ResolvedMetric } {
  const { sides, base, taps, as } = call;
  const position = metricPosition(call.metric.position, sides.clean.ids.length);
  const sequences = (['clean', 'corrupted'] as const).map((which): Sequence => ({
    ids: sides[which].ids,
    promptLength: sides[which].ids.length,
    edits: sides[which].edits,
    taps: which === base ? taps.base : taps.other,
    logits: [],
    scores: [position],
  }));
  const reference = call.metric.kind === 'kl' ? { reference: { buffer: referenceOf(as), of: 0 } } : {};
  return {
    sequences,
    together: { save: { sequence: base === 'clean' ? 0 : 1, as }, score: { tokens: pairOf(call.metric.tokens), ...reference } },
    metric: { ...call.metric, position },
  };
}

export async function runPair(model: Runtime, call: PairCall, hands: Hands): Promise<PairRuns> {
  const { sequences, together, metric } = pairBatch(call);
  const [clean, corrupted] = await runBatch(model, sequences, call.measures, { ...together, by: counting(hands.by, hands.counted) });
  if (!clean || !corrupted) throw new LabError('internal', 'A pair of runs gave nothing.', 'Please report this.');
  const ran = ({ taps, scores, measured }: typeof clean): Ran => ({
    taps,
    measured,
    metric: scores[0] ? metricOf(metric.kind, scores[0]) : NaN,
  });
  return { clean: ran(clean), corrupted: ran(corrupted), metric, as: call.as };
}

/** The same, and what was run is told. */
export function counting(by: Runner, counted: (ops: readonly Op[]) => void): Runner {
  const run: Runner['run'] = async (program, ops) => {
    await by.run(program, ops);
    counted(ops);
  };
  return { ...by, run };
}

/** The operations of a pair's runs, not run. */
export async function explainPair(model: Runtime, call: PairCall): Promise<Op[]> {
  const { sequences, together } = pairBatch(call);
  return (await planBatch(model, sequences, call.measures, together)).ops;
}

/** (sequence, layer, position) triples whose attention was computed: the rows of its dispatches. Every block has one, whether or not an MLP follows. */
export function rowsOf(ops: readonly Op[]): number {
  let rows = 0;
  for (const op of ops)
    if (op.op === 'dispatch' && op.kernel === 'attention') rows += op.variant === 'serial' ? (op.params[0] ?? 0) : op.groups[1];
  return rows;
}
