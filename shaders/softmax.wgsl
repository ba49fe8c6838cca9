// pattern[r, h, t] = exp(scores[r, h, t] − max) / Σ, t ≤ pos, after the edits at hook_attn_scores and before those at hook_pattern.
// Shapes: scores, pattern [rows, H, keys]. Grid: one workgroup of 64 a row; each thread takes whole heads.
#include row.wgsl
struct Params { keys: u32, firstScores: u32, countScores: u32, firstPattern: u32, countPattern: u32 }
@group(0) @binding(0) var<storage, read_write> scores: array<f32>;
@group(0) @binding(1) var<storage, read_write> pattern: array<f32>;
@group(0) @binding(2) var<storage, read> rows: array<Row>;
@group(0) @binding(3) var<storage, read> edits: array<u32>;
@group(0) @binding(4) var<uniform> p: Params;
#include edit-head.wgsl
#include edit-row.wgsl BUF=scores
#include edit-row.wgsl BUF=pattern

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lid: u32) {
  let r = wg.x;
  let seen = rows[r].pos + 1u;
  let base = r * $HEADS * p.keys;
  edit_scores(r, lid, p.firstScores, p.countScores, base, p.keys, p.keys, seen);
  for (var h = lid; h < $HEADS; h += 64u) {
    let at = base + h * p.keys;
    var m = -3.0e38;
    for (var t = 0u; t < seen; t++) { m = max(m, scores[at + t]); }
    var l = 0.0;
    for (var t = 0u; t < seen; t++) { l += exp(scores[at + t] - m); }
    for (var t = 0u; t < seen; t++) { pattern[at + t] = exp(scores[at + t] - m) / l; }
  }
  edit_pattern(r, lid, p.firstPattern, p.countPattern, base, p.keys, p.keys, seen);
}
