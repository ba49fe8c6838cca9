// dq[r, h] = Σ_t dscores[r, h, t]·slope(scores[r, h, t])·k[t, h/group], over the keys that the query sees.
// Shapes: dscores, scores (before edits) [rows, H, keys]; k [rows, KV, 4·d4]; dq [rows, H, 4·d4]. Grid: x = ⌈H·d4/64⌉, y = rows: a thread four numbers.
#include attention-back.wgsl
@group(0) @binding(0) var<storage, read> dscores: array<f32>;
@group(0) @binding(1) var<storage, read> scores: array<f32>;
@group(0) @binding(2) var<storage, read> k: array<vec4f>;
@group(0) @binding(3) var<storage, read> rows: array<Row>;
@group(0) @binding(4) var<storage, read_write> dq: array<vec4f>;
@group(0) @binding(5) var<uniform> p: Params;
#include score-slope.wgsl

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let r = id.y;
  let h = id.x / p.d4;
  let d = id.x % p.d4;
  if (h >= p.heads) { return; }
  let pos = rows[r].pos;
  let at = (r * p.heads + h) * p.keys;
  var g = vec4f(0);
  for (var t = firstKey(pos, p.window); t <= pos; t++) {
    g += dscores[at + t] * slope(scores[at + t]) * k[((r - pos + t) * p.kv + groupOf(h)) * p.d4 + d];
  }
  dq[(r * p.heads + h) * p.d4 + d] = g;
}
