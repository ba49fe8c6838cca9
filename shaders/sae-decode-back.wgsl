// Gradients at latents' activations to gradients at their products with the encoder, in place: h = (∂m/∂y)·W_dec[i] becomes
//   h·undo/gain·s·latentSlope(a)      undo: what a decoding is multiplied by, 1/s (layer_norm: σ_r/s)
// The true slope almost everywhere: a latent at rest has none, nor has which latents a topk takes.
// pre: products (with topk: activations, zeros where a latent was not taken). Shapes: h, pre [rows, stride], latents [n] of 4, stats [rows, 2].
// Grid: (⌈n/64⌉, rows). Source: the chain rule.
struct Params { n: u32, stride: u32, scale: f32, pad0: u32 }
@group(0) @binding(0) var<storage, read_write> h: array<f32>;
@group(0) @binding(1) var<storage, read> pre: array<f32>;
@group(0) @binding(2) var<storage, read> latents: array<vec4f>;
#if NORM
@group(0) @binding(3) var<storage, read> stats: array<f32>;
@group(0) @binding(4) var<uniform> p: Params;
#else
@group(0) @binding(3) var<uniform> p: Params;
#end
#include latent.wgsl
#include latent-slope.wgsl

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(workgroup_id) wg: vec3u) {
  if (id.x >= p.n) { return; }
  let at = wg.y * p.stride + id.x;
  let l = latents[id.x];
#if ACT == topk
  let a = pre[at];
#else
  let a = latent(p.scale * pre[at], l);
#end
#if NORM
  let undo = stats[2u * wg.y + 1u] / p.scale;
#else
  let undo = 1.0 / p.scale;
#end
  h[at] *= undo / l.w * p.scale * latentSlope(a, l);
}
