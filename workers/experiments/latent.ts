/**
 * One latent, from its weights alone: the tokens that its direction promotes and suppresses, latents with like directions, and how far what it
 * writes is from what it reads. The direction is read as the final stream would be, without the norm's scale (which depends on the text):
 *
 *   logit weight of token t = W_U[t] · (w ⊙ (d − mean d))     w the gain of ln_final; no mean is taken off where the norm takes none (RMS)
 *   neighbours              cos(d, d_j) over the decoder
 *   cosine                  cos(W_enc, W_dec), where both are of the same place
 * d = W_dec of the latent, brought to the stream by W_O (hook_z) or W_out (hook_post).
 */
import type { EngineLatent } from '../contract';
import type { LoadedDictionary } from '../dictionary/load';
import { checkLatent, isTranscoder } from '../dictionary/spec';
import type { Op } from '../gpu/commands';
import { pad4 } from '../kernels/grid';
import { linear, type WeightMatrix } from '../kernels/linear';
import { LabError } from '../errors';
import { unembed } from '../model/head';
import { matrixOf } from '../model/matrices';
import type { Runtime } from '../model/runtime';
import { finalGains, readMatrixRows, readWords } from '../model/weight-words';

export async function latentWeights(model: Runtime, d: LoadedDictionary, latent: number, top: number): Promise<EngineLatent> {
  checkLatent(d.spec, latent);
  const [encoder, decoder] = await readMatrixRows(model, [
    { matrix: d.encoder, row: latent },
    { matrix: d.decoder, row: latent },
  ]);
  if (!encoder || !decoder) throw new LabError('internal', 'A latent’s weights did not come back.', 'Please report this.');
  const { gpu, planner, spec, scratch: pool } = model;
  const { layout } = planner;
  gpu.write(pool.need('latent.d', decoder.byteLength), 0, decoder);
  const ops: Op[] = [];
  const product = (name: string, x: string, weights: WeightMatrix, y: string, words: number): void => {
    pool.need(y, 4 * words);
    ops.push(...linear({ name, x, rows: 1, weights, epilogue: { kind: 'plain' }, y, yStride: words, variants: planner.variants }));
  };
  product(`${d.name}.dec`, 'latent.d', d.decoder, 'sae.pre', pad4(d.spec.latents));
  const through = /^(blocks\.\d+)\.(attn\.hook_z|mlp\.hook_post)$/.exec(d.spec.hookOut);
  if (through) {
    const name = `${through[1]}.${through[2] === 'attn.hook_z' ? 'attn' : 'mlp'}.out`;
    product(name, 'latent.d', matrixOf(planner.weights, name), 'latent.stream', layout.dModel);
  }
  const [products, stream] = await readWords(model, ops, [
    { buffer: 'sae.pre', words: d.spec.latents },
    { buffer: through ? 'latent.stream' : 'latent.d', words: layout.dModel },
  ]);
  const direction = new Float32Array(layout.dModel);
  const gains = await finalGains(model);
  const values = (stream ?? direction).subarray(0, spec.dModel);
  const mean = spec.norm.kind === 'layer' ? values.reduce((sum, each) => sum + each, 0) / spec.dModel : 0;
  values.forEach((each, i) => (direction[i] = (each - mean) * (gains[i] ?? 1)));
  gpu.write(pool.need('final', direction.byteLength), 0, direction);
  pool.need('logits', 4 * layout.vocab);
  // A bias or a cap would be the same for every latent, and is none of its weights.
  const head = unembed(planner, { x: 'final', row0: 0, rows: 1, normed: true, bare: true });
  const [logits] = await readWords(model, head, [{ buffer: 'logits', words: spec.vocabOut }]);
  const norms = d.decoderNorms;
  const norm = norms[latent] ?? 0;
  const cosines = Float32Array.from(products ?? [], (each, i) => each / (norm * (norms[i] ?? 0) || 1));
  const order = (of: Float32Array, sign: number): number[] => {
    const all = [...of.keys()];
    return all.sort((a, b) => sign * ((of[b] ?? 0) - (of[a] ?? 0)) || a - b);
  };
  const weights = logits ?? new Float32Array(0);
  const named = (id: number): { id: number; weight: number } => ({ id, weight: weights[id] ?? 0 });
  return {
    promoted: order(weights, 1).slice(0, top).map(named),
    suppressed: order(weights, -1).slice(0, top).map(named),
    neighbours: order(cosines, 1)
      .filter((each) => each !== latent)
      .slice(0, top)
      .map((each) => ({ latent: each, cosine: cosines[each] ?? 0 })),
    cosine: isTranscoder(d.spec) ? NaN : dot(encoder, decoder) / (Math.sqrt(dot(encoder, encoder) * dot(decoder, decoder)) || 1),
    norm,
  };
}

const dot = (a: Float32Array, b: Float32Array): number => a.reduce((sum, each, i) => sum + each * (b[i] ?? 0), 0);
