/**
 * One head's circuits from its weights alone (Elhage et al. 2021, “A Mathematical Framework for Transformer Circuits”), weights as model/head-weights.ts brings them, in row-vector form:
 *
 *   OV = W_V·W_O    what is written where x is attended to        QK = W_Q·W_Kᵀ    how a query x meets a key y (of rotary models at distance 0; without the scale 1/√d_head)
 *   OV, QK = Σ_i s_i · a_i b_iᵀ       s_i its singular values (model/low-rank.ts); signs are those by which a_i's strongest token is positive
 *   reads   token t: W_E[t]·a_i       writes   OV: W_U[t] · (w ⊙ (b_i − mean b_i)), w the gain of ln_final, no mean where the norm takes none;  QK: the keys' tokens, W_E[t]·b_i
 *   copying Σλ / Σ|λ| over the eigenvalues λ of W_E·OV·W_U (tokens × tokens, of rank d_head: its eigenvalues that are not 0 are those of the d_head × d_head
 *           matrix W_O·W_U·W_E·W_V): 1 where every token raises itself. The real parts' sum; |λ| of complex ones.
 */
import type { EngineHeadCircuit, EngineHeadCircuitCall, EngineWeight } from '../contract-reading';
import { LabError } from '../errors';
import type { Op } from '../gpu/commands';
import { pad4 } from '../kernels/grid';
import { linear } from '../kernels/linear';
import { lessMean, vectorOf } from '../model/direction';
import { kvHeadOf, layerHeads } from '../model/head-weights';
import { eigenSums, singularOf } from '../model/low-rank';
import { matrixOf } from '../model/matrices';
import type { Runtime } from '../model/runtime';
import { readWords } from '../model/weight-words';

export async function headCircuit(model: Runtime, { layer, head, circuit, top }: EngineHeadCircuitCall): Promise<EngineHeadCircuit> {
  const { spec } = model;
  const { dModel, dHead } = spec;
  for (const [name, given, of] of [
    ['layer', layer, spec.layers],
    ['head', head, spec.heads],
  ] as const)
    if (!Number.isInteger(given) || given < 0 || given >= of)
      throw new LabError('request-invalid', `There is no ${name} ${given}; this model has ${of}.`, `Give ${name} from 0 to ${of - 1}.`);
  const all = await layerHeads(model, layer);
  const kv = kvHeadOf(spec, head);
  const [a, b] = circuit === 'ov' ? [all.v[kv], all.out[head]] : [all.q[head], all.k[kv]];
  if (!a || !b) throw new LabError('internal', 'A head’s weights did not come back.', 'Please report this.');
  const { values, left, right } = singularOf(a, b, dModel, top);
  const reads = await tokenRows(model, 'embed', rowsOf(left, dModel));
  const gained = await unembedded(model, rowsOf(right, dModel));
  const writes = circuit === 'ov' ? await tokenRows(model, 'unembed', gained) : await tokenRows(model, 'embed', rowsOf(right, dModel));
  const copying = circuit === 'ov' ? await copyingOf(model, a, await unembedded(model, b), dHead) : undefined;
  return {
    singular: values,
    directions: left.map((_, i) => {
      const first = strongest(reads[i] ?? new Float32Array(0), top);
      const second = strongest(writes[i] ?? new Float32Array(0), top);
      const sign = (first[0]?.weight ?? 0) < 0 ? -1 : 1;
      const signed = ({ id, weight }: EngineWeight): EngineWeight => ({ id, weight: sign * weight });
      return { value: values[i] ?? 0, reads: first.map(signed), writes: second.map(signed) };
    }),
    ...(copying === undefined ? {} : { copying }),
  };
}

/** Rows of the stream as the unembedding is to be given them: without their mean where ln_final is a LayerNorm, then gained. */
async function unembedded(model: Runtime, rows: Float64Array): Promise<Float64Array> {
  const { dModel, norm } = model.spec;
  const gain = await vectorOf(model, 'ln_final.w', dModel);
  const out = new Float64Array(rows.length);
  for (let start = 0; start < rows.length; start += dModel) {
    const row = rows.slice(start, start + dModel);
    const centred = norm.kind === 'layer' ? lessMean(row) : row;
    out.set(
      centred.map((each, i) => each * (gain?.[i] ?? 1)),
      start,
    );
  }
  return out;
}

const rowsOf = (vectors: readonly Float64Array[], width: number): Float64Array => {
  const out = new Float64Array(vectors.length * width);
  vectors.forEach((vector, i) => out.set(vector, i * width));
  return out;
};

/** Rows of the stream by tokens: through W_E (as it enters the stream), or W_U. */
function tokenOps(
  model: Runtime,
  table: 'embed' | 'unembed',
  rows: Float64Array,
  y: string,
): { ops: Op[]; stride: number; count: number; n: number } {
  const { gpu, planner, spec, scratch: pool } = model;
  const { dModel } = planner.layout;
  const count = rows.length / spec.dModel;
  const scale = table === 'embed' ? spec.embedScale : 1;
  const x = new Float32Array(count * dModel);
  for (let r = 0; r < count; r++) for (let i = 0; i < spec.dModel; i++) x[r * dModel + i] = scale * (rows[r * spec.dModel + i] ?? 0);
  gpu.write(pool.need(`${y}.x`, x.byteLength), 0, x);
  const n = table === 'embed' ? spec.vocab : spec.vocabOut;
  const stride = pad4(n);
  pool.need(y, 4 * count * stride);
  const weights = matrixOf(planner.weights, table === 'unembed' && !spec.tied ? 'unembed' : 'embed');
  const ops: Op[] = linear({
    name: table,
    x: `${y}.x`,
    rows: count,
    weights,
    epilogue: { kind: 'plain' },
    y,
    yStride: stride,
    variants: planner.variants,
  });
  return { ops, stride, count, n };
}

async function tokenRows(model: Runtime, table: 'embed' | 'unembed', rows: Float64Array): Promise<Float32Array[]> {
  const { ops, stride, count, n } = tokenOps(model, table, rows, 'circuit.y');
  const found = await readWords(
    model,
    ops,
    Array.from({ length: count }, (_, r) => ({ buffer: 'circuit.y', words: n, from: r * stride })),
  );
  return found;
}

function strongest(weights: Float32Array, top: number): EngineWeight[] {
  const ids = [...weights.keys()].sort((a, b) => Math.abs(weights[b] ?? 0) - Math.abs(weights[a] ?? 0) || a - b);
  return ids.slice(0, top).map((id) => ({ id, weight: weights[id] ?? 0 }));
}

/** Nothing where tokens × d_head numbers fit no binding of this device. `v`, `out`: [d_head][d_model]. */
async function copyingOf(model: Runtime, v: Float64Array, out: Float64Array, dHead: number): Promise<number | undefined> {
  const { gpu, planner, spec, scratch: pool } = model;
  if (4 * dHead * pad4(spec.vocab) > Math.min(gpu.limits.maxStorageBufferBindingSize, gpu.limits.maxBufferSize)) return undefined;
  const written = tokenOps(model, 'unembed', out, 'circuit.u');
  const read = tokenOps(model, 'embed', v, 'circuit.e');
  // Tokens that are read but never written have no part: rows of one width, and the padding of what is written is zeros.
  const cut = read.stride === written.stride ? 'circuit.e' : 'circuit.cut';
  const ops: Op[] = [...written.ops, ...read.ops];
  if (cut === 'circuit.cut') {
    pool.need(cut, 4 * dHead * written.stride);
    for (let r = 0; r < dHead; r++)
      ops.push({
        op: 'copy',
        from: 'circuit.e',
        fromOffset: 4 * r * read.stride,
        to: cut,
        toOffset: 4 * r * written.stride,
        bytes: 4 * written.stride,
      });
  }
  const stride = pad4(dHead);
  pool.need('circuit.m', 4 * dHead * stride);
  ops.push(
    ...linear({
      name: 'copying',
      x: 'circuit.u',
      rows: dHead,
      weights: { n: dHead, k: written.stride, dtype: 'f32', pieces: [{ buffer: cut, row0: 0, rows: dHead }] },
      epilogue: { kind: 'plain' },
      y: 'circuit.m',
      yStride: stride,
      variants: planner.variants,
    }),
  );
  const rows = await readWords(
    model,
    ops,
    Array.from({ length: dHead }, (_, r) => ({ buffer: 'circuit.m', words: dHead, from: r * stride })),
  );
  const square = new Float64Array(dHead * dHead);
  rows.forEach((row, r) => square.set(row, r * dHead));
  const { sum, magnitude } = eigenSums(square, dHead);
  return magnitude > 0 ? sum / magnitude : 0;
}
