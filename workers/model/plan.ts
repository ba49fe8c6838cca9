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
import { act, add, edit, norm, NO_SITE, rope, type Site } from '../kernels/rowwise';
import { findHook, geometryOf, type HookInfo } from './hooks';
import type { Layout } from './layout';
import type { Matrix, WeightTable } from './matrices';
import { attentionScale, type ModelSpec } from './spec';

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

export interface PlanInput {
  rows: number;
  cache: CacheShape;
  /** Length of a row of scores, where they are open. */
  keys: number;
  sites: ReadonlyMap<string, Site>;
  taps: readonly Tap[];
  /** Rows that enter at a layer, their residuals in buffer `stored`; rows from `row0` on are not computed before. */
  starts?: readonly { layer: number; row0: number; rows: number; storedRow: number }[];
}

/** The final stream: where it lies, and whether ln_final was applied already. */
export interface Stream {
  buffer: 'resid' | 'xn';
  normed: boolean;
}

export const kvBuffer = (cache: CacheShape, layer: number): string => (cache.kept ? `kv.${layer}` : 'kv');
export const kvHalfWords = (cache: CacheShape, spec: ModelSpec, layout: Layout): number =>
  cache.slots * spec.kvHeads * cache.cap * layout.dHead;

export function plan(planner: Planner, input: PlanInput): { ops: Op[]; stream: Stream } {
  return new Build(planner, input).all();
}

class Build {
  private readonly ops: Op[] = [];
  private readonly tapsAt = new Map<string, Tap[]>();

  constructor(
    private readonly planner: Planner,
    private readonly input: PlanInput,
  ) {
    for (const tap of input.taps) this.tapsAt.set(tap.hook, [...(this.tapsAt.get(tap.hook) ?? []), tap]);
  }

  all(): { ops: Op[]; stream: Stream } {
    this.embed();
    for (let layer = 0; layer < this.planner.spec.layers; layer++) this.block(layer);
    return { ops: this.ops, stream: this.final() };
  }

  private site(hook: string): Site {
    return this.input.sites.get(hook) ?? NO_SITE;
  }
  private looked(...hooks: string[]): boolean {
    return hooks.some((hook) => this.input.sites.has(hook) || this.tapsAt.has(hook));
  }
  private vector(name: string): number | undefined {
    return this.planner.weights.vectors.get(name);
  }
  private matrix(name: string): Matrix {
    return matrixOf(this.planner.weights, name);
  }

  /** A hook whose values lie in `buffer` now: its edits where `edits`, then its taps. */
  private hook(name: string, buffer: string, edits: boolean, rows: number, offsetWords = 0): void {
    const info = findHook(this.planner.hooks, name);
    const at = geometryOf(info, this.input.keys);
    const site = this.site(name);
    if (edits && site.count)
      this.ops.push(
        edit({
          rows,
          hook: name,
          x: buffer,
          site,
          rowStride: at.rowStride,
          stride: at.stride,
          width: at.width,
          units: at.units,
          causal: at.keys,
        }),
      );
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
    const base = { rows, d: layout.dModel, vocab: spec.vocab };
    const open = pos && this.looked('hook_embed', 'hook_pos_embed');
    this.ops.push(embed({ ...base, table, ...(pos && !open ? { pos } : {}), y: 'resid', hook: 'hook_embed' }));
    if (pos && !open) return;
    // Where the token embedding is tapped it must be seen before the positions are added; else one dispatch does both.
    const apart = !pos || this.tapsAt.has('hook_embed');
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
    const { layout } = this.planner;
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
    this.hook(`${b}.hook_resid_pre`, 'resid', true, rows);
    this.attend(layer, rows);
    this.hook(`${b}.hook_resid_mid`, 'resid', true, rows);
    this.mlp(layer, rows);
    this.hook(`${b}.hook_resid_post`, 'resid', true, rows);
  }

  /** What a projection reads: the stream with its norm folded in where few rows pass unseen, else a normed copy. */
  private normed(
    name: string,
    rows: number,
    out: string,
  ): { x: string; norm?: { kind: 'layer' | 'rms'; gain: number; width: number; eps: number } } {
    const { spec, layout } = this.planner;
    const gain = this.vector(`${name}.w`) ?? 0;
    const scale = `${name}.hook_scale`;
    const normalized = `${name}.hook_normalized`;
    const open = this.looked(scale, normalized);
    if (!open && rows <= FEW) return { x: 'resid', norm: { kind: spec.norm.kind, gain, width: spec.dModel, eps: spec.norm.eps } };
    this.ops.push(
      norm({
        rows,
        hook: normalized,
        kind: spec.norm.kind,
        x: 'resid',
        out,
        d: spec.dModel,
        stride: layout.dModel,
        gain,
        eps: spec.norm.eps,
        ...(open
          ? { open: { scale: 'scale', normalized: 'normalized', scaleSite: this.site(scale), normalizedSite: this.site(normalized) } }
          : {}),
      }),
    );
    if (open) {
      this.hook(scale, 'scale', false, rows);
      this.hook(normalized, 'normalized', false, rows);
    }
    return { x: out };
  }

  private attend(layer: number, rows: number): void {
    const { spec, layout, variants } = this.planner;
    const { cache, keys } = this.input;
    const b = `blocks.${layer}`;
    const at = `${b}.attn`;
    const rot = spec.positions.kind === 'rotary' ? spec.positions.dims : 0;
    const kv = kvBuffer(cache, layer);
    const second = kvHalfWords(cache, spec, layout);
    const source = this.normed(`${b}.ln1`, rows, 'xn');
    const raw = this.looked(`${at}.hook_q`, `${at}.hook_k`, `${at}.hook_v`, `${at}.hook_rot_q`, `${at}.hook_rot_k`);
    const rawSecond = this.input.rows * spec.kvHeads * layout.dHead;
    const epilogue: Epilogue = {
      kind: 'qkv',
      heads: spec.heads,
      kvHeads: spec.kvHeads,
      dHead: spec.dHead,
      dHeadPadded: layout.dHead,
      rot,
      second: raw ? rawSecond : second,
      cap: cache.cap,
      kv: raw ? 'kvraw' : kv,
      cache: !raw,
    };
    this.ops.push(
      ...linear({
        name: `${at}.qkv`,
        ...source,
        rows,
        weights: this.matrix(`${at}.qkv`),
        bias: this.vector(`${at}.qkv.b`),
        epilogue,
        y: 'q',
        yStride: layout.dHeads,
        variants,
      }),
    );
    if (raw) {
      const sites = {
        q: this.site(`${at}.hook_q`),
        k: this.site(`${at}.hook_k`),
        v: this.site(`${at}.hook_v`),
        rotQ: this.site(`${at}.hook_rot_q`),
        rotK: this.site(`${at}.hook_rot_k`),
      };
      this.ops.push(
        rope({
          rows,
          hook: `${at}.hook_rot_q`,
          heads: spec.heads,
          kvHeads: spec.kvHeads,
          dHead: spec.dHead,
          dHeadPadded: layout.dHead,
          rot,
          kv,
          second: rawSecond,
          cacheSecond: second,
          cap: cache.cap,
          sites,
        }),
      );
      this.hook(`${at}.hook_q`, 'q', false, rows);
      this.hook(`${at}.hook_k`, 'kvraw', false, rows);
      this.hook(`${at}.hook_v`, 'kvraw', false, rows, rawSecond);
      if (rot) {
        this.hook(`${at}.hook_rot_q`, 'qr', false, rows);
        this.hook(`${at}.hook_rot_k`, 'kr', false, rows);
      }
    }
    const q = raw && rot ? 'qr' : 'q';
    const shape = {
      rows,
      heads: spec.heads,
      kvHeads: spec.kvHeads,
      dHeadPadded: layout.dHead,
      kv,
      second,
      cap: cache.cap,
      scale: attentionScale(spec, layer),
    };
    const scoresHook = `${at}.hook_attn_scores`;
    const patternHook = `${at}.hook_pattern`;
    if (this.looked(scoresHook, patternHook)) {
      this.ops.push(
        openAttention({ ...shape, q, keys, hook: patternHook, sites: { scores: this.site(scoresHook), pattern: this.site(patternHook) } }),
      );
      this.hook(scoresHook, 'scores', false, rows);
      this.hook(patternHook, 'pattern', false, rows);
    } else this.ops.push(attention({ ...shape, q, variant: variants.attention, length: keys, hook: `${at}.hook_z` }));
    this.hook(`${at}.hook_z`, 'z', true, rows);
    this.write(`${at}.out`, 'z', rows, `${b}.hook_attn_out`);
  }

  private mlp(layer: number, rows: number): void {
    const { spec, layout, variants } = this.planner;
    const b = `blocks.${layer}`;
    const pre = `${b}.mlp.hook_pre`;
    const linearHook = `${b}.mlp.hook_pre_linear`;
    const source = this.normed(`${b}.ln2`, rows, 'xn');
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
    this.write(`${b}.mlp.out`, 'post', rows, `${b}.hook_mlp_out`);
  }

  /** A branch's last projection: straight into the stream, or in the open where its hook is looked at. */
  private write(name: string, x: string, rows: number, hook: string): void {
    const { spec, layout, variants } = this.planner;
    const open = this.looked(hook);
    this.ops.push(
      ...linear({
        name,
        x,
        rows,
        weights: this.matrix(name),
        bias: this.vector(`${name}.b`),
        epilogue: { kind: open ? 'plain' : 'residual' },
        y: open ? 'part' : 'resid',
        yStride: layout.dModel,
        variants,
        hook,
      }),
    );
    if (!open) return;
    this.ops.push(add({ rows, hook, part: 'part', resid: 'resid', width: spec.dModel, stride: layout.dModel, site: this.site(hook) }));
    this.hook(hook, 'part', false, rows);
  }

  private final(): Stream {
    if (!this.looked('ln_final.hook_scale', 'ln_final.hook_normalized')) return { buffer: 'resid', normed: false };
    this.normed('ln_final', this.input.rows, 'xn');
    return { buffer: 'xn', normed: true };
  }
}

export function matrixOf(weights: WeightTable, name: string): Matrix {
  const found = weights.matrices.get(name);
  if (!found) throw new Error(`no matrix “${name}”`);
  return found;
}

/** Logits of `rows` rows of x (from row0) into `logits`; ln_final first unless it was applied. */
export function unembed(planner: Planner, call: { x: string; row0: number; rows: number; normed: boolean; out?: string }): Op[] {
  const { spec, layout, weights, variants } = planner;
  const gain = weights.vectors.get('ln_final.w') ?? 0;
  const ops: Op[] = [];
  let source: { x: string; row0: number; norm?: { kind: 'layer' | 'rms'; gain: number; width: number; eps: number } } = {
    x: call.x,
    row0: call.row0,
  };
  if (!call.normed) {
    if (call.rows <= FEW) source = { ...source, norm: { kind: spec.norm.kind, gain, width: spec.dModel, eps: spec.norm.eps } };
    else {
      ops.push(
        norm({
          rows: call.rows,
          hook: 'ln_final.hook_normalized',
          kind: spec.norm.kind,
          x: call.x,
          row0: call.row0,
          out: 'fn',
          d: spec.dModel,
          stride: layout.dModel,
          gain,
          eps: spec.norm.eps,
        }),
      );
      source = { x: 'fn', row0: 0 };
    }
  }
  const bias = weights.vectors.get('unembed.b');
  ops.push(
    ...linear({
      name: 'unembed',
      ...source,
      rows: call.rows,
      weights: matrixOf(weights, spec.tied ? 'embed' : 'unembed'),
      bias,
      epilogue: { kind: 'plain' },
      y: call.out ?? 'logits',
      yStride: layout.vocab,
      variants,
    }),
  );
  return ops;
}
