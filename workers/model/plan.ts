/**
 * plan(model, run) → operations: the one forward pass of every family, as data. A sublayer is fused where nobody looks and
 * open where a tap or an edit asks; an unhooked run pays for no hook. Pure: no GPU, no names of families.
 *
 * Rows are tokens of one or more sequences, side by side without padding. A row may start at a stored residual at a later
 * layer (`starts`): rows are ordered so that those active at a layer come first. Earlier keys may be another sequence's.
 */
import type { Op } from '../gpu/commands';
import { attention, openAttention } from '../kernels/attention';
import { embed } from '../kernels/embed';
import { FEW, linear, type Epilogue, type Variants } from '../kernels/linear';
import { act, add, edit, norm, NO_SITE, rope, turnedKeys, type Site } from '../kernels/rowwise';
import { findHook, geometryOf, type HookInfo } from './hooks';
import type { Layout } from './layout';
import { matrixOf, type Matrix, type WeightTable } from './matrices';
import { attentionScale, rotaryDims, windowOf, type ModelSpec } from './spec';

/** What a plan is made for: a spec with its weights laid out, and the kernels chosen on this device. */
export interface Planner {
  spec: ModelSpec;
  layout: Layout;
  weights: WeightTable;
  hooks: ReadonlyMap<string, HookInfo>;
  variants: Variants;
}

export interface CacheShape {
  slots: number;
  cap: number;
  /** Every layer's keys and values kept (generation), or one layer's at a time (a run). */
  kept: boolean;
}

/** One stretch of a hook's rows to copy out: into buffer `to`, from byte `offset`, a row after the other. */
export interface Tap {
  hook: string;
  row0: number;
  rows: number;
  to: string;
  offset: number;
}

/** Operations on the rows that lie in a hook's buffer when its turn comes: what dictionaries do there. */
export type Insert = (at: { hook: string; buffer: string; rows: number }) => Op[];
export interface Inserts {
  /** In the place of the hook's site, in list order: plain edits, and what dictionaries write. */
  steps: readonly (Site | Insert)[];
  /** After every edit of the hook: what dictionaries read. */
  reads: readonly Insert[];
}

export interface PlanInput {
  rows: number;
  cache: CacheShape;
  /** Length of a row of scores, where they are open. */
  keys: number;
  sites: ReadonlyMap<string, Site>;
  taps: readonly Tap[];
  inserts?: ReadonlyMap<string, Inserts>;
  /** Rows that enter at a layer, their residuals in buffer `stored`; rows from `row0` on are not computed before. */
  starts?: readonly { layer: number; row0: number; rows: number; storedRow: number }[];
  /** Keys and values of one slot that outlive the run: `save` copies them out, layer by layer, to the buffers that `keptKv` names; `load` brings them in before they are read. */
  kept?: { save?: { slot: number; as: string }; load?: { slot: number; as: string } };
  /** Is the final stream wanted? Where it is not, the plan ends with the last tap or reader: nothing later can change what they saw. True where absent. */
  final?: boolean;
}

/** The final stream: where it lies, and whether ln_final was applied already. */
export interface Stream {
  buffer: 'resid' | 'xn';
  normed: boolean;
}

export const kvBuffer = (cache: CacheShape, layer: number): string => (cache.kept ? `kv.${layer}` : 'kv');
export const keptKv = (as: string, layer: number): string => `${as}.kv.${layer}`;
export const kvHalfWords = (cache: CacheShape, spec: ModelSpec, layout: Layout): number =>
  cache.slots * spec.kvHeads * cache.cap * layout.dHead;

export function plan(planner: Planner, input: PlanInput): { ops: Op[]; stream: Stream } {
  return new Build(planner, input).all();
}

/** The buffer of a rotary table. */
export const ropeBuffer = (table: number): string => `rope.${table}`;

const qkvHooks = (at: string) => [`${at}.hook_q`, `${at}.hook_k`, `${at}.hook_v`, `${at}.hook_rot_q`, `${at}.hook_rot_k`] as const;

/** What a projection reads, and the norm that it applies on the way. */
interface Read {
  x: string;
  norm?: { kind: 'layer' | 'rms'; gain: number; width: number; eps: number };
}

class Build {
  private readonly ops: Op[] = [];
  private readonly tapsAt = new Map<string, Tap[]>();
  /** Operations up to the last one that somebody sees. */
  private seen = 0;

  constructor(
    private readonly planner: Planner,
    private readonly input: PlanInput,
  ) {
    for (const tap of input.taps) this.tapsAt.set(tap.hook, [...(this.tapsAt.get(tap.hook) ?? []), tap]);
  }

  all(): { ops: Op[]; stream: Stream } {
    this.embed();
    for (let layer = 0; layer < this.planner.spec.layers; layer++) this.block(layer);
    const stream = this.final();
    if (this.input.final === false && this.seen > 0) this.ops.length = this.seen;
    return { ops: this.ops, stream };
  }

  private site(hook: string): Site {
    return this.input.sites.get(hook) ?? NO_SITE;
  }
  private looked(...hooks: string[]): boolean {
    return hooks.some((hook) => this.input.sites.has(hook) || this.tapsAt.has(hook) || this.inserts(hook));
  }
  private inserts(hook: string): Inserts | undefined {
    return this.input.inserts?.get(hook);
  }
  private vector(name: string): number | undefined {
    return this.planner.weights.vectors.get(name);
  }
  private matrix(name: string): Matrix {
    return matrixOf(this.planner.weights, name);
  }

  /** A hook's edits, one after the other, on the rows that lie in `buffer`. */
  private edits(name: string, buffer: string, rows: number): void {
    const at = geometryOf(findHook(this.planner.hooks, name), this.input.keys);
    const { rowStride, stride, width, units, keys: causal } = at;
    for (const step of this.inserts(name)?.steps ?? [this.site(name)])
      if (typeof step === 'function') this.ops.push(...step({ hook: name, buffer, rows }));
      else if (step.count) this.ops.push(edit({ rows, hook: name, x: buffer, site: step, rowStride, stride, width, units, causal }));
  }

  /** A hook whose values lie in `buffer` now: its edits where `edits`, then whoever reads it. */
  private hook(name: string, buffer: string, edits: boolean, rows: number, offsetWords = 0): void {
    const at = geometryOf(findHook(this.planner.hooks, name), this.input.keys);
    if (edits) this.edits(name, buffer, rows);
    const { length } = this.ops;
    for (const read of this.inserts(name)?.reads ?? []) this.ops.push(...read({ hook: name, buffer, rows }));
    for (const tap of this.tapsAt.get(name) ?? [])
      this.ops.push({
        op: 'copy',
        from: buffer,
        fromOffset: 4 * (offsetWords + tap.row0 * at.rowStride),
        to: tap.to,
        toOffset: tap.offset,
        bytes: 4 * tap.rows * at.rowStride,
        hook: name,
      });
    if (this.ops.length > length) this.seen = this.ops.length;
  }

  private rowsAt(layer: number): number {
    return (this.input.starts ?? []).reduce((rows, start) => (start.layer > layer ? Math.min(rows, start.row0) : rows), this.input.rows);
  }

  private embed(): void {
    const { spec, layout } = this.planner;
    const rows = this.rowsAt(-1);
    if (rows === 0) return;
    const table = this.matrix('embed');
    const pos = spec.positions.kind === 'learned' ? { context: spec.context } : undefined;
    const base = { rows, d: layout.dModel, vocab: spec.vocab, scale: spec.embedScale };
    const open = pos && this.looked('hook_embed', 'hook_pos_embed');
    this.ops.push(...embed({ ...base, table, ...(pos && !open ? { pos } : {}), y: 'resid', hook: 'hook_embed' }));
    if (pos && !open) return;
    // Where the token embedding is tapped it must be seen before the positions are added; else one dispatch does both.
    const apart = !pos || this.tapsAt.has('hook_embed') || this.inserts('hook_embed') !== undefined;
    if (apart) this.hook('hook_embed', 'resid', true, rows);
    if (!pos) return;
    const embedding = apart ? NO_SITE : this.site('hook_embed');
    this.ops.push(
      add({
        rows,
        hook: 'hook_pos_embed',
        part: 'part',
        resid: 'resid',
        width: spec.dModel,
        stride: layout.dModel,
        site: this.site('hook_pos_embed'),
        embedding,
      }),
    );
    this.hook('hook_pos_embed', 'part', false, rows);
  }

  private block(layer: number): void {
    const { spec, layout } = this.planner;
    const b = `blocks.${layer}`;
    for (const start of this.input.starts ?? [])
      if (start.layer === layer)
        this.ops.push({
          op: 'copy',
          from: 'stored',
          fromOffset: 4 * start.storedRow * layout.dModel,
          to: 'resid',
          toOffset: 4 * start.row0 * layout.dModel,
          bytes: 4 * start.rows * layout.dModel,
          hook: `${b}.hook_resid_pre`,
        });
    const rows = this.rowsAt(layer);
    if (rows === 0) return;
    const { parallel } = spec.block;
    const mlp = spec.dMlp > 0;
    const { save, load } = this.input.kept ?? {};
    if (load) this.kept(layer, load, true);
    this.hook(`${b}.hook_resid_pre`, 'resid', true, rows);
    const read = this.project(layer, rows);
    // Side by side, the MLP reads the stream before attention has written to it.
    if (mlp && parallel) this.expand(layer, rows, read);
    this.attend(layer, rows);
    if (save) this.kept(layer, save, false);
    this.write(`${b}.attn.out`, 'z', rows, `${b}.hook_attn_out`, `${b}.ln1_post`);
    if (mlp && !parallel) {
      this.hook(`${b}.hook_resid_mid`, 'resid', true, rows);
      this.expand(layer, rows);
    }
    if (mlp) this.write(`${b}.mlp.out`, 'post', rows, `${b}.hook_mlp_out`, `${b}.ln2_post`);
    this.hook(`${b}.hook_resid_post`, 'resid', true, rows);
  }

  /** One slot's keys and values, into the cache or out of it. */
  private kept(layer: number, { slot, as }: { slot: number; as: string }, load: boolean): void {
    const { spec, layout } = this.planner;
    const { cache } = this.input;
    const words = spec.kvHeads * cache.cap * layout.dHead;
    const kv = kvBuffer(cache, layer);
    for (let half = 0; half < 2; half++) {
      const there = { buffer: kv, offset: 4 * (half * kvHalfWords(cache, spec, layout) + slot * words) };
      const outside = { buffer: keptKv(as, layer), offset: 4 * half * words };
      const [from, to] = load ? [outside, there] : [there, outside];
      this.ops.push({
        op: 'copy',
        from: from.buffer,
        fromOffset: from.offset,
        to: to.buffer,
        toOffset: to.offset,
        bytes: 4 * words,
        hook: `blocks.${layer}.attn`,
      });
    }
    if (!load) this.seen = this.ops.length;
  }

  /** What a projection reads: the stream with its norm folded in where few rows pass unseen, else a normed copy. */
  private normed(name: string, rows: number, out: string): Read {
    const { spec } = this.planner;
    const { kind, eps } = spec.norm;
    if (kind === 'none') return { x: 'resid' };
    const open = this.looked(`${name}.hook_scale`, `${name}.hook_normalized`);
    if (!open && rows <= FEW) return { x: 'resid', norm: { kind, gain: this.vector(`${name}.w`) ?? 0, width: spec.dModel, eps } };
    this.norm(name, rows, 'resid', out, false);
    return { x: out };
  }

  /** A norm as a dispatch of its own, in the open where its hooks are looked at. `residual`: added to `out`. */
  private norm(name: string, rows: number, x: string, out: string, residual: boolean): void {
    const { spec, layout, variants } = this.planner;
    const { kind, eps } = spec.norm;
    if (kind === 'none') return;
    const scale = `${name}.hook_scale`;
    const normalized = `${name}.hook_normalized`;
    const open = this.looked(scale, normalized);
    this.ops.push(
      norm({
        rows,
        hook: normalized,
        kind,
        x,
        out,
        d: spec.dModel,
        stride: layout.dModel,
        gain: this.vector(`${name}.w`) ?? 0,
        eps,
        residual,
        serial: variants.matmul === 'register',
        ...(open
          ? { open: { scale: 'scale', normalized: 'normalized', scaleSite: this.site(scale), normalizedSite: this.site(normalized) } }
          : {}),
      }),
    );
    if (!open) return;
    this.hook(scale, 'scale', false, rows);
    this.hook(normalized, 'normalized', false, rows);
  }

  /** q, k and v: straight to their places, or raw first where something comes between (a norm of each head, a look, an edit). */
  private project(layer: number, rows: number): Read {
    const { spec, layout, variants } = this.planner;
    const { cache } = this.input;
    const b = `blocks.${layer}`;
    const at = `${b}.attn`;
    const source = this.normed(`${b}.ln1`, rows, 'xn');
    const raw = this.raw(layer);
    const second = raw ? this.rawSecond() : kvHalfWords(cache, spec, layout);
    const shape = { heads: spec.heads, kvHeads: spec.kvHeads, dHead: spec.dHead, dHeadPadded: layout.dHead, rot: rotaryDims(spec) };
    const table = ropeBuffer(spec.positions.kind === 'rotary' ? (spec.positions.tableOf[layer] ?? 0) : 0);
    this.ops.push(
      ...linear({
        name: `${at}.qkv`,
        ...source,
        rows,
        weights: this.matrix(`${at}.qkv`),
        bias: this.vector(`${at}.qkv.b`),
        epilogue: { kind: 'qkv', ...shape, rope: table, second, cap: cache.cap, kv: raw ? 'kvraw' : kvBuffer(cache, layer), cache: !raw },
        y: 'q',
        yStride: layout.dHeads,
        variants,
      }),
    );
    if (!raw) return source;
    const hooks = qkvHooks(at);
    const open = this.looked(...hooks);
    const [q, k, v, rotQ, rotK] = hooks;
    this.ops.push(
      rope({
        rows,
        hook: rotQ,
        ...shape,
        norm: spec.attention.qkNorm
          ? { q: this.vector(`${at}.q_norm.w`) ?? 0, k: this.vector(`${at}.k_norm.w`) ?? 0, eps: spec.norm.eps }
          : undefined,
        table,
        kv: kvBuffer(cache, layer),
        second,
        cacheSecond: kvHalfWords(cache, spec, layout),
        cap: cache.cap,
        open: open
          ? { sites: { q: this.site(q), k: this.site(k), v: this.site(v), rotQ: this.site(rotQ), rotK: this.site(rotK) } }
          : undefined,
      }),
    );
    if (!open) return source;
    this.hook(q, 'q', false, rows);
    this.hook(k, 'kvraw', false, rows);
    this.hook(v, 'kvraw', false, rows, second);
    if (shape.rot === 0) return source;
    this.hook(rotQ, 'turned', false, rows);
    this.hook(rotK, 'turned', false, rows, turnedKeys({ rows, ...shape }));
    return source;
  }

  /** Do q, k and v pass through the open on their way to the cache? */
  private raw(layer: number): boolean {
    return this.planner.spec.attention.qkNorm || this.looked(...qkvHooks(`blocks.${layer}.attn`));
  }
  /** The word where the raw values start, after the raw keys. */
  private rawSecond(): number {
    return this.input.rows * this.planner.spec.kvHeads * this.planner.layout.dHead;
  }

  private attend(layer: number, rows: number): void {
    const { spec, layout, variants } = this.planner;
    const { cache, keys } = this.input;
    const at = `blocks.${layer}.attn`;
    const turned = this.raw(layer) && (rotaryDims(spec) > 0 || spec.attention.qkNorm);
    const shape = {
      rows,
      heads: spec.heads,
      kvHeads: spec.kvHeads,
      dHeadPadded: layout.dHead,
      q: turned ? 'turned' : 'q',
      kv: kvBuffer(cache, layer),
      second: kvHalfWords(cache, spec, layout),
      cap: cache.cap,
      scale: attentionScale(spec, layer),
      softcap: spec.attention.cap,
      window: windowOf(spec, layer),
    };
    const scores = `${at}.hook_attn_scores`;
    const pattern = `${at}.hook_pattern`;
    if (this.looked(scores, pattern)) {
      this.ops.push(openAttention({ ...shape, keys, hook: pattern, sites: { scores: this.site(scores), pattern: this.site(pattern) } }));
      this.hook(scores, 'scores', false, rows);
      this.hook(pattern, 'pattern', false, rows);
    } else this.ops.push(attention({ ...shape, variant: variants.attention, length: keys, hook: `${at}.hook_z` }));
    this.hook(`${at}.hook_z`, 'z', true, rows);
  }

  /** Into the MLP and through its activation. `read`: what attention read, where one norm may serve both. */
  private expand(layer: number, rows: number, read?: Read): void {
    const { spec, layout, variants } = this.planner;
    const b = `blocks.${layer}`;
    const pre = `${b}.mlp.hook_pre`;
    const linearHook = `${b}.mlp.hook_pre_linear`;
    const unseen = !this.looked(...['ln1', 'ln2'].flatMap((norm) => [`${b}.${norm}.hook_scale`, `${b}.${norm}.hook_normalized`]));
    const source = read && spec.block.sharedNorm && unseen ? read : this.normed(`${b}.ln2`, rows, 'xn');
    const { gated, act: name } = spec.mlp;
    const open = this.looked(pre, linearHook);
    const second = this.input.rows * layout.dMlp;
    const epilogue: Epilogue = open
      ? gated
        ? { kind: 'split', second }
        : { kind: 'plain' }
      : { kind: gated ? 'gated' : 'act', act: name };
    this.ops.push(
      ...linear({
        name: `${b}.mlp.in`,
        ...source,
        rows,
        weights: this.matrix(`${b}.mlp.in`),
        bias: this.vector(`${b}.mlp.in.b`),
        epilogue,
        y: open ? 'pre' : 'post',
        yStride: layout.dMlp,
        variants,
      }),
    );
    if (open) {
      this.ops.push(
        act({
          rows,
          hook: `${b}.mlp.hook_post`,
          pre: 'pre',
          post: 'post',
          act: name,
          gated,
          width: spec.dMlp,
          stride: layout.dMlp,
          second,
          site: this.site(pre),
          linearSite: this.site(linearHook),
        }),
      );
      this.hook(pre, 'pre', false, rows);
      if (gated) this.hook(linearHook, 'pre', false, rows, second);
    }
    this.hook(`${b}.mlp.hook_post`, 'post', true, rows);
  }

  /** A branch's last projection, and its own norm where it has one: straight into the stream, or in the open where its hook is looked at. */
  private write(name: string, x: string, rows: number, hook: string, post: string): void {
    const { spec, layout, variants } = this.planner;
    const open = this.looked(hook);
    const { postNorms } = spec.block;
    this.ops.push(
      ...linear({
        name,
        x,
        rows,
        weights: this.matrix(name),
        bias: this.vector(`${name}.b`),
        epilogue: { kind: open || postNorms ? 'plain' : 'residual' },
        y: open || postNorms ? 'part' : 'resid',
        yStride: layout.dModel,
        variants,
        hook,
      }),
    );
    if (postNorms) this.norm(post, rows, 'part', open ? 'branch' : 'resid', !open);
    if (!open) return;
    const part = postNorms ? 'branch' : 'part';
    if (this.inserts(hook)) this.edits(hook, part, rows);
    this.ops.push(add({ rows, hook, part, resid: 'resid', width: spec.dModel, stride: layout.dModel, site: this.site(hook) }));
    this.hook(hook, part, false, rows);
  }

  private final(): Stream {
    if (!this.looked('ln_final.hook_scale', 'ln_final.hook_normalized')) return { buffer: 'resid', normed: false };
    this.normed('ln_final', this.input.rows, 'xn');
    return { buffer: 'xn', normed: true };
  }
}
