// resid[r] += part[r], after the edits at part's hook (hook_attn_out, hook_mlp_out).
// POS 1: part is W_pos[pos], and resid holds W_E[token]: the sum of the embeddings after the edits at hook_embed and hook_pos_embed.
// Shapes: part, resid [rows, stride]; pos [context, stride]. Grid: one workgroup a row; SERIAL: a thread a row, workgroups of 8.
#include row.wgsl
struct Params { first: u32, count: u32, width: u32, stride: u32, firstResid: u32, countResid: u32, rows: u32 }
@group(0) @binding(0) var<storage, read_write> part: array<f32>;
@group(0) @binding(1) var<storage, read_write> resid: array<f32>;
#if EDIT
@group(0) @binding(2) var<storage, read> rows: array<Row>;
@group(0) @binding(3) var<storage, read> edits: array<u32>;
#if POS
@group(0) @binding(4) var<storage, read> pos: array<f32>;
@group(0) @binding(5) var<uniform> p: Params;
#else
@group(0) @binding(4) var<uniform> p: Params;
#end
#include edit-head.wgsl
#include edit-row.wgsl BUF=part
#if POS
#include edit-row.wgsl BUF=resid
#end
#else
@group(0) @binding(2) var<uniform> p: Params;
const STEP = 64u;
#end

#include row-main.wgsl
fn row(r: u32, lid: u32) {
  let base = r * p.stride;
#if POS
  for (var i = lid; i < p.width; i += STEP) { part[base + i] = pos[rows[r].pos * p.stride + i]; }
  edit_resid(r, lid, p.firstResid, p.countResid, base, p.stride, p.width, 0u, p.width, ALL);
#end
#if EDIT
  edit_part(r, lid, p.first, p.count, base, p.stride, p.width, 0u, p.width, ALL);
#end
  for (var i = lid; i < p.width; i += STEP) { resid[base + i] += part[base + i]; }
}
