/**
 * What the latents of a dictionary write towards a logit. Where it writes stands x = y + error, and y is the sum of value·d over its active latents (each over the decoder's
 * norm, the dictionary's scale and a LayerNorm's spread, where its contract has them), and what depends on no latent: b_dec, the mean that is put back, a skip connection.
 */
import { wordOf, roomOf, type LoadedDictionary } from '../../dictionary/load';
import { isNeurons, type AnyDictionary } from '../../dictionary/neurons';
import { isTranscoder } from '../../dictionary/spec';
import { LabError } from '../../errors';
import { listWords, readList } from '../../kernels/dictionary';
import type { Measure } from '../../model/run';
import { readMatrixRows } from '../../model/weight-words';
import { placeOf, type Reading } from './reading';

export interface LatentPart {
  name: string;
  latent?: number;
  value: number;
}

/** Places whose numbers reach the logits by nothing but what model/direction.ts knows. */
const READABLE = /^hook_(embed|pos_embed)$|^blocks\.\d+\.(hook_(resid_(pre|mid|post)|attn_out|mlp_out)|attn\.hook_z|mlp\.hook_post)$/;

export function checkReadable({ spec }: AnyDictionary): void {
  if (!READABLE.test(spec.hookOut))
    throw new LabError(
      'option-unsupported',
      `What a dictionary writes to ${spec.hookOut} does not reach the logits directly.`,
      'Choose one of the stream, of attention’s or an MLP’s output, of hook_z or of neurons.',
    );
}

export const measureOf = (d: AnyDictionary): Measure => ({ dictionary: d.id, room: roomOf(d), width: d.output.words, y: true });

/** Is what was changed at `hook` part of what stands where the dictionary writes? `order`: the model's hooks. */
export function within(order: readonly string[], hookOut: string, hook: string): boolean {
  if (order.indexOf(hook) > order.indexOf(hookOut)) return false;
  const [here, there] = [placeOf(hookOut), placeOf(hook)];
  if (here) return there?.layer === here.layer && there.branch === here.branch;
  return hookOut === hook || hookOut.includes('hook_resid_');
}

export async function latentParts(read: Reading, d: AnyDictionary, top: number): Promise<LatentPart[]> {
  const { measured, position } = read;
  if (!measured?.y) throw new LabError('internal', 'The dictionary gave nothing.', 'Please report this.');
  const { pairs, truncated } = readList(measured.lists, position * listWords(roomOf(d)));
  const { hookOut, dOut } = d.spec;
  const y = Float64Array.from({ length: dOut }, (_, i) => measured.y?.[position * d.output.words + wordOf(d.output, i)] ?? 0);
  const x = read.row(hookOut);
  const reads = isNeurons(d)
    ? await readsOfNeurons(read, d.layer)
    : await readsOf(
        read,
        d,
        pairs.map(([latent]) => latent),
      );
  const parts = pairs
    .map(([latent, value], i) => ({ latent, value: value * (isNeurons(d) ? (reads[latent] ?? 0) : (reads[i] ?? 0)) }))
    .sort((a, b) => Math.abs(b.value) - Math.abs(a.value) || a.latent - b.latent);
  const all = parts.reduce((sum, { value }) => sum + value, 0);
  const made = await read.readAt(hookOut, y);
  const left = parts.slice(top);
  return [
    ...parts.slice(0, top).map(({ latent, value }) => ({ name: `latent ${latent}`, latent, value })),
    ...(left.length ? [{ name: `${left.length} other latents`, value: left.reduce((sum, { value }) => sum + value, 0) }] : []),
    { name: truncated ? 'dictionary bias, and latents that were not listed' : 'dictionary bias', value: made - all },
    { name: 'dictionary error', value: (await read.readAt(hookOut, x)) - made },
  ];
}

/** What one unit of each latent reads as. */
async function readsOf(read: Reading, d: LoadedDictionary, latents: readonly number[]): Promise<number[]> {
  const { hookIn, hookOut, dOut, contract } = d.spec;
  const rows = await readMatrixRows(
    read.model,
    latents.map((row) => ({ matrix: d.decoder, row })),
  );
  const spread = contract.normalisation === 'layer_norm' && !isTranscoder(d.spec) ? deviation(read.row(hookIn)) : 1;
  const out: number[] = [];
  for (const [i, latent] of latents.entries()) {
    const row = Float64Array.from({ length: dOut }, (_, j) => rows[i]?.[wordOf(d.output, j)] ?? 0);
    const norm = contract.rescaleByDecoderNorm ? (d.decoderNorms[latent] ?? 1) || 1 : 1;
    out.push(((await read.readAt(hookOut, row)) * spread) / (norm * contract.scale));
  }
  return out;
}

async function readsOfNeurons(read: Reading, layer: number): Promise<Float64Array> {
  return read.inside(layer, 'mlp');
}

/** Unbiased, as a LayerNorm of a dictionary is undone. */
function deviation(x: ArrayLike<number>): number {
  let [mean, square] = [0, 0];
  for (let i = 0; i < x.length; i++) mean += (x[i] ?? 0) / x.length;
  for (let i = 0; i < x.length; i++) square += ((x[i] ?? 0) - mean) ** 2;
  return Math.sqrt(square / Math.max(1, x.length - 1));
}
