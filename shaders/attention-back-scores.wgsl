// Through the softmax: dscores[r, h, t] = P[t]·(dP[t] − Σ_u P[u]·dP[u]) over the keys that the query sees; 0 elsewhere.
// Shapes: pattern, dpattern, dscores [rows, H, keys]. Grid: x = ⌈rows·H/64⌉, a thread a (row, head).
#include attention-back.wgsl
@group(0) @binding(0) var<storage, read> pattern: array<f32>;
@group(0) @binding(1) var<storage, read> dpattern: array<f32>;
@group(0) @binding(2) var<storage, read> rows: array<Row>;
@group(0) @binding(3) var<storage, read_write> dscores: array<f32>;
@group(0) @binding(4) var<uniform> p: Params;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let r = id.x / p.heads;
  if (r >= p.rows) { return; }
  let pos = rows[r].pos;
  let low = firstKey(pos, p.window);
  let at = id.x * p.keys;
  var mean = 0.0;
  for (var t = low; t <= pos; t++) { mean += pattern[at + t] * dpattern[at + t]; }
  for (var t = 0u; t < p.keys; t++) {
    var g = 0.0;
    if (t >= low && t <= pos) { g = pattern[at + t] * (dpattern[at + t] - mean); }
    dscores[at + t] = g;
  }
}
