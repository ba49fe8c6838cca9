// A reconstruction in the place of what it reconstructs: x + strength·(y − x), where the edit's record says so (lib/edit-head.wgsl).
// Shapes: x [rows, 4·K4], y the same from its row 0. Grid: one workgroup of 64 a row.
#include row.wgsl
override K4: u32;
struct Params { record: u32, row0: u32, pad0: u32, pad1: u32 }
@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@group(0) @binding(1) var<storage, read> rows: array<Row>;
@group(0) @binding(2) var<storage, read> edits: array<u32>;
@group(0) @binding(3) var<storage, read> y: array<f32>;
@group(0) @binding(4) var<uniform> p: Params;
#include edit-head.wgsl

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lid: u32) {
  let r = p.row0 + wg.x;
  let e = readEdit(p.record);
  let strength = number(e.dial + 1u);
  if (!applies(e, r) || strength == 0.0) { return; }
  for (var i = lid; i < 4u * K4; i += 64u) {
    let old = x[r * K4 * 4u + i];
    let source = y[wg.x * K4 * 4u + i];
    x[r * K4 * 4u + i] = select(old + strength * (source - old), source, strength == 1.0);
  }
}
