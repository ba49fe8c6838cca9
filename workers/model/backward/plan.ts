/**
 * The backward pass of every family, planned as the forward is: from the gradient at the logits down to the lowest hook that is asked for, as
 * a list of operations, and the activations that the forward must keep for it. Pure: no GPU, no names of families.
 *
 * The gradient at a hook is that of the metric by the hook's value after its edits; then what the edits do to it (adjoint.ts). Gradients along the
 * stream lie in `g.resid`; each branch reads it and its norm adds to it: d(x + f(x)) = g + f'ᵀg. Patterns are computed again, not kept.
 */
import type { Op } from '../../gpu/commands';
import { actBack, attentionBack, linearBack, normBack, ropeBack, type LinearSource } from '../../kernels/backward';
import { linear } from '../../kernels/linear';
import { edit, NO_SITE, type Site } from '../../kernels/rowwise';
import { findHook, geometryOf, type Geometry } from '../hooks';
import { matrixOf } from '../matrices';
import { ropeBuffer, type Inserts, type Planner } from '../plan';
import { attentionScale, rotaryDims, windowOf } from '../spec';
import { keptBuffer } from './inserts';

export interface BackwardInput {
  rows: number;
  /** Numbers of a row of scores. */
  keys: number;
  /** Rows whose logits the metric reads, in the order of `g.logits`. */
  wanted: readonly number[];
  /** Hooks that the forward's edits touch, */
  edited: ReadonlySet<string>;
  /** and where the edits of their gradients lie; in their place, where dictionaries have a part, what is to be done there. */
  sites: ReadonlyMap<string, Site>;
  inserts?: ReadonlyMap<string, Inserts>;
  /** Hooks whose values must be kept for those. */
  reads?: Iterable<string>;
  /** Hooks whose gradients are wanted, and where each is copied to: all rows. */
  at: ReadonlyMap<string, { to: string; offset: number }>;
}

export interface BackwardPlan {
  ops: Op[];
  /** Hooks whose values the forward must have kept, in buffers of these names. */
  kept: ReadonlyMap<string, string>;
  /** Words of each buffer of its own. */
  words: Readonly<Record<string, number>>;
}

export function planBackward(planner: Planner, input: BackwardInput): BackwardPlan {
  return new Backward(planner, input).all();
}

class Backward {
  private readonly ops: Op[] = [];
  private readonly kept = new Map<string, string>();
  /** Hooks that are still to come. */
  private readonly left: Set<string>;

  constructor(
    private readonly planner: Planner,
    private readonly input: BackwardInput,
  ) {
    this.left = new Set(input.at.keys());
    for (const hook of this.left) findHook(planner.hooks, hook);
    for (const hook of input.reads ?? []) this.keep(hook);
  }

  all(): BackwardPlan {
    this.head();
    for (let layer = this.planner.spec.layers - 1; layer >= 0 && this.left.size > 0; layer--) this.block(layer);
    if (this.left.size > 0) {
      // A sum: each has the sum's gradient, and nothing lies below for their edits to matter to.
      this.tap('hook_pos_embed', 'g.resid');
      this.reads('hook_embed', 'g.resid');
      this.tap('hook_embed', 'g.resid');
    }
    const last = this.ops.findLastIndex((op) => op.op === 'copy' && op.to.startsWith('read.'));
    this.ops.length = last + 1;
    return { ops: this.ops, kept: this.kept, words: this.words() };
  }

  private words(): Record<string, number> {
    const { spec, layout } = this.planner;
    const { rows, keys, wanted } = this.input;
    const [stream, square] = [rows * layout.dModel, rows * spec.heads * keys];
    const kv = rows * spec.kvHeads * layout.dHead;
    return {
      'g.logits': wanted.length * layout.vocab,
      'g.fn': wanted.length * layout.dModel,
      'g.xn': stream,
      'g.resid': stream,
      'g.both': stream,
      'g.out': stream,
      'g.part': stream,
      'g.normalized': stream,
      'g.scale': rows,
      'g.post': rows * layout.dMlp,
      'g.pre': 2 * rows * layout.dMlp,
      'g.z': rows * layout.dHeads,
      'g.q': rows * layout.dHeads,
      'g.k': kv,
      'g.v': kv,
      'g.scores': square,
      'g.pattern': square,
      'again.scores': square,
      'again.pattern': square,
      ...Object.fromEntries([...this.kept].map(([hook, name]) => [name, rows * this.geometry(hook).rowStride])),
    };
  }

  private geometry(hook: string): Geometry {
    return geometryOf(findHook(this.planner.hooks, hook), this.input.keys);
  }
  /** The buffer that holds a hook's values of the forward run, after its edits. */
  private keep(hook: string): string {
    const name = keptBuffer(hook);
    this.kept.set(hook, name);
    return name;
  }
  private vector(name: string): number {
    return this.planner.weights.vectors.get(name) ?? 0;
  }
  private copy(from: string, to: string, bytes: number, hook: string, fromOffset = 0, toOffset = 0): void {
    this.ops.push({ op: 'copy', from, fromOffset, to, toOffset, bytes, hook });
  }

  /** The gradient at a hook lies in `buffer` now: copied out where it is asked for, then through the hook's edits. */
  private hook(name: string, buffer: string): void {
    this.reads(name, buffer);
    this.tap(name, buffer);
    const { rows, sites, inserts } = this.input;
    for (const step of inserts?.get(name)?.steps ?? [sites.get(name) ?? NO_SITE]) {
      if (typeof step === 'function') this.ops.push(...step({ hook: name, buffer, rows }));
      else if (step.count) {
        const { rowStride, stride, width, units, keys: causal } = this.geometry(name);
        this.ops.push(edit({ rows, hook: name, x: buffer, site: step, rowStride, stride, width, units, causal }));
      }
    }
  }
  /** What comes to a hook's gradient from dictionaries that read there and write further on. */
  private reads(name: string, buffer: string): void {
    for (const read of this.input.inserts?.get(name)?.reads ?? []) this.ops.push(...read({ hook: name, buffer, rows: this.input.rows }));
  }
  private changed(name: string): boolean {
    return this.input.sites.has(name) || this.input.inserts?.has(name) === true;
  }
  private tap(name: string, buffer: string): void {
    const tap = this.input.at.get(name);
    if (tap) this.copy(buffer, tap.to, 4 * this.input.rows * this.geometry(name).rowStride, name, 0, tap.offset);
    this.left.delete(name);
  }

  /** From the logits, whose gradient was put into `g.logits`, to the final stream. */
  private head(): void {
    const { spec, layout, weights } = this.planner;
    const { wanted } = this.input;
    this.ops.push(
      ...linearBack({
        hook: 'logits',
        rows: wanted.length,
        weights: matrixOf(weights, spec.tied ? 'embed' : 'unembed'),
        source: { kind: 'plain', dy: 'g.logits', stride: layout.vocab },
        dx: 'g.fn',
        add: false,
      }),
    );
    const bytes = 4 * layout.dModel;
    // Other rows are 0: whoever runs the plan clears the buffer.
    const to = spec.norm.kind === 'none' ? 'g.resid' : 'g.xn';
    wanted.forEach((row, i) => this.copy('g.fn', to, bytes, 'logits', i * bytes, row * bytes));
    this.norm('ln_final', this.keep(`blocks.${spec.layers - 1}.hook_resid_post`), 'g.xn', 'g.resid', false);
  }

  /** Through a norm, whose hooks may be looked at and edited. */
  private norm(name: string, x: string, dy: string, dx: string, add: boolean): void {
    const { spec, layout } = this.planner;
    const { kind, eps } = spec.norm;
    if (kind === 'none') return;
    const [scale, normalized] = [`${name}.hook_scale`, `${name}.hook_normalized`];
    const edited = this.input.edited.has(scale) || this.input.edited.has(normalized);
    const steps = normBack({
      hook: normalized,
      rows: this.input.rows,
      kind,
      x,
      dy,
      dNormalized: 'g.normalized',
      dScale: 'g.scale',
      dx,
      d: spec.dModel,
      stride: layout.dModel,
      gain: this.vector(`${name}.w`),
      eps,
      add,
      ...(edited ? { edited: this.keep(scale) } : {}),
    });
    const [first, second, third] = steps;
    if (first) this.ops.push(first);
    this.hook(normalized, 'g.normalized');
    if (second) this.ops.push(second);
    this.hook(scale, 'g.scale');
    if (third) this.ops.push(third);
  }

  private block(layer: number): void {
    const { spec } = this.planner;
    const b = `blocks.${layer}`;
    const { parallel } = spec.block;
    const mlp = spec.dMlp > 0;
    this.hook(`${b}.hook_resid_post`, 'g.resid');
    // Side by side, both branches read what came from above, while their norms add to it.
    const from = parallel ? 'g.both' : 'g.resid';
    if (parallel) this.copy('g.resid', from, this.streamBytes(), `${b}.hook_resid_post`);
    if (mlp) this.mlp(layer, from, `${b}.hook_${parallel ? 'resid_pre' : 'resid_mid'}`);
    if (mlp && !parallel) this.hook(`${b}.hook_resid_mid`, 'g.resid');
    this.attention(layer, from);
    this.hook(`${b}.hook_resid_pre`, 'g.resid');
  }

  private streamBytes(): number {
    return 4 * this.input.rows * this.planner.layout.dModel;
  }

  /** From the stream's gradient to that at what a branch's last projection wrote: its hook's edits, and its own norm where it has one. */
  private branch(from: string, hook: string, name: string, post: string, x: string): string {
    let at = from;
    if (this.changed(hook)) {
      this.copy(from, 'g.out', this.streamBytes(), hook);
      at = 'g.out';
    }
    this.hook(hook, at);
    const { spec, layout, weights, variants } = this.planner;
    if (!spec.block.postNorms || spec.norm.kind === 'none') return at;
    // What the norm read is no hook: the projection once more.
    this.ops.push(
      ...linear({
        name,
        x,
        rows: this.input.rows,
        weights: matrixOf(weights, name),
        bias: weights.vectors.get(`${name}.b`),
        epilogue: { kind: 'plain' },
        y: 'part',
        yStride: layout.dModel,
        variants,
        hook,
      }),
    );
    this.norm(post, 'part', at, 'g.part', false);
    return 'g.part';
  }

  /** Into a projection that read a norm of the stream: to the norm's output, and through it onto the stream's gradient. */
  private read(name: string, source: LinearSource, norm: string, stream: string): void {
    const { spec, weights } = this.planner;
    const normed = spec.norm.kind !== 'none';
    const { rows } = this.input;
    this.ops.push(
      ...linearBack({ hook: name, rows, weights: matrixOf(weights, name), source, dx: normed ? 'g.xn' : 'g.resid', add: !normed }),
    );
    if (normed) this.norm(norm, this.keep(stream), 'g.xn', 'g.resid', true);
  }

  private mlp(layer: number, from: string, stream: string): void {
    const { spec, layout, weights } = this.planner;
    const { rows } = this.input;
    const b = `blocks.${layer}`;
    const [pre, other, post] = [`${b}.mlp.hook_pre`, `${b}.mlp.hook_pre_linear`, `${b}.mlp.hook_post`];
    const { gated, act } = spec.mlp;
    const name = `${b}.mlp.out`;
    const at = this.branch(from, `${b}.hook_mlp_out`, name, `${b}.ln2_post`, spec.block.postNorms ? this.keep(post) : '');
    const source: LinearSource = { kind: 'plain', dy: at, stride: layout.dModel };
    this.ops.push(...linearBack({ hook: post, rows, weights: matrixOf(weights, name), source, dx: 'g.post', add: false }));
    this.hook(post, 'g.post');
    const second = rows * layout.dMlp;
    this.ops.push(
      actBack({
        hook: pre,
        rows,
        act,
        pre: this.keep(pre),
        ...(gated ? { linear: this.keep(other) } : {}),
        dPost: 'g.post',
        dPre: 'g.pre',
        second,
        width: spec.dMlp,
        stride: layout.dMlp,
      }),
    );
    this.hook(pre, 'g.pre');
    if (gated) this.hookAt(other, 'g.pre', second);
    this.read(
      `${b}.mlp.in`,
      gated ? { kind: 'split', dy: 'g.pre', stride: layout.dMlp, second } : { kind: 'plain', dy: 'g.pre', stride: layout.dMlp },
      `${b}.ln2`,
      stream,
    );
  }

  /** A hook whose gradient lies behind another's: taken to a buffer of its own and back where its edits change it. */
  private hookAt(name: string, buffer: string, word: number): void {
    const tap = this.input.at.get(name);
    if (!tap && !this.changed(name)) return;
    const bytes = 4 * this.input.rows * this.geometry(name).rowStride;
    this.copy(buffer, 'g.post', bytes, name, 4 * word);
    this.hook(name, 'g.post');
    if (this.changed(name)) this.copy('g.post', buffer, bytes, name, 0, 4 * word);
  }

  private attention(layer: number, from: string): void {
    const { spec, layout, weights } = this.planner;
    const { rows, keys, edited } = this.input;
    const b = `blocks.${layer}`;
    const at = `${b}.attn`;
    const name = `${at}.out`;
    const out = this.branch(from, `${b}.hook_attn_out`, name, `${b}.ln1_post`, spec.block.postNorms ? this.keep(`${at}.hook_z`) : '');
    const source: LinearSource = { kind: 'plain', dy: out, stride: layout.dModel };
    this.ops.push(...linearBack({ hook: `${at}.hook_z`, rows, weights: matrixOf(weights, name), source, dx: 'g.z', add: false }));
    this.hook(`${at}.hook_z`, 'g.z');

    const rot = rotaryDims(spec);
    const turned = rot > 0 ? 'rot_' : '';
    const shape = { heads: spec.heads, kvHeads: spec.kvHeads, dHead: spec.dHead, dHeadPadded: layout.dHead, rot };
    const [scores, pattern] = [`${at}.hook_attn_scores`, `${at}.hook_pattern`];
    const steps = attentionBack(
      {
        ...shape,
        rows,
        keys,
        window: windowOf(spec, layer),
        scale: attentionScale(spec, layer),
        cap: spec.attention.cap,
        hook: pattern,
      },
      {
        q: this.keep(`${at}.hook_${turned}q`),
        k: this.keep(`${at}.hook_${turned}k`),
        v: this.keep(`${at}.hook_v`),
        dz: 'g.z',
        scores: 'again.scores',
        pattern: 'again.pattern',
        ...(edited.has(scores) ? { keptScores: this.keep(scores) } : {}),
        ...(edited.has(pattern) ? { keptPattern: this.keep(pattern) } : {}),
        dPattern: 'g.pattern',
        dScores: 'g.scores',
        dq: 'g.q',
        dk: 'g.k',
        dv: 'g.v',
      },
    );
    this.ops.push(steps.again(), steps.pattern());
    this.hook(pattern, 'g.pattern');
    this.ops.push(steps.scores());
    this.hook(scores, 'g.scores');
    this.ops.push(steps.q(), steps.kv());
    if (rot > 0) {
      this.hook(`${at}.hook_rot_q`, 'g.q');
      this.hook(`${at}.hook_rot_k`, 'g.k');
    }
    const { qkNorm } = spec.attention;
    if (rot > 0 || qkNorm)
      this.ops.push(
        ropeBack({
          hook: `${at}.hook_q`,
          rows,
          ...shape,
          table: ropeBuffer(spec.positions.kind === 'rotary' ? (spec.positions.tableOf[layer] ?? 0) : 0),
          dq: 'g.q',
          dk: 'g.k',
          ...(qkNorm
            ? {
                norm: {
                  q: this.vector(`${at}.q_norm.w`),
                  k: this.vector(`${at}.k_norm.w`),
                  eps: spec.norm.eps,
                  rawQ: this.keep(`${at}.hook_q`),
                  rawK: this.keep(`${at}.hook_k`),
                },
              }
            : {}),
        }),
      );
    this.hook(`${at}.hook_q`, 'g.q');
    this.hook(`${at}.hook_k`, 'g.k');
    this.hook(`${at}.hook_v`, 'g.v');
    this.read(`${at}.qkv`, { kind: 'qkv', dq: 'g.q', dk: 'g.k', dv: 'g.v', ...shape }, `${b}.ln1`, `${b}.hook_resid_pre`);
  }
}
