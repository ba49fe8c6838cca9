/**
 * The whole forward pass in float64 over a ModelSpec: the meaning that the engine is held to, with a hook at every
 * TransformerLens name. Pre-norm blocks: mid = pre + attn(ln1 pre); post = mid + mlp(ln2 mid); logits = W_U·ln_final + b.
 */
import type { Hook } from '../../workers/api';
import { attentionScale, type ModelSpec } from '../../workers/model/spec';
import { activation } from './activation';
import { attentionMix, attentionPattern, attentionScores } from './attention';
import { at, plus } from './array';
import { linear, type Linear } from './linear';
import { centre, divideRows, gain, normScale } from './norm';
import { rope } from './rope';
import type { Gain, LayerWeights, Weights } from './weights';

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

  norm(x: Float64Array, weights: Gain, name: string): Float64Array {
    const { dModel, norm } = this.spec;
    const centred = centre(x, dModel, norm.kind);
    const scale = this.at(`${name}.hook_scale`, normScale(centred, dModel, norm.eps), [this.length, 1]);
    const normalized = this.at(`${name}.hook_normalized`, divideRows(centred, dModel, scale), [this.length, dModel]);
    return gain(normalized, weights.weight, weights.bias);
  }

  attention(x: Float64Array, weights: LayerWeights, layer: number): Float64Array {
    const { heads, kvHeads, dHead, positions, dModel } = this.spec;
    const { length } = this;
    const name = `blocks.${layer}.attn`;
    const heads3 = (part: string, weight: Linear, count: number) =>
      this.at(`${name}.hook_${part}`, linear(x, weight), [length, count, dHead]);
    let q = heads3('q', weights.q, heads);
    let k = heads3('k', weights.k, kvHeads);
    const v = heads3('v', weights.v, kvHeads);
    if (positions.kind === 'rotary') {
      const turn = (part: string, value: Float64Array, count: number) =>
        this.at(`${name}.hook_rot_${part}`, rope(value, { ...positions, heads: count, dHead }), [length, count, dHead]);
      q = turn('q', q, heads);
      k = turn('k', k, kvHeads);
    }
    const shape = { queries: length, keys: length, heads, kvHeads, dHead };
    const square = [heads, length, length];
    const scores = this.at(`${name}.hook_attn_scores`, attentionScores(q, k, shape, attentionScale(this.spec, layer)), square);
    const pattern = this.at(`${name}.hook_pattern`, attentionPattern(scores, length).pattern, square);
    const z = this.at(`${name}.hook_z`, attentionMix(pattern, v, shape), [length, heads, dHead]);
    return this.at(`blocks.${layer}.hook_attn_out`, linear(z, weights.out), [length, dModel]);
  }

  mlp(x: Float64Array, weights: LayerWeights, layer: number): Float64Array {
    const { dMlp, dModel, mlp } = this.spec;
    const wide = [this.length, dMlp];
    const name = `blocks.${layer}.mlp`;
    const pre = this.at(`${name}.hook_pre`, linear(x, weights.gate ?? weights.up), wide);
    const up = weights.gate && this.at(`${name}.hook_pre_linear`, linear(x, weights.up), wide);
    const post = this.at(`${name}.hook_post`, activation(mlp.act, pre, up), wide);
    return this.at(`blocks.${layer}.hook_mlp_out`, linear(post, weights.down), [this.length, dModel]);
  }
}

/** Logits [pos, vocab] of one sequence. */
export function forward(spec: ModelSpec, weights: Weights, ids: readonly number[], hook: HookFn = () => undefined): Float64Array {
  const { dModel } = spec;
  const pass = new Pass(spec, ids.length, hook);
  const narrow = [ids.length, dModel];
  const embedded = Float64Array.from({ length: ids.length * dModel }, (_, i) =>
    at(weights.embed, at(ids, Math.floor(i / dModel)) * dModel + (i % dModel)),
  );
  let stream = pass.at('hook_embed', embedded, narrow);
  if (weights.pos) stream = plus(stream, pass.at('hook_pos_embed', weights.pos.slice(0, ids.length * dModel), narrow));
  weights.layers.forEach((layer, l) => {
    stream = pass.at(`blocks.${l}.hook_resid_pre`, stream, narrow);
    const attended = pass.attention(pass.norm(stream, layer.ln1, `blocks.${l}.ln1`), layer, l);
    stream = pass.at(`blocks.${l}.hook_resid_mid`, plus(stream, attended), narrow);
    const out = pass.mlp(pass.norm(stream, layer.ln2, `blocks.${l}.ln2`), layer, l);
    stream = pass.at(`blocks.${l}.hook_resid_post`, plus(stream, out), narrow);
  });
  return linear(pass.norm(stream, weights.lnFinal, 'ln_final'), weights.unembed);
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
