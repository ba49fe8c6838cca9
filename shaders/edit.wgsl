// The edits of one hook, in place, in list order (lib/edit-head.wgsl has the equations).
// Shapes: x [rows, units, width] with strides. Grid: one workgroup a row; SERIAL: a thread a row, workgroups of 8.
#include row.wgsl
struct Params { first: u32, count: u32, row0: u32, rowStride: u32, stride: u32, width: u32, causal: u32, offset: u32, rows: u32 }
@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@group(0) @binding(1) var<storage, read> rows: array<Row>;
@group(0) @binding(2) var<storage, read> edits: array<u32>;
@group(0) @binding(3) var<uniform> p: Params;
#include edit-head.wgsl
#include edit-row.wgsl BUF=x

#include row-main.wgsl
fn row(r: u32, lid: u32) {
  edit_x(r, lid, p.first, p.count, p.offset + r * p.rowStride, p.stride, p.width, 0u, select(p.width, rows[r].pos + 1u, p.causal == 1u), ALL);
}
