// What a dictionary with layer_norm reads: x̂ = (x − μ)/(s + 1e-5), μ = mean x, s = √(Σ(x − μ)²/(d − 1)), unbiased (SAELens, sae.py:
// run_time_activation_ln_in). μ and s are kept, to be undone after decoding.
// CENTRE 1: x̂ = x − μ and s = 1, for a dictionary trained on a centred stream and a model that is not.
// Shapes: x [rows, 4·K4], padding zero; out the same; stats [rows, 2]. d numbers of a row exist, in units of `width`, `stride` apart.
// Grid: one workgroup of 64 a row. Statistics in f32, two passes.
override K4: u32;
struct Params { row0: u32, d: u32, width: u32, stride: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<storage, read_write> stats: array<f32>;
@group(0) @binding(3) var<uniform> p: Params;
#include reduce.wgsl NAME=total SIZE=64

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lid: u32) {
  let start = (p.row0 + wg.x) * K4 * 4u;
  let to = wg.x * K4 * 4u;
  var s = 0.0;
  for (var i = lid; i < p.d; i += 64u) { s += x[start + (i / p.width) * p.stride + i % p.width]; }
  let mean = total(s, lid) / f32(p.d);
#if CENTRE
  let deviation = 1.0;
  let divisor = 1.0;
#else
  var q = 0.0;
  for (var i = lid; i < p.d; i += 64u) {
    let v = x[start + (i / p.width) * p.stride + i % p.width] - mean;
    q += v * v;
  }
  let deviation = sqrt(total(q, lid) / f32(max(p.d, 2u) - 1u));
  let divisor = deviation + 1e-5;
#end
  for (var i = lid; i < 4u * K4; i += 64u) {
    let off = i % p.stride;
    let here = off < p.width && (i / p.stride) * p.width + off < p.d;
    out[to + i] = select(0.0, (x[start + i] - mean) / divisor, here);
  }
  if (lid == 0u) {
    stats[2u * wg.x] = mean;
    stats[2u * wg.x + 1u] = deviation;
  }
}
