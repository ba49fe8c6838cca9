// LayerNorm: out = (x − μ)/σ · w + b, σ = √(mean((x − μ)²) + eps), biased. RMSNorm: μ = 0, no b.
// RESIDUAL 1 adds to out instead: a branch's output, normed once more on its way into the stream.
// OPEN 1 also writes hook_scale (σ) and hook_normalized ((x − μ)/σ, before gain and bias), after the edits at each.
// Shapes: x, out, normalized [rows, 4·d4]; scale [rows]. Grid: one workgroup of 64 a row. Statistics in f32, two passes.
#include row.wgsl
struct Params { row0: u32, gain: u32, d: u32, eps: f32, firstScale: u32, countScale: u32, firstNormalized: u32, countNormalized: u32, d4: u32 }
@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> vecs: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4f>;
#if OPEN
@group(0) @binding(3) var<storage, read_write> scale: array<f32>;
@group(0) @binding(4) var<storage, read_write> normalized: array<f32>;
#if EDIT
@group(0) @binding(5) var<storage, read> rows: array<Row>;
@group(0) @binding(6) var<storage, read> edits: array<u32>;
@group(0) @binding(7) var<uniform> p: Params;
#include edit-head.wgsl
#include edit-row.wgsl BUF=scale
#include edit-row.wgsl BUF=normalized
#else
@group(0) @binding(5) var<uniform> p: Params;
#end
#else
@group(0) @binding(3) var<uniform> p: Params;
#end
#include reduce.wgsl NAME=total SIZE=64

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lid: u32) {
  let D4 = p.d4;
  let r = wg.x;
  let start = (p.row0 + r) * D4;
  let to = r * D4;
#if NORM == layer
  var s = 0.0;
  for (var i = lid; i < D4; i += 64u) { let v = x[start + i]; s += v.x + v.y + v.z + v.w; }
  let mean = total(s, lid) / f32(p.d);
#else
  let mean = 0.0;
#end
  var q = 0.0;
  for (var i = lid; i < D4; i += 64u) {
    let d = select(vec4f(0), x[start + i] - mean, vec4u(0, 1, 2, 3) + 4u * i < vec4u(p.d));
    q += dot(d, d);
  }
  let sigma = sqrt(total(q, lid) / f32(p.d) + p.eps);
#if OPEN
  if (lid == 0u) { scale[r] = sigma; }
#if EDIT
  edit_scale(r, lid, p.firstScale, p.countScale, r, 1u, 1u, 0u, 1u, ALL);
#else
  storageBarrier();
  workgroupBarrier();
#end
  let divisor = scale[r];
  for (var i = lid; i < D4; i += 64u) {
    let v = select(vec4f(0), (x[start + i] - mean) / divisor, vec4u(0, 1, 2, 3) + 4u * i < vec4u(p.d));
    #for c 4
    normalized[(to + i) * 4u + $c] = v[$c];
    #end
  }
#if EDIT
  edit_normalized(r, lid, p.firstNormalized, p.countNormalized, to * 4u, D4 * 4u, p.d, 0u, p.d, ALL);
#else
  storageBarrier();
  workgroupBarrier();
#end
#else
  let inv = 1.0 / sigma;
#end
  for (var i = lid; i < D4; i += 64u) {
#if OPEN
    let at = (to + i) * 4u;
    let v = vec4f(normalized[at], normalized[at + 1u], normalized[at + 2u], normalized[at + 3u]);
#else
    let v = (x[start + i] - mean) * inv;
#end
#if NORM == layer
    let y = v * vecs[p.gain + i] + vecs[p.gain + D4 + i];
#else
    let y = v * vecs[p.gain + i];
#end
#if RESIDUAL
    out[to + i] += y;
#else
    out[to + i] = y;
#end
  }
}
