// scores[r, h, t] = scale · q[r, h]·k[t, h/group], t ≤ pos (later keys are not written: nobody reads them).
// Shapes: q [rows, H, DHP]; kv: the cache; scores [rows, H, keys]. Grid: x = ⌈keys/64⌉, y = H, z = rows.
#include row.wgsl
struct Params { keys: u32, cap: u32, scale: f32, row0: u32 }
@group(0) @binding(0) var<storage, read> q: array<vec4f>;
@group(0) @binding(1) var<storage, read> kv: array<vec4f>;
@group(0) @binding(2) var<storage, read> rows: array<Row>;
@group(0) @binding(3) var<storage, read_write> scores: array<f32>;
@group(0) @binding(4) var<uniform> p: Params;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let r = id.z;
  let row = rows[r];
  let t = id.x;
  if (t > row.pos || t >= p.keys) { return; }
  let k = ((select(row.slot, row.prefixSlot, t < row.prefixLen) * $KV + id.y / $GROUP) * p.cap + t) * $D4;
  let at = (r * $HEADS + id.y) * $D4;
  var s = 0.0;
  for (var d = 0u; d < $D4; d++) { s += dot(q[at + d], kv[k + d]); }
  scores[(r * $HEADS + id.y) * p.keys + t] = s * p.scale;
}
