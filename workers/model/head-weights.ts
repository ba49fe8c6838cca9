/**
 * A layer's attention as matrices over the stream, read back as they are in use and brought to what a head does to it: the gain of the norm that is read through is folded in, and after a LayerNorm each
 * row loses its mean, as the norm takes it from the stream; the gain of a norm behind the branch (Gemma 2 and 3) is folded into what is written. Norms' scales, which depend on the text, are
 * left out, and so are biases and the rotation: rows of q and k are as at distance 0. Numbers in float64, row-major.
 */
import { lessMean, vectorOf } from './direction';
import { matrixOf } from './matrices';
import type { Runtime } from './runtime';
import { rotaryDims } from './spec';
import { eachStretch } from './weight-words';

/** Each [heads or kv heads][d_head][d_model]: q = W_Q x and so on, and out: what a head's number i writes. */
export interface LayerHeads {
  q: Float64Array[];
  k: Float64Array[];
  v: Float64Array[];
  out: Float64Array[];
}

export async function layerHeads(model: Runtime, layer: number, stop?: () => void): Promise<LayerHeads> {
  const { planner, spec } = model;
  const { heads, kvHeads, dHead, dModel, norm } = spec;
  const b = `blocks.${layer}`;
  const rot = rotaryDims(spec);
  const gain = await vectorOf(model, `${b}.ln1.w`, dModel);
  const after = spec.block.postNorms ? await vectorOf(model, `${b}.ln1_post.w`, dModel) : undefined;
  const [qGain, kGain] = spec.attention.qkNorm
    ? [await vectorOf(model, `${b}.attn.q_norm.w`, dHead), await vectorOf(model, `${b}.attn.k_norm.w`, dHead)]
    : [undefined, undefined];
  const blank = (count: number): Float64Array[] => Array.from({ length: count }, () => new Float64Array(dHead * dModel));
  const found: LayerHeads = { q: blank(heads), k: blank(kvHeads), v: blank(kvHeads), out: blank(heads) };
  const qkv = matrixOf(planner.weights, `${b}.attn.qkv`);
  await eachStretch(
    model,
    qkv,
    (row0, numbers) => {
      for (let start = 0, row = row0; start < numbers.length; start += qkv.k, row++) {
        const unit = Math.floor(row / dHead);
        const i = row % dHead;
        const [part, own, to] =
          unit < heads
            ? [found.q, qGain, unit]
            : unit < heads + kvHeads
              ? [found.k, kGain, unit - heads]
              : [found.v, undefined, unit - heads - kvHeads];
        let read: Float64Array = Float64Array.from({ length: dModel }, (_, j) => (numbers[start + j] ?? 0) * (gain?.[j] ?? 1));
        if (norm.kind === 'layer') read = lessMean(read);
        const by = own?.[dimOf(i, rot)] ?? 1;
        part[to]?.set(by === 1 ? read : read.map((each) => each * by), i * dModel);
      }
    },
    stop,
  );
  const out = matrixOf(planner.weights, `${b}.attn.out`);
  const padded = out.k / heads;
  await eachStretch(
    model,
    out,
    (row0, numbers) => {
      for (let start = 0, row = row0; start < numbers.length; start += out.k, row++)
        for (let head = 0; head < heads; head++) {
          const to = found.out[head];
          for (let i = 0; to && i < dHead; i++) to[i * dModel + row] = (numbers[start + head * padded + i] ?? 0) * (after?.[row] ?? 1);
        }
    },
    stop,
  );
  return found;
}

/** The key-value head that a head reads. */
export const kvHeadOf = ({ heads, kvHeads }: { heads: number; kvHeads: number }, head: number): number =>
  Math.floor((head * kvHeads) / heads);

/** The dimension of a head that a row of q or k is of: the two that a rotation turns lie side by side (place.ts). */
const dimOf = (row: number, rot: number): number => (row >= rot ? row : row % 2 === 0 ? row / 2 : (row - 1) / 2 + rot / 2);
