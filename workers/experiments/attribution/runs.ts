/** A pair as an estimate needs it: the other run's values and metric, and the base run's with its gradients: two forward runs and one backward. */
import type { Tensor } from '../../api';
import { LabError } from '../../errors';
import { gradients, type GradientSequence } from '../../model/backward/gradient';
import { metricGradient } from '../../model/backward/metric-gradient';
import { metricFor, metricPosition } from '../../model/causal/metric';
import type { Measured } from '../../model/collect';
import { runBatch, type Measure } from '../../model/run';
import { sidesFor, type Estimate, type Hands } from './call';

export interface Ran {
  clean: number;
  corrupted: number;
  /** Of the base run. */
  taps: Record<string, Tensor>;
  gradients: Record<string, Tensor>;
  other: Record<string, Tensor>;
  measured: readonly Measured[];
  /** As a sequence of a batch, edits to come. */
  sequence: GradientSequence;
}

/** `at`: gradients of the base run; `taps`: values of both. */
export async function runPair(
  { model, hands, turn }: Hands,
  request: Estimate,
  index: number,
  { at, taps, measures = [] }: { at: readonly string[]; taps: readonly string[]; measures?: readonly Measure[] },
): Promise<Ran> {
  const pair = request.pairs[index];
  if (!pair) throw new LabError('internal', 'There is no such pair.', 'Please report this.');
  const metric = metricFor(request.metric, pair);
  const position = metricPosition(metric.position, pair.clean.ids.length);
  const { base, other } = sidesFor(request, pair);
  const promptLength = other.ids.length;
  const [far] = await turn(() => runBatch(model, [{ ...other, promptLength, taps, logits: [position] }], measures, hands));
  if (!far) throw new LabError('internal', 'A run gave nothing.', 'Please report this.');
  // KL is of the clean run: of itself where that is the base run, whose slope is then 0.
  const reference = request.direction === 'denoise' ? { reference: far.logits } : {};
  const sequence: GradientSequence = {
    ids: base.ids,
    promptLength: base.ids.length,
    edits: base.edits,
    metric: { ...metric, position },
    ...reference,
  };
  const [near] = await turn(() => gradients(model, [sequence], at, taps, hands));
  if (!near) throw new LabError('internal', 'A gradient gave no result.', 'Please report this.');
  const clean = request.direction === 'denoise' ? far.logits : near.logits;
  const away = metricGradient(metric, far.logits, { reference: clean }).value;
  const [first, second] = request.direction === 'denoise' ? [away, near.value] : [near.value, away];
  return {
    clean: first,
    corrupted: second,
    taps: near.taps,
    gradients: near.gradients,
    other: far.taps,
    measured: far.measured,
    sequence: { ...sequence, reference: clean },
  };
}
