// Attention with its scores and pattern in the open, for a layer where a tap or an edit asks for them:
//   scores[r, h, t] = scale · q[r, h]·k[t, h/group];  pattern = softmax_t(scores);  z[r, h] = Σ_t pattern[r, h, t] v[t, h/group],
//   pos − window < t ≤ pos (window 0: all t ≤ pos), with the edits at hook_attn_scores before the softmax and those at hook_pattern after it. Other keys are never written.
//   CAP c: scores are bent before anything else, c·tanh(score/c).
// Shapes: q, z [rows, H, DHP]; kv: the cache, V at `second`; scores, pattern [rows, H, keys].
// Grid: x = H, y = rows; a workgroup of 64 a (row, head): an edit of scores spans one head's keys, never several heads. SERIAL: a thread a (row, head).
#include row.wgsl
#include window.wgsl
#if CAP
#include softcap.wgsl
#end
struct Params { keys: u32, second: u32, cap: u32, scale: f32, firstScores: u32, countScores: u32, firstPattern: u32, countPattern: u32, window: u32, rows: u32 }
@group(0) @binding(0) var<storage, read> q: array<vec4f>;
@group(0) @binding(1) var<storage, read> kv: array<vec4f>;
@group(0) @binding(2) var<storage, read> rows: array<Row>;
@group(0) @binding(3) var<storage, read_write> scores: array<f32>;
@group(0) @binding(4) var<storage, read_write> pattern: array<f32>;
@group(0) @binding(5) var<storage, read_write> z: array<vec4f>;
@group(0) @binding(6) var<storage, read> edits: array<u32>;
@group(0) @binding(7) var<uniform> p: Params;
#include edit-head.wgsl
#include edit-row.wgsl BUF=scores
#include edit-row.wgsl BUF=pattern
#if SERIAL
fn highest(v: f32, lid: u32) -> f32 { return v; }
#else
var<workgroup> part: array<f32, 64>;
fn highest(v: f32, lid: u32) -> f32 {
  part[lid] = v;
  for (var n = 32u; n > 0u; n >>= 1u) {
    workgroupBarrier();
    if (lid < n) { part[lid] = max(part[lid], part[lid + n]); }
  }
  workgroupBarrier();
  return part[0];
}
#end

fn keyAt(row: Row, h: u32, t: u32) -> u32 {
  return ((select(row.slot, row.prefixSlot, t < row.prefixLen) * $KV + h / $GROUP) * p.cap + t) * $D4;
}

#if SERIAL
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < p.rows * $HEADS) { attend(id.x / $HEADS, id.x % $HEADS, 0u); }
}
#else
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lid: u32) { attend(wg.y, wg.x, lid); }
#end

fn attend(r: u32, h: u32, lid: u32) {
  let row = rows[r];
  let low = firstKey(row.pos, p.window);
  let seen = row.pos + 1u;
  let qAt = (r * $HEADS + h) * $D4;
  let base = r * $HEADS * p.keys;
  let at = base + h * p.keys;
  for (var t = low + lid; t < seen; t += STEP) {
    let k = keyAt(row, h, t);
    var s = 0.0;
    for (var d = 0u; d < $D4; d++) { s += dot(q[qAt + d], kv[k + d]); }
    s *= p.scale;
#if CAP
    s = softcap(s, $CAP);
#end
    scores[at + t] = s;
  }
  edit_scores(r, lid, p.firstScores, p.countScores, base, p.keys, p.keys, low, seen, h);
  var m = -3.0e38;
  for (var t = low + lid; t < seen; t += STEP) { m = max(m, scores[at + t]); }
  let high = highest(m, lid);
  var l = 0.0;
  for (var t = low + lid; t < seen; t += STEP) { l += exp(scores[at + t] - high); }
  let sum = editTotal(l, lid);
  for (var t = low + lid; t < seen; t += STEP) { pattern[at + t] = exp(scores[at + t] - high) / sum; }
  edit_pattern(r, lid, p.firstPattern, p.countPattern, base, p.keys, p.keys, low, seen, h);
  for (var d = lid; d < $D4; d += STEP) {
    var o = vec4f(0);
    for (var t = low; t < seen; t++) { o += pattern[at + t] * kv[(p.second >> 2u) + keyAt(row, h, t) + d]; }
    z[qAt + d] = o;
  }
}
