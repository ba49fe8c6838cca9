// The backward twin of act.wgsl: dpre = dpost·act'(pre); where gated, dpre = dpost·linear·act'(pre) and dlinear = dpost·act(pre).
// Shapes: pre, linear, dpost, dpre, dlinear [rows, stride]. Grid: one workgroup a row.
#include activation.wgsl
#include activation-back.wgsl
struct Params { width: u32, stride: u32, second: u32, pad: u32 }
@group(0) @binding(0) var<storage, read> pre: array<f32>;
@group(0) @binding(1) var<storage, read> dpost: array<f32>;
@group(0) @binding(2) var<storage, read_write> dpre: array<f32>; // GATED: dlinear after it, at word `second`
#if GATED
@group(0) @binding(3) var<storage, read> linear: array<f32>;
@group(0) @binding(4) var<uniform> p: Params;
#else
@group(0) @binding(3) var<uniform> p: Params;
#end

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lid: u32) {
  let base = wg.x * p.stride;
  for (var i = base + lid; i < base + p.width; i += 64u) {
#if GATED
    dpre[i] = dpost[i] * linear[i] * d_$ACT(pre[i]);
    dpre[p.second + i] = dpost[i] * $ACT(pre[i]);
#else
    dpre[i] = dpost[i] * d_$ACT(pre[i]);
#end
  }
}
