/** What comes back of a batch: bytes that were read, as tensors, distributions, metrics and lists of latents. */
import type { Tensor } from '../api';
import { LabError } from '../errors';
import { listWords } from '../kernels/dictionary';
import { HEADER, resultWords } from '../kernels/distribution';
import { SCORE_WORDS } from '../kernels/metric';
import type { RowRead } from './causal/metric';
import { findHook, geometryOf, type HookInfo } from './hooks';
import type { Laid, Measure, Planned } from './run';
import type { Runtime } from './runtime';
import { firstKey, windowOf } from './spec';

export interface Distribution {
  max: number;
  sum: number;
  /** nats */
  entropy: number;
  /** nats, of the row against its reference: KL(reference ‖ row). NaN without one. */
  kl: number;
  targetLogProb: number;
  targetRank: number;
  top: { id: number; probability: number }[];
}

export interface SequenceResult {
  taps: Record<string, Tensor>;
  /** [positions asked][d_vocab] */
  logits: Float32Array;
  distribution: Distribution[];
  scores: RowRead[];
}

/** Of each row of a sequence, in order. */
export interface Measured {
  lists: Uint32Array;
  /** ‖x − y‖, ‖x‖; empty where the measure is bare */
  errors: Float32Array;
  y?: Float32Array;
}

export function collect(model: Runtime, planned: Planned, laid: Laid, index: number, bytes: (key: string) => ArrayBuffer): SequenceResult {
  const { spec, planner } = model;
  const { sequence, first, count } = laid;
  const taps: Record<string, Tensor> = {};
  for (const hook of sequence.taps) {
    const info = findHook(planner.hooks, hook);
    taps[hook] = tensorOf(
      info,
      new Float32Array(bytes(`${index}/${hook}`)),
      count,
      first,
      planned.shape.keys,
      hook.endsWith('scores') ? -Infinity : 0,
      windowOf(spec, info.layer ?? 0),
    );
  }
  const logits = new Float32Array(sequence.logits.length * spec.vocabOut);
  sequence.logits.forEach((_, j) =>
    logits.set(new Float32Array(bytes(`${index}/logits/${j}`)).subarray(0, spec.vocabOut), j * spec.vocabOut),
  );
  const scores = scored(planned, index, bytes);
  const wanted = sequence.distribution?.positions.length ?? 0;
  if (!wanted) return { taps, logits, distribution: [], scores };
  const before = planned.laid.slice(0, index).reduce((sum, each) => sum + (each.sequence.distribution?.positions.length ?? 0), 0);
  const all = bytes('dist');
  const step = resultWords(planned.top);
  const rows = Array.from({ length: wanted }, (_, j) => distributionOf(all, (before + j) * step, planned.top));
  return { taps, logits, scores, distribution: rows.map((row) => ({ ...row, top: row.top.slice(0, sequence.distribution?.top ?? 0) })) };
}

/** What was read off a sequence's rows (shaders/metric.wgsl). */
function scored({ laid }: Planned, index: number, bytes: (key: string) => ArrayBuffer): RowRead[] {
  const wanted = laid[index]?.sequence.scores?.length ?? 0;
  if (!wanted) return [];
  const before = laid.slice(0, index).reduce((sum, each) => sum + (each.sequence.scores?.length ?? 0), 0);
  const all = new Float32Array(bytes('metric'));
  return Array.from({ length: wanted }, (_, j) => {
    const at = SCORE_WORDS * (before + j);
    const f = (i: number): number => all[at + i] ?? NaN;
    return { max: f(0), sum: f(1), first: f(2), second: f(3), divergence: f(4), referenceSum: f(6) };
  });
}

interface Whole {
  lists: ArrayBuffer;
  errors: ArrayBuffer;
  y: ArrayBuffer;
}
/** Of all rows; fetched once, a fetch being a copy. */
export function allMeasured({ y, bare }: Measure, index: number, bytes: (key: string) => ArrayBuffer): Whole {
  const some = (wanted: boolean, key: string): ArrayBuffer => (wanted ? bytes(`${key}/${index}`) : new ArrayBuffer(0));
  return { lists: bytes(`lists/${index}`), errors: some(!bare, 'errors'), y: some(y && !bare, 'y') };
}

export function measured({ room, width, y, bare }: Measure, whole: Whole | undefined, { row0, count }: Laid): Measured {
  if (!whole) throw new LabError('internal', 'A measure gave nothing.', 'Please report this.');
  const words = listWords(room);
  return {
    lists: new Uint32Array(whole.lists, 4 * row0 * words, count * words),
    errors: bare ? new Float32Array(0) : new Float32Array(whole.errors, 8 * row0, 2 * count),
    ...(y && !bare ? { y: new Float32Array(whole.y, 4 * row0 * width, count * width) } : {}),
  };
}

/** One row of shaders/distribution.wgsl's results; the logarithms are taken here, in float64. */
export function distributionOf(buffer: ArrayBuffer, at: number, top: number): Distribution {
  const words = new Uint32Array(buffer, 4 * at, resultWords(top));
  const floats = new Float32Array(buffer, 4 * at, resultWords(top));
  const f = (i: number): number => floats[i] ?? NaN;
  const logSum = Math.log(f(1));
  return {
    max: f(0),
    sum: f(1),
    entropy: logSum - f(2) / f(1),
    kl: f(3) - Math.log(f(7)) + logSum,
    targetLogProb: f(4) - f(0) - logSum,
    targetRank: words[5] ?? 0,
    top: Array.from({ length: top }, (_, j) => ({ id: words[HEADER + 2 * j] ?? 0, probability: f(HEADER + 2 * j + 1) })),
  };
}

/** Rows as they lay on the GPU, into TransformerLens's shape. */
function tensorOf(info: HookInfo, rows: Float32Array, count: number, first: number, keys: number, masked: number, window: number): Tensor {
  const { units, width, stride, rowStride } = geometryOf(info, keys);
  if (info.geometry.keys) {
    const length = first + count;
    const data = new Float32Array(units * count * length).fill(masked);
    for (let row = 0; row < count; row++)
      for (let u = 0; u < units; u++) {
        const from = row * rowStride + u * stride;
        const low = firstKey(window, first + row);
        data.set(rows.subarray(from + low, from + first + row + 1), (u * count + row) * length + low);
      }
    return { shape: [units, count, length], data };
  }
  const data = new Float32Array(count * units * width);
  for (let row = 0; row < count; row++)
    for (let u = 0; u < units; u++) {
      const from = row * rowStride + u * stride;
      data.set(rows.subarray(from, from + width), (row * units + u) * width);
    }
  return { shape: [count, ...(info.shape.length === 3 ? [units, width] : [width])], data };
}
