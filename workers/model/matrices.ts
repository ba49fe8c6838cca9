/**
 * The engine's own table of weights: which matrices a spec has, how wide they are, and how one that is larger than the
 * binding limit is split by rows. Pure, so that a plan can be made (and tested) without a GPU.
 */
import type { ModelSpec } from './spec';
import { pieces, type Piece } from '../kernels/grid';
import { layoutOf, pad4 } from './layout';

export type Dtype = 'f32' | 'f16' | 'bf16';
export const WORD_BYTES: Record<Dtype, number> = { f32: 4, f16: 2, bf16: 2 };

export interface Matrix {
  name: string;
  /** Outputs. */
  n: number;
  /** Padded width. */
  k: number;
  dtype: Dtype;
  pieces: Piece[];
}
/** Words of the one buffer that holds every norm gain, norm bias and projection bias. */
export type Vectors = ReadonlyMap<string, number>;

export interface WeightTable {
  matrices: ReadonlyMap<string, Matrix>;
  vectors: Vectors;
  vectorWords: number;
}

/** `dtypeOf` tells a matrix's stored type; `limit` is the largest binding. */
export function weightTable(spec: ModelSpec, dtypeOf: (name: string) => Dtype, limit: number): WeightTable {
  const layout = layoutOf(spec);
  const matrices = new Map<string, Matrix>();
  const matrix = (name: string, n: number, k: number): void => {
    const dtype = dtypeOf(name);
    matrices.set(name, { name, n, k, dtype, pieces: pieces(`w.${name}`, n, k * WORD_BYTES[dtype], limit) });
  };
  const vectors = new Map<string, number>();
  let words = 0;
  const vector = (name: string, length: number): void => {
    vectors.set(name, words);
    words += pad4(length);
  };
  const norm = (name: string): void => {
    if (spec.norm.kind === 'none') return;
    vector(`${name}.w`, spec.dModel);
    // Directly after the gain: the norm kernels read gain, then bias.
    if (spec.norm.kind === 'layer') vector(`${name}.b`, spec.dModel);
  };
  /** One norm, two readers. */
  const share = (name: string, other: string): void => {
    const at = vectors.get(other);
    if (at !== undefined) vectors.set(name, at);
  };
  matrix('embed', spec.vocab, layout.dModel);
  if (!spec.tied) matrix('unembed', spec.vocabOut, layout.dModel);
  const qkv = (spec.heads + 2 * spec.kvHeads) * spec.dHead;
  const mlpIn = spec.mlp.gated ? 2 * spec.dMlp : spec.dMlp;
  for (let l = 0; l < spec.layers; l++) {
    const b = `blocks.${l}`;
    norm(`${b}.ln1`);
    matrix(`${b}.attn.qkv`, qkv, layout.dModel);
    if (spec.bias.qkv) vector(`${b}.attn.qkv.b`, qkv);
    if (spec.attention.qkNorm) {
      vector(`${b}.attn.q_norm.w`, spec.dHead);
      vector(`${b}.attn.k_norm.w`, spec.dHead);
    }
    matrix(`${b}.attn.out`, spec.dModel, layout.dHeads);
    if (spec.bias.out) vector(`${b}.attn.out.b`, spec.dModel);
    if (spec.block.postNorms) norm(`${b}.ln1_post`);
    if (spec.dMlp === 0) continue;
    if (!spec.block.sharedNorm) norm(`${b}.ln2`);
    else for (const part of ['w', 'b']) share(`${b}.ln2.${part}`, `${b}.ln1.${part}`);
    matrix(`${b}.mlp.in`, mlpIn, layout.dModel);
    if (spec.bias.mlpIn) vector(`${b}.mlp.in.b`, mlpIn);
    matrix(`${b}.mlp.out`, spec.dModel, layout.dMlp);
    if (spec.bias.mlpOut) vector(`${b}.mlp.out.b`, spec.dModel);
    if (spec.block.postNorms) norm(`${b}.ln2_post`);
  }
  norm('ln_final');
  if (spec.bias.unembed) vector('unembed.b', spec.vocabOut);
  return { matrices, vectors, vectorWords: Math.max(4, words) };
}

export function matrixOf(weights: WeightTable, name: string): Matrix {
  const found = weights.matrices.get(name);
  if (!found) throw new Error(`no matrix “${name}”`);
  return found;
}
