// z[r, h] = Σ_t pattern[r, h, t] · v[t, h/group], t ≤ pos.
// Shapes: pattern [rows, H, keys]; kv: the cache, V at `second`; z [rows, H, DHP]. Grid: x = ⌈rows·H·D4/64⌉.
#include row.wgsl
struct Params { rows: u32, keys: u32, second: u32, cap: u32 }
@group(0) @binding(0) var<storage, read> pattern: array<f32>;
@group(0) @binding(1) var<storage, read> kv: array<vec4f>;
@group(0) @binding(2) var<storage, read> rows: array<Row>;
@group(0) @binding(3) var<storage, read_write> z: array<vec4f>;
@group(0) @binding(4) var<uniform> p: Params;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let d = id.x % $D4;
  let h = (id.x / $D4) % $HEADS;
  let r = id.x / ($D4 * $HEADS);
  if (r >= p.rows) { return; }
  let row = rows[r];
  var o = vec4f(0);
  for (var t = 0u; t <= row.pos; t++) {
    let k = ((select(row.slot, row.prefixSlot, t < row.prefixLen) * $KV + h / $GROUP) * p.cap + t) * $D4;
    o += pattern[(r * $HEADS + h) * p.keys + t] * kv[(p.second >> 2u) + k + d];
  }
  z[id.x] = o;
}
