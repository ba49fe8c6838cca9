/**
 * The latents that promote a token: one number for each, the same as a latent's own page shows for that token (experiments/latent.ts), turned around
 * so that all of them cost one product with the decoder:
 *
 *   W_U[t] · (w ⊙ (s − mean s)) = v · s,   v = w ⊙ u − mean(w ⊙ u)     u = W_U[t], w the gain of ln_final; no mean where the norm takes none (RMS)
 *   s = d, or g ⊙ W·d where d is of hook_z (W = W_O) or hook_post (W = W_out), g the gain of the norm that follows there, where one does;
 *   then v · (g ⊙ W·d) = (Wᵀ(g ⊙ v)) · d. Of an MLP's neurons, d is one of hook_post's axes, and this vector is the answer itself.
 * Wᵀ(g ⊙ v) is summed in float64 from the matrix as it is in use, once a search; the norm's scale depends on the text and is left out.
 */
import type { FoundLatents } from '../api';
import type { EnginePromotes } from '../contract';
import { isNeurons, type AnyDictionary } from '../dictionary/neurons';
import type { Op } from '../gpu/commands';
import { pad4 } from '../kernels/grid';
import { linear } from '../kernels/linear';
import { LabError } from '../errors';
import { matrixOf } from '../model/matrices';
import type { Runtime } from '../model/runtime';
import { eachStretch, gainAfter, normGains, readMatrixRows, readWords } from '../model/weight-words';

export async function promotes(model: Runtime, d: AnyDictionary, request: Omit<EnginePromotes, 'dictionary'>): Promise<FoundLatents> {
  const { sign, top } = request;
  const weights = await weightsOf(model, d, request.token);
  const found = [...weights.keys()].filter((latent) => sign * (weights[latent] ?? 0) > 0);
  found.sort((a, b) => sign * ((weights[b] ?? 0) - (weights[a] ?? 0)) || a - b);
  return {
    latents: found.slice(0, top).map((latent) => ({ latent, score: weights[latent] ?? 0 })),
    of: found.length,
    truncated: false,
  };
}

/** The logit weight of `token` for every latent, [latents]. */
async function weightsOf(model: Runtime, d: AnyDictionary, token: number): Promise<Float32Array> {
  const { gpu, planner, spec, scratch: pool } = model;
  if (!Number.isInteger(token) || token < 0 || token >= spec.vocabOut)
    throw new LabError(
      'token-range',
      `${token} is no token that this model writes.`,
      `Ids are whole numbers from 0 to ${spec.vocabOut - 1}.`,
    );
  const [row] = await readMatrixRows(model, [{ matrix: matrixOf(planner.weights, spec.tied ? 'embed' : 'unembed'), row: token }]);
  const gains = await normGains(model, 'ln_final.w');
  const v = Float64Array.from({ length: spec.dModel }, (_, i) => (gains[i] ?? 1) * (row?.[i] ?? 0));
  if (spec.norm.kind === 'layer') {
    const mean = v.reduce((sum, each) => sum + each, 0) / v.length;
    v.forEach((each, i) => (v[i] = each - mean));
  }
  const brought = await broughtBack(model, d, v);
  if (isNeurons(d)) return Float32Array.from(brought.subarray(0, d.spec.latents));
  const direction = new Float32Array(d.output.words);
  direction.set(brought);
  gpu.write(pool.need('latent.d', direction.byteLength), 0, direction);
  pool.need('sae.pre', 4 * pad4(d.spec.latents));
  const ops: Op[] = linear({
    name: `${d.name}.dec`,
    x: 'latent.d',
    rows: 1,
    weights: d.decoder,
    epilogue: { kind: 'plain' },
    y: 'sae.pre',
    yStride: pad4(d.spec.latents),
    variants: planner.variants,
  });
  const [products] = await readWords(model, ops, [{ buffer: 'sae.pre', words: d.spec.latents }]);
  return products ?? new Float32Array(0);
}

/** v [d_model] as the dictionary's output would have to be multiplied by it: Wᵀv, as the hook's rows lie. */
async function broughtBack(model: Runtime, d: AnyDictionary, v: Float64Array): Promise<Float64Array> {
  const through = /^(blocks\.\d+)\.(attn\.hook_z|mlp\.hook_post)$/.exec(d.spec.hookOut);
  if (!through) return v;
  const matrix = matrixOf(model.planner.weights, `${through[1]}.${through[2] === 'attn.hook_z' ? 'attn' : 'mlp'}.out`);
  const after = await normGains(model, gainAfter(d.spec.hookOut));
  const sum = new Float64Array(matrix.k);
  await eachStretch(model, matrix, (row0, numbers) => {
    for (let r = 0; r < numbers.length / matrix.k; r++) {
      const factor = (v[row0 + r] ?? 0) * (after[row0 + r] ?? 1);
      for (let i = 0; i < matrix.k; i++) sum[i] = (sum[i] ?? 0) + factor * (numbers[r * matrix.k + i] ?? 0);
    }
  });
  return sum;
}
