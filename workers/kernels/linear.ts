/**
 * Projections: y = epilogue(norm(x)·Wᵀ + b). Three strategies, one meaning: `register` (no barriers), `workgroup` and
 * `subgroup` (few rows), `tiled` (many rows). A matrix in several pieces takes one dispatch each.
 */
import { f32bits, type Bind, type Dispatch } from '../gpu/commands';
import { wgslFloat } from '../gpu/wgsl';
import { spread } from './grid';

export interface Variants {
  /** Projections of up to FEW rows (decoding). */
  matvec: 'register' | 'workgroup' | 'subgroup';
  /** Projections of more rows (reading, batches). */
  matmul: 'register' | 'tiled';
  attention: 'serial' | 'workgroup';
}
/** Up to so many rows the norm is recomputed inside the projection; beyond, it runs once, before. */
export const FEW = 4;
/** Word of the parameters: the first output of a part. */
const FIRST = 13;

export interface WeightMatrix {
  n: number;
  k: number;
  dtype: 'f32' | 'f16' | 'bf16';
  pieces: readonly { buffer: string; row0: number; rows: number }[];
}

export type Epilogue =
  | { kind: 'plain'; softcap?: number }
  | { kind: 'residual' }
  | { kind: 'act' | 'gated'; act: string }
  | { kind: 'split'; second: number }
  | {
      kind: 'qkv';
      heads: number;
      kvHeads: number;
      dHead: number;
      dHeadPadded: number;
      rot: number;
      /** The table of cos and sin that the layer turns by. */
      rope: string;
      second: number;
      cap: number;
      kv: string;
      cache: boolean;
    };

export interface Linear {
  name: string;
  x: string;
  row0?: number;
  rows: number;
  weights: WeightMatrix;
  /** Word of vecs, where there is a bias. */
  bias?: number | undefined;
  norm?: { kind: 'layer' | 'rms'; gain: number; width: number; eps: number } | undefined;
  epilogue: Epilogue;
  y: string;
  yStride: number;
  variants: Variants;
  hook?: string;
}

export function linear(call: Linear): Dispatch[] {
  const { rows, weights, epilogue, norm } = call;
  const few = rows <= FEW;
  const variant = few ? call.variants.matvec : call.variants.matmul;
  const file = variant === 'register' ? 'linear-register' : variant === 'tiled' ? 'linear-tiled' : 'linear-workgroup';
  // The register variant's block: more outputs a thread where its norm is recomputed, more rows where there are rows (bench/RESULTS.md).
  const { R, C } = few ? { R: rows, C: 8 } : { R: rows <= 8 ? 8 : 16, C: 4 };
  const defines: Record<string, number | string> = {
    DTYPE: weights.dtype,
    EPI: epilogue.kind,
    BIAS: call.bias === undefined ? 0 : 1,
    NORM: norm?.kind ?? 0,
  };
  if (variant === 'register') Object.assign(defines, { R, C, SUMS: R * C });
  if (variant === 'workgroup') Object.assign(defines, { R, T: 64, SUBGROUPS: 0 });
  if (variant === 'subgroup') Object.assign(defines, { R, T: 64, SUBGROUPS: 1 });
  let second = 0;
  let cap = 0;
  const extra: Bind[] = [];
  if (epilogue.kind === 'act' || epilogue.kind === 'gated') defines['ACT'] = epilogue.act;
  if (epilogue.kind === 'plain' && epilogue.softcap) defines['CAP'] = wgslFloat(epilogue.softcap);
  if (epilogue.kind === 'split') second = epilogue.second;
  if (epilogue.kind === 'qkv') {
    const rot = epilogue.rot;
    Object.assign(defines, {
      HEADS: `${epilogue.heads}u`,
      KV: `${epilogue.kvHeads}u`,
      DH: `${epilogue.dHead}u`,
      DHP: `${epilogue.dHeadPadded}u`,
      ROT: rot ? `${rot}u` : 0,
      CACHE: epilogue.cache ? 1 : 0,
    });
    second = epilogue.second;
    cap = epilogue.cap;
    extra.push({ buffer: epilogue.kv });
    if (epilogue.cache) extra.push({ buffer: 'rows' });
    if (epilogue.cache && rot) extra.push({ buffer: epilogue.rope });
  }
  const bytesOf = (count: number): number => count * weights.k * (weights.dtype === 'f32' ? 4 : 2) + 4 * rows * (weights.k + count);
  return weights.pieces.map((piece): Dispatch => {
    const tiles: [number, number, number] =
      variant === 'register'
        ? [Math.ceil(piece.rows / (64 * C)), Math.ceil(rows / R), 1]
        : variant === 'tiled'
          ? [Math.ceil(piece.rows / 64), Math.ceil(rows / 64), 1]
          : spread(Math.ceil(piece.rows / 4));
    return {
      op: 'dispatch',
      kernel: few ? 'matvec' : 'matmul',
      variant,
      file,
      defines,
      constants: {},
      bind: [
        { buffer: call.x },
        { buffer: piece.buffer },
        norm || call.bias !== undefined ? { buffer: 'vecs' } : null,
        { buffer: call.y },
        ...extra,
      ],
      params: [
        rows,
        call.row0 ?? 0,
        weights.n,
        piece.row0,
        piece.rows,
        call.yStride,
        call.bias ?? 0,
        second,
        (norm?.gain ?? 0) / 4,
        norm?.width ?? 0,
        f32bits(norm?.eps ?? 0),
        cap,
        weights.k / 4,
        0,
      ],
      groups: tiles,
      hook: call.hook ?? call.name,
      bytes: bytesOf(piece.rows),
      flops: 2 * rows * piece.rows * weights.k,
      ...(variant === 'register' || variant === 'tiled' ? { parts: { param: FIRST, outputs: variant === 'tiled' ? 64 : 64 * C } } : {}),
    };
  });
}
