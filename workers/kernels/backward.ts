/**
 * The backward twins of the kernels: each takes the gradient at what its twin wrote to the gradient at what it read. Gradients of activations
 * alone, never of weights. Dimensions are uniforms, so that one pipeline serves every layer and every model of a device.
 */
import { f32bits, type Bind, type Dispatch } from '../gpu/commands';
import { threads } from './grid';
import type { WeightMatrix } from './linear';

const binds = (...names: (string | null)[]): (Bind | null)[] => names.map((buffer) => (buffer === null ? null : { buffer }));

interface Base {
  hook: string;
  rows: number;
}

/** Rows of a workgroup's block. */
const BLOCK = 4;

export type LinearSource =
  | { kind: 'plain'; dy: string; stride: number }
  /** A gated MLP's two branches: the gate's rows, then the other's from word `second`. */
  | { kind: 'split'; dy: string; stride: number; second: number }
  | {
      kind: 'qkv';
      dq: string;
      dk: string;
      dv: string;
      heads: number;
      kvHeads: number;
      dHead: number;
      dHeadPadded: number;
      rot: number;
    };

export interface LinearBack extends Base {
  weights: WeightMatrix;
  source: LinearSource;
  dx: string;
  /** Onto what lies in dx. */
  add: boolean;
}

/** dx (+)= dy·W: a dispatch for each piece of the matrix. */
export function linearBack({ weights, source, rows, dx, add, hook }: LinearBack): Dispatch[] {
  const qkv = source.kind === 'qkv';
  const K4 = weights.k / 4;
  return weights.pieces.map((piece, i): Dispatch => ({
    op: 'dispatch',
    kernel: 'linear-back',
    variant: 'slices',
    file: 'linear-back',
    defines: { DTYPE: weights.dtype, SRC: source.kind, R: BLOCK },
    constants: {},
    bind: qkv ? binds(source.dq, piece.buffer, dx, source.dk, source.dv) : binds(source.dy, piece.buffer, dx),
    params: [
      rows,
      piece.row0,
      piece.rows,
      qkv ? 0 : source.stride,
      source.kind === 'split' ? source.second : 0,
      add || i > 0 ? 1 : 0,
      ...(qkv ? [source.heads, source.kvHeads, source.dHead, source.dHeadPadded, source.rot] : [0, 0, 0, 0, 0]),
      K4,
    ],
    groups: [Math.ceil(K4 / 8), Math.ceil(rows / BLOCK), 1],
    hook,
    // Each block of rows reads the weights for itself.
    bytes: Math.ceil(rows / BLOCK) * piece.rows * weights.k * (weights.dtype === 'f32' ? 4 : 2) + 4 * rows * (weights.k + piece.rows),
    flops: 2 * rows * piece.rows * weights.k,
  }));
}

export interface NormBack extends Base {
  kind: 'layer' | 'rms';
  x: string;
  dy: string;
  dNormalized: string;
  dScale: string;
  dx: string;
  d: number;
  stride: number;
  gain: number;
  eps: number;
  add: boolean;
  /** The scale that divided, where edits may have made another of it: then in three steps, with room for edits between. */
  edited?: string;
}

/** The gradients at hook_normalized, at hook_scale, and at what the norm read. In three steps where there are edits, else in one. */
export function normBack(call: NormBack): Dispatch[] {
  const { edited } = call;
  const step = (n: number): Dispatch => ({
    op: 'dispatch',
    kernel: 'norm-back',
    variant: n === 0 ? 'row' : `step ${n}`,
    file: 'norm-back',
    defines: { NORM: call.kind, STEP: n },
    constants: {},
    // A shader that never reads a buffer has no place for it.
    bind:
      n === 1
        ? binds(null, call.dy, 'vecs', call.dNormalized, null, null, null)
        : n === 2
          ? binds(call.x, null, null, call.dNormalized, call.dScale, null, edited ?? null)
          : n === 3
            ? binds(call.x, null, null, call.dNormalized, call.dScale, call.dx, edited ?? null)
            : binds(call.x, call.dy, 'vecs', call.dNormalized, call.dScale, call.dx),
    params: [call.gain / 4, call.d, f32bits(call.eps), call.add ? 1 : 0, call.stride / 4],
    groups: [call.rows, 1, 1],
    hook: call.hook,
    bytes: 16 * call.rows * call.stride,
  });
  return edited === undefined ? [step(0)] : [step(1), step(2), step(3)];
}

export interface ActBack extends Base {
  act: string;
  pre: string;
  /** The other branch of a gated MLP. */
  linear?: string;
  dPost: string;
  /** Of the gate; the other branch's after it, at word `second`. */
  dPre: string;
  second: number;
  width: number;
  stride: number;
}
export function actBack(call: ActBack): Dispatch {
  return {
    op: 'dispatch',
    kernel: 'act-back',
    variant: 'row',
    file: 'act-back',
    defines: { ACT: call.act, GATED: call.linear === undefined ? 0 : 1 },
    constants: {},
    bind: binds(call.pre, call.dPost, call.dPre, ...(call.linear === undefined ? [] : [call.linear])),
    params: [call.width, call.stride, call.second, 0],
    groups: [call.rows, 1, 1],
    hook: call.hook,
    bytes: 12 * call.rows * call.width,
  };
}

export interface AttentionBackShape {
  rows: number;
  heads: number;
  kvHeads: number;
  dHeadPadded: number;
  /** Numbers of a row of scores. */
  keys: number;
  /** Keys that a query sees; 0: all. */
  window: number;
  scale: number;
  /** 0: none. */
  cap: number;
  hook: string;
}
export interface AttentionBackBuffers {
  /** As they were multiplied: turned and normed where that is done. [rows, heads, d], [rows, kv heads, d] */
  q: string;
  k: string;
  v: string;
  dz: string;
  /** Computed again: before the edits at their hooks. */
  scores: string;
  pattern: string;
  /** After the edits at hook_attn_scores and hook_pattern, where there are any. */
  keptScores?: string;
  keptPattern?: string;
  dPattern: string;
  dScores: string;
  dq: string;
  dk: string;
  dv: string;
}

/** The steps of attention's backward pass, to be put in order by the plan: edits at the pattern and the scores lie between. */
export function attentionBack(shape: AttentionBackShape, at: AttentionBackBuffers) {
  const { rows, heads, kvHeads, keys } = shape;
  const d4 = shape.dHeadPadded / 4;
  const dispatch = (file: string, bind: Dispatch['bind'], groups: Dispatch['groups'], defines: Dispatch['defines'] = {}): Dispatch => ({
    op: 'dispatch',
    kernel: file,
    variant: 'thread',
    file,
    defines,
    constants: {},
    bind,
    params: [rows, heads, kvHeads, d4, keys, shape.window, f32bits(shape.scale), f32bits(shape.cap)],
    groups,
    hook: shape.hook,
    bytes: 4 * rows * heads * (keys + 2 * shape.dHeadPadded),
  });
  return {
    again: (): Dispatch =>
      dispatch(
        'attention-again',
        binds(at.q, at.k, 'rows', at.scores, at.pattern, ...(at.keptScores === undefined ? [] : [at.keptScores])),
        threads(rows * heads),
        { EDITED: at.keptScores === undefined ? 0 : 1 },
      ),
    pattern: (): Dispatch =>
      dispatch('attention-back-pattern', binds(at.dz, at.v, 'rows', at.dPattern), [Math.ceil(keys / 64), heads, rows]),
    scores: (): Dispatch => dispatch('attention-back-scores', binds(at.pattern, at.dPattern, 'rows', at.dScores), threads(rows * heads)),
    q: (): Dispatch =>
      dispatch('attention-back-q', binds(at.dScores, at.scores, at.k, 'rows', at.dq), [Math.ceil((heads * d4) / 64), rows, 1]),
    kv: (): Dispatch =>
      dispatch('attention-back-kv', binds(at.dScores, at.scores, at.keptPattern ?? at.pattern, at.q, at.dz, 'rows', at.dk, at.dv), [
        Math.ceil((kvHeads * d4) / 64),
        rows,
        1,
      ]),
  };
}

export interface RopeBack extends Base {
  heads: number;
  kvHeads: number;
  dHead: number;
  dHeadPadded: number;
  rot: number;
  table: string;
  dq: string;
  dk: string;
  /** Norms of each head's q and k: words of vecs, and the raw q and k. */
  norm?: { q: number; k: number; eps: number; rawQ: string; rawK: string };
}
/** From the turned q and k to the raw ones, in place. */
export function ropeBack(call: RopeBack): Dispatch {
  const { norm, rot } = call;
  return {
    op: 'dispatch',
    kernel: 'rope-back',
    variant: 'head',
    file: 'rope-back',
    defines: { ROT: rot > 0 ? 1 : 0, NORM: norm ? 1 : 0 },
    constants: {},
    bind: binds(
      call.dq,
      call.dk,
      // Positions are read for the rotation alone.
      rot > 0 ? 'rows' : null,
      rot > 0 ? call.table : null,
      norm ? norm.rawQ : null,
      norm ? norm.rawK : null,
      norm ? 'vecs' : null,
    ),
    params: [call.rows, call.heads, call.kvHeads, call.dHead, call.dHeadPadded, rot, norm?.q ?? 0, norm?.k ?? 0, f32bits(norm?.eps ?? 0)],
    groups: threads(call.rows * (call.heads + call.kvHeads)),
    hook: call.hook,
    bytes: 8 * call.rows * (call.heads + call.kvHeads) * call.dHead,
  };
}
