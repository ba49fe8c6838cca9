/**
 * One latent, from its weights alone: the tokens that its direction promotes and suppresses, latents with like directions, and how far what it
 * writes is from what it reads. The direction is read as the final stream would be, without the norm's scale (which depends on the text):
 *
 *   logit weight of token t = W_U[t] · (w ⊙ (d − mean d))     w the gain of ln_final; no mean is taken off where the norm takes none (RMS)
 *   neighbours              cos(d, d_j) over the decoder
 *   cosine                  cos(W_enc, W_dec), where both are of the same place
 * d = W_dec of the latent, brought to the stream by W_O (hook_z) or W_out (hook_post), and times the gain of the norm that follows there, where one does
 * (Gemma 2 and 3). Of an MLP's neuron, d is its row of W_out, cosine is cos(W_in, W_out), and the neighbours are other neurons of its layer.
 */
import type { EngineLatent } from '../contract';
import type { LoadedDictionary } from '../dictionary/load';
import { isNeurons, type AnyDictionary, type LoadedNeurons } from '../dictionary/neurons';
import { checkLatent, isTranscoder } from '../dictionary/spec';
import type { Op } from '../gpu/commands';
import { pad4 } from '../kernels/grid';
import { linear, type WeightMatrix } from '../kernels/linear';
import { columnDots } from '../kernels/neurons';
import { LabError } from '../errors';
import { unembed } from '../model/head';
import { matrixOf } from '../model/matrices';
import type { Runtime } from '../model/runtime';
import { gainAfter, normGains, readMatrixRows, readWords } from '../model/weight-words';

/** What a latent writes into the stream, before any norm, and how it lies to what it reads and to what the others write. */
interface Directions {
  stream: Float32Array;
  cosines: Float32Array;
  cosine: number;
  norm: number;
}

export async function latentWeights(model: Runtime, d: AnyDictionary, latent: number, top: number): Promise<EngineLatent> {
  checkLatent(d.spec, latent);
  const { stream, cosines, cosine, norm } = await (isNeurons(d) ? ofNeuron(model, d, latent) : ofLatent(model, d, latent));
  const { gpu, planner, spec, scratch: pool } = model;
  const { layout } = planner;
  const direction = new Float32Array(layout.dModel);
  const gains = await normGains(model, 'ln_final.w');
  const after = await normGains(model, gainAfter(d.spec.hookOut));
  const values = stream.subarray(0, spec.dModel).map((each, i) => each * (after[i] ?? 1));
  const mean = spec.norm.kind === 'layer' ? values.reduce((sum, each) => sum + each, 0) / spec.dModel : 0;
  values.forEach((each, i) => (direction[i] = (each - mean) * (gains[i] ?? 1)));
  gpu.write(pool.need('final', direction.byteLength), 0, direction);
  pool.need('logits', 4 * layout.vocab);
  // A bias or a cap would be the same for every latent, and is none of its weights.
  const head = unembed(planner, { x: 'final', row0: 0, rows: 1, normed: true, bare: true });
  const [logits] = await readWords(model, head, [{ buffer: 'logits', words: spec.vocabOut }]);
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
    cosine,
    norm,
  };
}

async function ofLatent(model: Runtime, d: LoadedDictionary, latent: number): Promise<Directions> {
  const [encoder, decoder] = await readMatrixRows(model, [
    { matrix: d.encoder, row: latent },
    { matrix: d.decoder, row: latent },
  ]);
  if (!encoder || !decoder) throw missing();
  const { gpu, planner, scratch: pool } = model;
  gpu.write(pool.need('latent.d', decoder.byteLength), 0, decoder);
  const ops = product(model, `${d.name}.dec`, 'latent.d', d.decoder, 'sae.pre', pad4(d.spec.latents));
  const through = /^(blocks\.\d+)\.(attn\.hook_z|mlp\.hook_post)$/.exec(d.spec.hookOut);
  if (through) {
    const name = `${through[1]}.${through[2] === 'attn.hook_z' ? 'attn' : 'mlp'}.out`;
    ops.push(...product(model, name, 'latent.d', matrixOf(planner.weights, name), 'latent.stream', planner.layout.dModel));
  }
  const [products, stream] = await readWords(model, ops, [
    { buffer: 'sae.pre', words: d.spec.latents },
    { buffer: through ? 'latent.stream' : 'latent.d', words: planner.layout.dModel },
  ]);
  if (!products || !stream) throw missing();
  const norms = d.decoderNorms;
  const norm = norms[latent] ?? 0;
  return {
    stream,
    cosines: products.map((each, i) => each / (norm * (norms[i] ?? 0) || 1)),
    cosine: isTranscoder(d.spec) ? NaN : cos(encoder, decoder),
    norm,
  };
}

/** A neuron's row of W_out is a column as the matrix lies here: what W_out makes of a 1 in its place. */
async function ofNeuron(model: Runtime, d: LoadedNeurons, neuron: number): Promise<Directions> {
  const { gpu, planner, scratch: pool } = model;
  const { layout, weights } = planner;
  const [into, out] = ['in', 'out'].map((part) => matrixOf(weights, `blocks.${d.layer}.mlp.${part}`));
  if (!into || !out) throw missing();
  const one = new Float32Array(layout.dMlp);
  one[neuron] = 1;
  gpu.write(pool.need('latent.d', one.byteLength), 0, one);
  pool.need('latent.columns', 8 * layout.dMlp);
  const ops = [
    ...product(model, out.name, 'latent.d', out, 'latent.stream', layout.dModel),
    ...columnDots({ matrix: out, v: 'latent.stream', out: 'latent.columns', hook: d.spec.hookOut }),
  ];
  const [stream, columns] = await readWords(model, ops, [
    { buffer: 'latent.stream', words: layout.dModel },
    { buffer: 'latent.columns', words: 2 * layout.dMlp },
  ]);
  // Gate and up lie side by side; W_in is the latter, as in TransformerLens.
  const [encoder] = await readMatrixRows(model, [{ matrix: into, row: d.listed === 'signed' ? 2 * neuron + 1 : neuron }]);
  if (!stream || !columns || !encoder) throw missing();
  const norms = columns.subarray(layout.dMlp).map(Math.sqrt);
  const norm = norms[neuron] ?? 0;
  return {
    stream,
    cosines: columns.subarray(0, d.spec.latents).map((each, i) => each / (norm * (norms[i] ?? 0) || 1)),
    cosine: cos(encoder, stream),
    norm,
  };
}

const missing = (): LabError => new LabError('internal', 'A latent’s weights did not come back.', 'Please report this.');

function product({ planner, scratch }: Runtime, name: string, x: string, weights: WeightMatrix, y: string, words: number): Op[] {
  scratch.need(y, 4 * words);
  return linear({ name, x, rows: 1, weights, epilogue: { kind: 'plain' }, y, yStride: words, variants: planner.variants });
}

const cos = (a: Float32Array, b: Float32Array): number => dot(a, b) / (Math.sqrt(dot(a, a) * dot(b, b)) || 1);
const dot = (a: Float32Array, b: Float32Array): number => a.reduce((sum, each, i) => sum + each * (b[i] ?? 0), 0);
