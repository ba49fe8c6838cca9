// Scores and pattern of a layer once more, from the queries and keys that its hooks kept:
//   scores[r, h, t] = cap(scale · q[r, h]·k[t, h/group]), as they were before any edit;  pattern[r, h, t] = softmax_t, before any edit of its own.
// EDITED 1: the softmax is of the scores that edits had made of them (kept). Other keys than those the query sees are left alone.
// Shapes: q [rows, H, 4·d4]; k [rows, KV, 4·d4]; scores, kept, pattern [rows, H, keys]. Grid: x = ⌈rows·H/64⌉, a thread a (row, head).
#include attention-back.wgsl
#include softcap.wgsl
@group(0) @binding(0) var<storage, read> q: array<vec4f>;
@group(0) @binding(1) var<storage, read> k: array<vec4f>;
@group(0) @binding(2) var<storage, read> rows: array<Row>;
@group(0) @binding(3) var<storage, read_write> scores: array<f32>;
@group(0) @binding(4) var<storage, read_write> pattern: array<f32>;
#if EDITED
@group(0) @binding(5) var<storage, read> kept: array<f32>;
@group(0) @binding(6) var<uniform> p: Params;
#else
@group(0) @binding(5) var<uniform> p: Params;
#end

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let r = id.x / p.heads;
  let h = id.x % p.heads;
  if (r >= p.rows) { return; }
  let pos = rows[r].pos;
  let low = firstKey(pos, p.window);
  let at = id.x * p.keys;
  var m = -3.0e38;
  for (var t = low; t <= pos; t++) {
    let key = ((r - pos + t) * p.kv + groupOf(h)) * p.d4;
    var s = 0.0;
    for (var d = 0u; d < p.d4; d++) { s += dot(q[id.x * p.d4 + d], k[key + d]); }
    s *= p.scale;
    if (p.cap > 0.0) { s = softcap(s, p.cap); }
    scores[at + t] = s;
#if EDITED
    m = max(m, kept[at + t]);
#else
    m = max(m, s);
#end
  }
  var l = 0.0;
  for (var t = low; t <= pos; t++) {
#if EDITED
    let e = exp(kept[at + t] - m);
#else
    let e = exp(scores[at + t] - m);
#end
    pattern[at + t] = e;
    l += e;
  }
  for (var t = low; t <= pos; t++) { pattern[at + t] /= l; }
}
