// Of the key and value at row r, position t, summed over the group's heads and over the queries at and after t that see it:
//   dk[r, g] = Σ_h Σ_i dscores[i, h, t]·slope(scores[i, h, t])·q[i, h];  dv[r, g] = Σ_h Σ_i pattern[i, h, t]·dz[i, h].
// Shapes: dscores, scores (before edits), pattern (after edits) [rows, H, keys]; q, dz [rows, H, 4·d4]; dk, dv [rows, KV, 4·d4].
// Grid: x = ⌈KV·d4/64⌉, y = rows: a thread four numbers of each.
#include attention-back.wgsl
@group(0) @binding(0) var<storage, read> dscores: array<f32>;
@group(0) @binding(1) var<storage, read> scores: array<f32>;
@group(0) @binding(2) var<storage, read> pattern: array<f32>;
@group(0) @binding(3) var<storage, read> q: array<vec4f>;
@group(0) @binding(4) var<storage, read> dz: array<vec4f>;
@group(0) @binding(5) var<storage, read> rows: array<Row>;
@group(0) @binding(6) var<storage, read_write> dk: array<vec4f>;
@group(0) @binding(7) var<storage, read_write> dv: array<vec4f>;
@group(0) @binding(8) var<uniform> p: Params;
#include score-slope.wgsl

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let r = id.y;
  let g = id.x / p.d4;
  let d = id.x % p.d4;
  if (g >= p.kv) { return; }
  let t = rows[r].pos;
  let group = p.heads / p.kv;
  var ofKey = vec4f(0);
  var ofValue = vec4f(0);
  for (var i = r; i < p.rows; i++) {
    if (rows[i].seq != rows[r].seq || t < firstKey(rows[i].pos, p.window)) { break; }
    for (var h = g * group; h < (g + 1u) * group; h++) {
      let at = (i * p.heads + h) * p.keys + t;
      let head = (i * p.heads + h) * p.d4 + d;
      ofKey += dscores[at] * slope(scores[at]) * q[head];
      ofValue += pattern[at] * dz[head];
    }
  }
  dk[(r * p.kv + g) * p.d4 + d] = ofKey;
  dv[(r * p.kv + g) * p.d4 + d] = ofValue;
}
