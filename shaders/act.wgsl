// post[r, j] = act(pre[r, j]) (· linear[r, j] where gated), after the edits at hook_pre and hook_pre_linear.
// Shapes: pre [rows, stride], linear at word `second` of the same buffer, post [rows, stride]. Grid: one workgroup a row; SERIAL: a thread a row, workgroups of 8.
#include row.wgsl
#include activation.wgsl
struct Params { first: u32, count: u32, firstLinear: u32, countLinear: u32, width: u32, stride: u32, second: u32, rows: u32 }
@group(0) @binding(0) var<storage, read_write> pre: array<f32>;
@group(0) @binding(1) var<storage, read_write> post: array<f32>;
#if EDIT
@group(0) @binding(2) var<storage, read> rows: array<Row>;
@group(0) @binding(3) var<storage, read> edits: array<u32>;
@group(0) @binding(4) var<uniform> p: Params;
#include edit-head.wgsl
#include edit-row.wgsl BUF=pre
#else
@group(0) @binding(2) var<uniform> p: Params;
const STEP = 64u;
#end

#include row-main.wgsl
fn row(r: u32, lid: u32) {
  let base = r * p.stride;
#if EDIT
  edit_pre(r, lid, p.first, p.count, base, p.stride, p.width, 0u, p.width, ALL);
#if GATED
  edit_pre(r, lid, p.firstLinear, p.countLinear, p.second + base, p.stride, p.width, 0u, p.width, ALL);
#end
#end
  for (var i = lid; i < p.width; i += STEP) {
#if GATED
    post[base + i] = $ACT(pre[base + i]) * pre[p.second + base + i];
#else
    post[base + i] = $ACT(pre[base + i]);
#end
  }
}
