/**
 * The whole forward pass in float64 over a ModelSpec: the meaning that the engine is held to, with a hook at every
 * TransformerLens name. `post` is a branch's own norm, where it has one (Gemma), else nothing.
 *   one after the other   mid = pre + post1(attn(ln1 pre));  post = mid + post2(mlp(ln2 mid))
 *   in parallel           post = pre + attn(ln1 pre) + mlp(ln2 pre), ln2 being ln1 where they share one
 *   logits = cap(W_U·ln_final + b)
 */
import type { Hook } from '../../workers/api';
import { attentionScale, windowOf, type ModelSpec } from '../../workers/model/spec';
import { activation } from './activation';
import { attentionMix, attentionPattern, attentionScores } from './attention';
import { at, plus } from './array';
import { linear, type Linear } from './linear';
import { centre, divideRows, gain, norm, normScale } from './norm';
import { rope } from './rope';
import { softcap } from './softcap';
import type { Gain, LayerWeights, MlpWeights, Weights } from './weights';

/** Sees an activation and may answer with another, which the pass then goes on with. */
export type HookFn = (name: Hook, x: Float64Array, shape: readonly number[]) => Float64Array | undefined;

class Pass {
  constructor(
    readonly spec: ModelSpec,
    readonly length: number,
    private readonly hook: HookFn,
  ) {}

  at(name: Hook, x: Float64Array, shape: readonly number[]): Float64Array {
    return this.hook(name, x, shape) ?? x;
  }

  /** The stream itself where the model has no such norm. */
  norm(x: Float64Array, weights: Gain | undefined, name: string): Float64Array {
    const { dModel, norm } = this.spec;
    if (norm.kind === 'none' || !weights) return x;
    const centred = centre(x, dModel, norm.kind);
    const scale = this.at(`${name}.hook_scale`, normScale(centred, dModel, norm.eps), [this.length, 1]);
    const normalized = this.at(`${name}.hook_normalized`, divideRows(centred, dModel, scale), [this.length, dModel]);
    return gain(normalized, weights.weight, weights.bias);
  }

  attention(x: Float64Array, weights: LayerWeights, layer: number): Float64Array {
    const { heads, kvHeads, dHead, positions, dModel } = this.spec;
    const { eps } = this.spec.norm;
    const { length } = this;
    const name = `blocks.${layer}.attn`;
    const heads3 = (part: string, weight: Linear, count: number) =>
      this.at(`${name}.hook_${part}`, linear(x, weight), [length, count, dHead]);
    let q = heads3('q', weights.q, heads);
    let k = heads3('k', weights.k, kvHeads);
    const v = heads3('v', weights.v, kvHeads);
    // Each head by itself, and before it is turned.
    if (weights.qNorm) q = norm(q, 'rms', eps, weights.qNorm).out;
    if (weights.kNorm) k = norm(k, 'rms', eps, weights.kNorm).out;
    if (positions.kind === 'rotary') {
      const { dims, tables, tableOf } = positions;
      const table = tables[at(tableOf, layer)];
      if (!table) throw new RangeError(`layer ${layer} has no rotary table`);
      const turn = (part: string, value: Float64Array, count: number) =>
        this.at(`${name}.hook_rot_${part}`, rope(value, { heads: count, dHead, dims, table }), [length, count, dHead]);
      q = turn('q', q, heads);
      k = turn('k', k, kvHeads);
    }
    const [window, cap] = [windowOf(this.spec, layer), this.spec.attention.cap];
    const shape = { queries: length, keys: length, heads, kvHeads, dHead, window, cap };
    const square = [heads, length, length];
    const scores = this.at(`${name}.hook_attn_scores`, attentionScores(q, k, shape, attentionScale(this.spec, layer)), square);
    const pattern = this.at(`${name}.hook_pattern`, attentionPattern(scores, length).pattern, square);
    const z = this.at(`${name}.hook_z`, attentionMix(pattern, v, shape), [length, heads, dHead]);
    return this.branch(linear(z, weights.out), weights.ln1Post, `blocks.${layer}.ln1_post`, `blocks.${layer}.hook_attn_out`, dModel);
  }

  mlp(x: Float64Array, weights: MlpWeights, post: Gain | undefined, layer: number): Float64Array {
    const { dMlp, dModel, mlp } = this.spec;
    const wide = [this.length, dMlp];
    const name = `blocks.${layer}.mlp`;
    const pre = this.at(`${name}.hook_pre`, linear(x, weights.gate ?? weights.up), wide);
    const up = weights.gate && this.at(`${name}.hook_pre_linear`, linear(x, weights.up), wide);
    const acted = this.at(`${name}.hook_post`, activation(mlp.act, pre, up), wide);
    return this.branch(linear(acted, weights.down), post, `blocks.${layer}.ln2_post`, `blocks.${layer}.hook_mlp_out`, dModel);
  }

  /** What a branch adds to the stream. */
  private branch(x: Float64Array, post: Gain | undefined, postName: string, hook: Hook, width: number): Float64Array {
    return this.at(hook, this.norm(x, post, postName), [this.length, width]);
  }

  block(stream: Float64Array, weights: LayerWeights, l: number): Float64Array {
    const b = `blocks.${l}`;
    const narrow = [this.length, this.spec.dModel];
    const pre = this.at(`${b}.hook_resid_pre`, stream, narrow);
    const attended = plus(pre, this.attention(this.norm(pre, weights.ln1, `${b}.ln1`), weights, l));
    const { mlp } = weights;
    if (!mlp) return this.at(`${b}.hook_resid_post`, attended, narrow);
    const mid = this.spec.block.parallel ? pre : this.at(`${b}.hook_resid_mid`, attended, narrow);
    const out = this.mlp(this.norm(mid, weights.ln2, `${b}.ln2`), mlp, weights.ln2Post, l);
    return this.at(`${b}.hook_resid_post`, plus(this.spec.block.parallel ? attended : mid, out), narrow);
  }
}

/** Logits [pos, vocab] of one sequence. */
export function forward(spec: ModelSpec, weights: Weights, ids: readonly number[], hook: HookFn = () => undefined): Float64Array {
  const { dModel } = spec;
  const pass = new Pass(spec, ids.length, hook);
  const narrow = [ids.length, dModel];
  const embedded = Float64Array.from(
    { length: ids.length * dModel },
    (_, i) => spec.embedScale * at(weights.embed, at(ids, Math.floor(i / dModel)) * dModel + (i % dModel)),
  );
  let stream = pass.at('hook_embed', embedded, narrow);
  if (weights.pos) stream = plus(stream, pass.at('hook_pos_embed', weights.pos.slice(0, ids.length * dModel), narrow));
  weights.layers.forEach((layer, l) => (stream = pass.block(stream, layer, l)));
  const logits = linear(pass.norm(stream, weights.lnFinal, 'ln_final'), weights.unembed);
  return logits.map((logit) => softcap(logit, spec.logitCap));
}

/** Logits of a stream read through ln_final and W_U as they are: what the logit lens is held to. */
export function readStream(spec: ModelSpec, weights: Weights, stream: ArrayLike<number>): Float64Array {
  const { kind, eps } = spec.norm;
  const { lnFinal } = weights;
  const normed = kind === 'none' || !lnFinal ? stream : norm(stream, kind, eps, lnFinal.weight, lnFinal.bias).out;
  return linear(normed, weights.unembed).map((logit) => softcap(logit, spec.logitCap));
}

/** Every activation of an unedited run by hook name. */
export function record(spec: ModelSpec, weights: Weights, ids: readonly number[]): Map<Hook, { shape: number[]; data: Float64Array }> {
  const seen = new Map<Hook, { shape: number[]; data: Float64Array }>();
  forward(spec, weights, ids, (name, data, shape) => {
    seen.set(name, { shape: [...shape], data });
    return undefined;
  });
  return seen;
}
