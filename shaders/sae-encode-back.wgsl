// The backward twin of sae-normalise.wgsl, onto what lies in x: of u, the gradient at what an encoder reads,
//   NORM none     x += u
//   NORM centre   x += u − mean u + side₁/d
//   NORM layer    x += (u − mean u)/(σ + 1e-5) + (side₀ − Σ u·x̂/(σ + 1e-5))·(x − μ)/((d − 1)·σ) + side₁/d
// SIDE 1: side = (∂m/∂σ, ∂m/∂μ) of what undid the normalisation after decoding; else 0.
// Shapes: x, u, x̂ [rows, words], padding zero; stats, side [rows, 2]. d numbers of a row exist, in units of `width`, `stride` apart.
// Grid: one workgroup of 64 a row. Source: the chain rule.
struct Params { words: u32, d: u32, width: u32, stride: u32 }
@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@group(0) @binding(1) var<storage, read> u: array<f32>;
#if NORM == none
@group(0) @binding(2) var<uniform> p: Params;
#else
#if NORM == layer
@group(0) @binding(2) var<storage, read> normalised: array<f32>;
@group(0) @binding(3) var<storage, read> stats: array<f32>;
#end
#if SIDE
@group(0) @binding(4) var<storage, read> side: array<f32>;
@group(0) @binding(5) var<uniform> p: Params;
#else
@group(0) @binding(4) var<uniform> p: Params;
#end
#include reduce.wgsl NAME=total SIZE=64
#end

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lid: u32) {
  let start = wg.x * p.words;
#if NORM == none
  for (var i = lid; i < p.words; i += 64u) { x[start + i] += u[start + i]; }
#else
  var s = 0.0;
  for (var i = lid; i < p.words; i += 64u) { s += u[start + i]; }
  let d = f32(p.d);
#if SIDE
  let lift = side[2u * wg.x + 1u] / d;
#else
  let lift = 0.0;
#end
  let mean = total(s, lid) / d;
#if NORM == layer
  var q = 0.0;
  for (var i = lid; i < p.words; i += 64u) { q += u[start + i] * normalised[start + i]; }
  let deviation = stats[2u * wg.x + 1u];
  let divisor = deviation + 1e-5;
  var along = -total(q, lid) / divisor;
#if SIDE
  along += side[2u * wg.x];
#end
  let by = select(0.0, along * divisor / (max(d - 1.0, 1.0) * deviation), deviation > 0.0);
#end
  for (var i = lid; i < p.words; i += 64u) {
    let off = i % p.stride;
    if (off >= p.width || (i / p.stride) * p.width + off >= p.d) { continue; }
#if NORM == layer
    x[start + i] += (u[start + i] - mean) / divisor + by * normalised[start + i] + lift;
#else
    x[start + i] += u[start + i] - mean + lift;
#end
  }
#end
}
