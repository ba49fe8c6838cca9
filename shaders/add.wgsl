// resid[r] += part[r], after the edits at part's hook (hook_attn_out, hook_mlp_out, hook_pos_embed).
// Shapes: part, resid [rows, stride]. Grid: one workgroup a row.
#include row.wgsl
struct Params { first: u32, count: u32, width: u32, stride: u32 }
@group(0) @binding(0) var<storage, read_write> part: array<f32>;
@group(0) @binding(1) var<storage, read_write> resid: array<f32>;
#if EDIT
@group(0) @binding(2) var<storage, read> rows: array<Row>;
@group(0) @binding(3) var<storage, read> edits: array<u32>;
@group(0) @binding(4) var<uniform> p: Params;
#include edit-head.wgsl
#include edit-row.wgsl BUF=part
#else
@group(0) @binding(2) var<uniform> p: Params;
#end

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lid: u32) {
  let base = wg.x * p.stride;
#if EDIT
  edit_part(wg.x, lid, p.first, p.count, base, p.stride, p.width, p.width);
#end
  for (var i = lid; i < p.width; i += 64u) { resid[base + i] += part[base + i]; }
}
