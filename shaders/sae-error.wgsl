// How far a reconstruction is from what it reconstructs: ‖x − y‖ and ‖x‖ of each row.
// Shapes: x [rows, 4·K4] from row0, y [rows, 4·K4]; out [rows, 2]: ‖x − y‖, ‖x‖. Grid: one workgroup of 64 a row.
override K4: u32;
struct Params { row0: u32, outRow: u32, pad0: u32, pad1: u32 }
@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> y: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;
@group(0) @binding(3) var<uniform> p: Params;
#include reduce.wgsl NAME=total SIZE=64

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lid: u32) {
  let start = (p.row0 + wg.x) * K4;
  var e = 0.0;
  var s = 0.0;
  for (var i = lid; i < K4; i += 64u) {
    let v = x[start + i];
    let d = v - y[wg.x * K4 + i];
    e += dot(d, d);
    s += dot(v, v);
  }
  let error = total(e, lid);
  let size = total(s, lid);
  if (lid == 0u) {
    out[2u * (p.outRow + wg.x)] = sqrt(error);
    out[2u * (p.outRow + wg.x) + 1u] = sqrt(size);
  }
}
