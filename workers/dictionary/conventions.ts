/**
 * A dictionary under a contract that it was not loaded with: the same weights, read another way. What one convention or another makes of a row
 * happens before the encoder and after the decoder, and both are few numbers; so rows are brought to what the loaded encoder would have to be
 * given (float64, here), and the products stay on the GPU (experiments/check-contract.ts).
 *
 *   wanted     u = gain ⊙ normalised(x) + bias − b_dec·[subtractBDec]                       pre = W_enc·u + b_enc
 *   loaded     pre = W_enc·(gain_l ⊙ z + bias_l − b_dec·[subtractBDec_l]) + b_enc            so z = (u + b_dec·[…_l] − bias_l) / gain_l
 * gain and bias: the norm's, where the contract has normGain. The formulas are those of shaders/sae-*.wgsl.
 */
import type { Contract, DictionarySpec } from './spec';
import { isTranscoder } from './spec';

/** The norm at the hook that is read. */
export interface NormAt {
  gain: ArrayLike<number>;
  bias?: ArrayLike<number>;
}

/** How a row was brought to the dictionary's scale, and back: x̂ = (x − shift)·inner, y = ŷ·outer + shift. */
interface Scaling {
  shift: number;
  inner: number;
  outer: number;
}

/** As shaders/sae-normalise.wgsl. */
const EPS = 1e-5;
/** A gain this small cannot be divided by: what it multiplied is lost. */
const LEAST_GAIN = 1e-6;

function scalingOf({ residual, normalisation, scale }: Contract, x: ArrayLike<number>, start: number, d: number): Scaling {
  if (residual === 'raw' && normalisation !== 'layer_norm') return { shift: 0, inner: scale, outer: 1 / scale };
  let mean = 0;
  for (let i = 0; i < d; i++) mean += (x[start + i] ?? 0) / d;
  if (normalisation !== 'layer_norm') return { shift: mean, inner: scale, outer: 1 / scale };
  let square = 0;
  for (let i = 0; i < d; i++) square += ((x[start + i] ?? 0) - mean) ** 2;
  const deviation = Math.sqrt(square / Math.max(1, d - 1));
  return { shift: mean, inner: 1 / (deviation + EPS), outer: deviation };
}

/** What a decoded row is multiplied by to undo its input's normalisation, as shaders/sae-latents.wgsl has it. */
export const outerOf = (contract: Contract, x: ArrayLike<number>, start: number, d: number): number =>
  scalingOf(contract, x, start, d).outer;

export interface Reading {
  spec: DictionarySpec;
  /** As it was loaded, and as it is to be read. */
  loaded: Contract;
  wanted: Contract;
  /** Rows at the hook that is read, [rows, dIn]. */
  x: ArrayLike<number>;
  bDec: ArrayLike<number>;
  norm?: NormAt | undefined;
}

/** What the loaded encoder, its normalisation left out, is to be given: [rows, dIn]. */
export function encoderRows({ spec, loaded, wanted, x, bDec, norm }: Reading): Float32Array<ArrayBuffer> {
  const { dIn } = spec;
  const out = new Float32Array(x.length);
  for (let start = 0; start < x.length; start += dIn) {
    const { shift, inner } = scalingOf(wanted, x, start, dIn);
    for (let i = 0; i < dIn; i++) {
      const normal = ((x[start + i] ?? 0) - shift) * inner;
      const off = (wanted.subtractBDec ? (bDec[i] ?? 0) : 0) - (loaded.subtractBDec ? (bDec[i] ?? 0) : 0);
      out[start + i] = regained(normal, i, loaded, wanted, norm, off);
    }
  }
  return out;
}

/** What a skip connection, loaded with it, is to be given: it reads the hook as it is. [rows, dIn] */
export function skipRows({ spec, loaded, wanted, x, norm }: Reading): Float32Array<ArrayBuffer> {
  const out = new Float32Array(x.length);
  for (let at = 0; at < x.length; at++) out[at] = regained(x[at] ?? 0, at % spec.dIn, loaded, wanted, norm, 0);
  return out;
}

/** The wanted gain on, the loaded one off, `off` taken off in between. */
function regained(x: number, i: number, loaded: Contract, wanted: Contract, norm: NormAt | undefined, off: number): number {
  const [gain, bias] = [norm?.gain[i] ?? 1, norm?.bias?.[i] ?? 0];
  if ((wanted.normGain === true) === (loaded.normGain === true) && off === 0) return x;
  const u = (wanted.normGain ? gain * x + bias : x) - off;
  if (!loaded.normGain) return u;
  return Math.abs(gain) < LEAST_GAIN ? 0 : (u - bias) / gain;
}

/** Reconstructions out of what the decoder gives, [rows, dOut]: its normalisation undone, then the skip's part added. */
export function undone(
  { spec, wanted, x }: Pick<Reading, 'spec' | 'wanted' | 'x'>,
  decoded: ArrayLike<number>,
  skip?: ArrayLike<number>,
): Float64Array {
  const { dIn, dOut } = spec;
  const out = new Float64Array(decoded.length);
  for (let r = 0; r * dOut < decoded.length; r++) {
    // A transcoder writes elsewhere, where its input's mean and spread mean nothing.
    const { shift, outer } = isTranscoder(spec) ? { shift: 0, outer: 1 / wanted.scale } : scalingOf(wanted, x, r * dIn, dIn);
    for (let o = r * dOut; o < (r + 1) * dOut; o++) out[o] = (decoded[o] ?? 0) * outer + shift + (skip?.[o] ?? 0);
  }
  return out;
}

/** Σ‖y − ŷ‖² / Σ‖y − ȳ‖², ȳ the mean row. */
export function fvu(y: ArrayLike<number>, reconstruction: ArrayLike<number>, width: number): number {
  const rows = y.length / width;
  const mean = new Float64Array(width);
  for (let i = 0; i < y.length; i++) mean[i % width] = (mean[i % width] ?? 0) + (y[i] ?? 0) / rows;
  let missed = 0;
  let spread = 0;
  for (let i = 0; i < y.length; i++) {
    missed += ((y[i] ?? 0) - (reconstruction[i] ?? 0)) ** 2;
    spread += ((y[i] ?? 0) - (mean[i % width] ?? 0)) ** 2;
  }
  return missed / spread;
}

/** The scalar that brings the rows' mean length to √d, as a contract's `scale` does, to six digits: [rows, d]. */
export function scaleTo(x: ArrayLike<number>, d: number, centred: boolean): number {
  let total = 0;
  for (let start = 0; start < x.length; start += d) {
    const { shift } = scalingOf({ ...PLAIN, residual: centred ? 'centred' : 'raw' }, x, start, d);
    let square = 0;
    for (let i = 0; i < d; i++) square += ((x[start + i] ?? 0) - shift) ** 2;
    total += Math.sqrt(square);
  }
  return Number(((Math.sqrt(d) * x.length) / d / total).toPrecision(6));
}

/** Nothing done to a row. */
export const PLAIN: Contract = {
  residual: 'raw',
  normalisation: 'none',
  scale: 1,
  subtractBDec: false,
  rescaleByDecoderNorm: false,
  reshape: 'none',
  prependBos: false,
};
