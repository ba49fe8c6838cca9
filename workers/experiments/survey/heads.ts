/**
 * A latent of a dictionary of hook_z, taken apart by head. z lies head beside head, so its pre-activation at position p is a sum over heads, and, a head's z being
 * its pattern times its values, over the positions that were attended to (Kissane et al. 2024, direct feature attribution):
 *
 *   pre = Σ_h z_ph·W_h + bias              z normalised as the contract says; bias: b_enc − b_dec·W, of gated ones b_gate
 *       = Σ_s Σ_h pattern_hps · v_s(h)·W_h + bias
 */
import type { Tensor } from '../../api';
import type { LoadedDictionary } from '../../dictionary/load';
import type { Runtime } from '../../model/runtime';
import { readMatrixRows, readWords } from '../../model/weight-words';

export interface HeadWeights {
  /** blocks.3.attn */
  attn: string;
  heads: number;
  width: number;
  /** W_enc of the latent, [heads × width], times what multiplies the pre-activation. */
  encoder: Float64Array;
  bias: number;
  /** z → what the encoder reads. */
  normalised: (z: Float32Array) => Float64Array;
  /** Is that a mere multiple, so that positions can be told apart? */
  multiple: number | undefined;
}

/** Undefined where the dictionary reads no heads. */
export async function headWeights(model: Runtime, d: LoadedDictionary, latent: number): Promise<HeadWeights | undefined> {
  const attn = /^(.*\.attn)\.hook_z$/.exec(d.spec.hookIn)?.[1];
  if (attn === undefined) return undefined;
  const [row] = await readMatrixRows(model, [{ matrix: d.encoder, row: latent }]);
  const [params] = await readWords(model, [], [{ buffer: d.params, words: 4, from: 4 * latent }]);
  const { width, stride, d: size } = d.input;
  const [bias = 0, , , last = 1] = params ?? [];
  const gain = d.spec.activation === 'gated' ? 1 : last;
  const heads = size / width;
  const encoder = Float64Array.from({ length: size }, (_, i) => gain * (row?.[Math.floor(i / width) * stride + (i % width)] ?? 0));
  const { normalisation, residual, scale } = d.spec.contract;
  const plain = normalisation !== 'layer_norm' && residual !== 'centred';
  const times = normalisation === 'scale' ? scale : 1;
  return {
    attn,
    heads,
    width,
    encoder,
    bias: gain * bias,
    multiple: plain ? times : undefined,
    normalised: (z) => (plain ? Float64Array.from(z, (each) => times * each) : standardised(z, normalisation === 'layer_norm', times)),
  };
}

/** Less its mean; divided by its deviation (unbiased, + 1e-5) where `divided`. */
function standardised(z: Float32Array, divided: boolean, times: number): Float64Array {
  const mean = z.reduce((sum, each) => sum + each, 0) / z.length;
  const variance = z.reduce((sum, each) => sum + (each - mean) ** 2, 0) / Math.max(1, z.length - 1);
  const by = times / (divided ? Math.sqrt(variance) + 1e-5 : 1);
  return Float64Array.from(z, (each) => (each - mean) * by);
}

/** What must be tapped; `sources`: for `sourceShares` as well. */
export const headTaps = ({ attn, multiple }: HeadWeights, sources: boolean): string[] => [
  `${attn}.hook_z`,
  ...(sources && multiple !== undefined ? [`${attn}.hook_pattern`, `${attn}.hook_v`] : []),
];

/** Each head's share at a position, [heads]. */
export function headShares(
  { attn, heads, width, encoder, normalised }: HeadWeights,
  taps: Record<string, Tensor>,
  position: number,
): number[] {
  const z = taps[`${attn}.hook_z`];
  if (!z) return [];
  const size = heads * width;
  const x = normalised(z.data.subarray(position * size, (position + 1) * size));
  return Array.from({ length: heads }, (_, h) => dot(x, h * width, encoder, h * width, width));
}

/** All heads' shares at a position by the position that they attended to, [position + 1]; undefined where normalising mixes them. */
export function sourceShares(
  { attn, heads, width, encoder, multiple }: HeadWeights,
  taps: Record<string, Tensor>,
  position: number,
): number[] | undefined {
  const pattern = taps[`${attn}.hook_pattern`];
  const v = taps[`${attn}.hook_v`];
  if (!pattern || !v || multiple === undefined) return undefined;
  const [, queries = 0, keys = 0] = pattern.shape;
  const [, kvHeads = 1] = v.shape;
  return Array.from({ length: position + 1 }, (_, s) => {
    let sum = 0;
    for (let h = 0; h < heads; h++) {
      const group = Math.floor((h * kvHeads) / heads);
      const attended = pattern.data[(h * queries + position) * keys + s] ?? 0;
      sum += attended * dot(v.data, (s * kvHeads + group) * width, encoder, h * width, width);
    }
    return multiple * sum;
  });
}

function dot(a: ArrayLike<number>, from: number, b: ArrayLike<number>, at: number, length: number): number {
  let sum = 0;
  for (let i = 0; i < length; i++) sum += (a[from + i] ?? 0) * (b[at + i] ?? 0);
  return sum;
}
