/**
 * How large is an edit, seen from the residual it acts on? Norms are means over the prompt's positions, the first left out
 * where there are others: it often carries a massive activation (Sun et al. 2024) that would make every edit look small.
 *
 *   add      |strength·scale|·‖v‖ / mean‖x‖
 *   project  mean |strength·(1 − keep)·(x·v̂)| / mean‖x‖
 *   cap      mean |strength·max(0, x·v̂ − cap)| / mean‖x‖
 *   latent   set: mean |strength·(value − a)|·‖d‖ / mean‖x‖; added to: |strength·value|·‖d‖ / mean‖x‖. d: the latent's row of W_dec
 */
import type { DictionaryInfo, SparseRows, Tensor } from '../../workers/api';
import type { Dial, DialKind } from './dial';

export interface Reading {
  /** mean ‖x‖ at the hook, over the measured positions. */
  residual: number;
  /** ‖v‖, or ‖d‖ of a latent. */
  length: number;
  /** x·v̂ at each measured position, or the latent's activation. */
  along: Float64Array;
}

export function measure(tap: Tensor, vector: Float32Array): Reading | undefined {
  const positions = tap.shape[0] ?? 0;
  const width = vector.length;
  if (positions === 0 || tap.data.length !== positions * width) return undefined;
  let length = 0;
  for (const v of vector) length += v * v;
  length = Math.sqrt(length);
  const first = positions > 1 ? 1 : 0;
  const along = new Float64Array(positions - first);
  let residual = 0;
  for (let p = first; p < positions; p++) {
    let square = 0;
    let dot = 0;
    for (let i = 0; i < width; i++) {
      const x = tap.data[p * width + i] ?? 0;
      square += x * x;
      dot += x * (vector[i] ?? 0);
    }
    residual += Math.sqrt(square) / (positions - first);
    along[p - first] = length ? dot / length : 0;
  }
  return { residual, length, along };
}

/** The same of a latent, from an encoding of the unedited prompt. None where each row is scaled by a number of its own (layer_norm). */
export function measureLatent(rows: SparseRows, latent: number, norm: number, contract: DictionaryInfo['contract']): Reading | undefined {
  const { normalisation, scale } = contract;
  if (normalisation === 'layer_norm' || rows.rows.length === 0) return undefined;
  const first = rows.rows.length > 1 ? 1 : 0;
  const measured = rows.inputNorm.slice(first);
  return {
    residual: measured.reduce((sum, x) => sum + x, 0) / measured.length,
    length: norm / (normalisation === 'scale' && typeof scale === 'number' ? scale : 1),
    along: Float64Array.from(rows.rows.slice(first), (row) => row.find(([n]) => n === latent)?.[1] ?? 0),
  };
}

/** The edit's size as a share of the residual norm, master dial included; 0 while it is off. */
export function share(dial: Dial, master: number, reading: Reading): number {
  if (!dial.enabled || reading.residual === 0) return 0;
  const strength = Math.abs(dial.strength * master);
  const mean = (f: (x: number) => number) => reading.along.reduce((sum, x) => sum + Math.abs(f(x)), 0) / (reading.along.length || 1);
  if (dial.kind === 'add') return (strength * Math.abs(dial.value) * reading.length) / reading.residual;
  if (dial.kind === 'project') return (strength * mean((x) => (1 - dial.value) * x)) / reading.residual;
  if (dial.kind === 'latent')
    return (strength * mean((x) => (dial.latent?.op === 'add' ? dial.value : dial.value - x)) * reading.length) / reading.residual;
  return (strength * mean((x) => Math.max(0, x - dial.value))) / reading.residual;
}

export const FORMULA: Record<DialKind, string> = {
  replace: 'x + share · (r − x), r: what stands in its place; no share of the residual is told',
  add: '|strength · scale| · ‖v‖ ÷ mean ‖x‖ over the prompt, first token left out',
  project: 'mean |strength · (1 − keep) · x·v̂| ÷ mean ‖x‖ over the prompt, first token left out',
  cap: 'mean strength · max(0, x·v̂ − cap) ÷ mean ‖x‖ over the prompt, first token left out',
  latent:
    'mean |strength · Δa| · ‖W_dec‖ ÷ mean ‖x‖ over the prompt, first token left out; Δa: activation − a where it is set, activation where it is added',
};

/** 1, 2 or 5 times a power of ten, at least x. */
export function niceCeil(x: number): number {
  if (!(x > 0) || !Number.isFinite(x)) return 1;
  const power = 10 ** Math.floor(Math.log10(x));
  const lead = x / power;
  return (lead <= 1.0001 ? 1 : lead <= 2.0001 ? 2 : lead <= 5.0001 ? 5 : 10) * power;
}

/** The slider's ends and step: for add, ± what reaches the residual norm; for cap, ± the residual norm. */
export function range(
  dial: Pick<Dial, 'kind' | 'value' | 'reach' | 'replace'>,
  reading: Reading | undefined,
): { min: number; max: number; step: number } {
  if (dial.kind === 'project') return { min: Math.min(-1, dial.value), max: Math.max(1, dial.value), step: 0.01 };
  if (dial.kind === 'latent') {
    const max = Math.max(dial.reach ?? 0, Math.abs(dial.value)) || 10;
    return { min: Math.min(0, dial.value), max, step: max / 200 };
  }
  if (dial.replace) return { min: Math.min(dial.replace.by === 'zero' ? -1 : 0, dial.value), max: Math.max(1, dial.value), step: 0.01 };
  if (dial.reach && dial.kind === 'add') {
    const max = Math.max(dial.reach, Math.abs(dial.value));
    return { min: -max, max, step: max / 200 };
  }
  const reach = !reading ? 10 : dial.kind === 'add' ? reading.residual / (reading.length || 1) : reading.residual;
  const max = niceCeil(Math.max(reach, Math.abs(dial.value)));
  return { min: -max, max, step: max / 200 };
}
