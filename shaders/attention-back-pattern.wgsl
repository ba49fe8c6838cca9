// dpattern[r, h, t] = dz[r, h]·v[t, h/group], for every key of the sequence: what PyTorch's autograd gives at hook_pattern, masked entries included.
// Shapes: dz [rows, H, 4·d4]; v [rows, KV, 4·d4]; dpattern [rows, H, keys]. Grid: x = ⌈keys/64⌉, y = H, z = rows.
#include attention-back.wgsl
@group(0) @binding(0) var<storage, read> dz: array<vec4f>;
@group(0) @binding(1) var<storage, read> v: array<vec4f>;
@group(0) @binding(2) var<storage, read> rows: array<Row>;
@group(0) @binding(3) var<storage, read_write> dpattern: array<f32>;
@group(0) @binding(4) var<uniform> p: Params;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let t = id.x;
  let h = id.y;
  let r = id.z;
  if (t >= p.keys) { return; }
  let other = r - rows[r].pos + t;
  var s = 0.0;
  if (other < p.rows && rows[min(other, p.rows - 1u)].seq == rows[r].seq) {
    for (var d = 0u; d < p.d4; d++) { s += dot(dz[(r * p.heads + h) * p.d4 + d], v[(other * p.kv + groupOf(h)) * p.d4 + d]); }
  }
  dpattern[(r * p.heads + h) * p.keys + t] = s;
}
