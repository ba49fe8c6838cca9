// y[r] = Σ a_i/gain_i · W_dec[i] (+ b_dec where this is the first piece), undone of its normalisation where it is the last:
//   scale: y/s    layer_norm: y·s_r + μ_r
// A row whose list is complete adds up the listed latents alone; one with more active latents than its list holds reads them all.
// Shapes: list [rows, 2 + 2·room], pre [rows, stride], W_dec piece [count, 4·K4] from latent n0, bias [4·K4], y [rows, 4·K4], stats [rows, 2].
// Strategy: a thread a column of four, so that rows of W_dec are read whole and in order. Grid: (⌈K4/64⌉, rows).
#include weights-$DTYPE.wgsl
override K4: u32;
struct Params { n0: u32, count: u32, room: u32, stride: u32, scale: f32, d: u32, width: u32, unitStride: u32 }
@group(0) @binding(0) var<storage, read> list: array<u32>;
@group(0) @binding(1) var<storage, read> pre: array<f32>;
@group(0) @binding(2) var<storage, read> latents: array<vec4f>;
@group(0) @binding(3) var<storage, read> w: array<W4>;
@group(0) @binding(4) var<storage, read> bias: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> y: array<vec4f>;
#if NORM
@group(0) @binding(6) var<storage, read> stats: array<f32>;
@group(0) @binding(7) var<uniform> p: Params;
#else
@group(0) @binding(6) var<uniform> p: Params;
#end

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(workgroup_id) wg: vec3u) {
  let c = id.x;
  let r = wg.y;
  if (c >= K4) { return; }
#if FIRST
  var sum = bias[c];
#else
  var sum = y[r * K4 + c];
#end
  let head = r * (2u + 2u * p.room);
  let listed = list[head + 1u];
  if (list[head] == listed) {
    for (var j = 0u; j < listed; j++) {
      let i = list[head + 2u + 2u * j];
      // Unsigned: a latent before this piece wraps to far beyond it.
      if (i - p.n0 < p.count) { sum += bitcast<f32>(list[head + 3u + 2u * j]) / latents[i].w * w4(w[(i - p.n0) * K4 + c]); }
    }
  } else {
    for (var i = 0u; i < p.count; i++) {
      let a = pre[r * p.stride + p.n0 + i];
      if (a > 0.0) { sum += a / latents[p.n0 + i].w * w4(w[i * K4 + c]); }
    }
  }
#if LAST
  sum = sum / p.scale;
#if NORM
  let off = vec4u(0, 1, 2, 3) + 4u * c;
  let here = (off % vec4u(p.unitStride) < vec4u(p.width)) & ((off / vec4u(p.unitStride)) * p.width + off % vec4u(p.unitStride) < vec4u(p.d));
  sum = select(vec4f(0), sum * stats[2u * r + 1u] + stats[2u * r], here);
#end
#end
  y[r * K4 + c] = sum;
}
