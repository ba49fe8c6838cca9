// The way from a projection's raw q, k, v to the cache, where it is not done in the projection itself: for a norm of each head
// (NORM: RMSNorm of q and k), and in the open (OPEN): edits at hook_q, hook_k, hook_v; norm; rotation of the first ROT dimensions in
// half-split pairs (i, i + ROT/2); edits at hook_rot_q, hook_rot_k; keys and values appended to the cache.
//   x̂ = x/√(mean x² + eps)·gain;  q'[i] = x̂[i]cos − x̂[i+½]sin, q'[i+½] = x̂[i+½]cos + x̂[i]sin.
//   cos and sin are tables made in float64 (sin on a GPU may be off by 2e-4).
// Shapes: q [rows, H, DHP]; raw: k [rows, KV, DHP] then v at `second`; turned: q' [rows, H, DHP], then k' [rows, KV, DHP] at
//   `turnedK` (OPEN); kv: the cache. The turned k go to the cache alone unless OPEN.
// Grid: x = rows, a workgroup of 64; y = 1 (OPEN: an edit may span all heads of a row) or H + KV (a head each).
// Sources: Su et al. 2021, pairing as in Hugging Face's llama; the norm as in Qwen 3 and Gemma 3.
#include row.wgsl
struct Params {
  second: u32, cacheSecond: u32, cap: u32, turnedK: u32,
  gainQ: u32, gainK: u32, eps: f32, pad: u32,
  firstQ: u32, countQ: u32, firstK: u32, countK: u32, firstV: u32, countV: u32,
  firstRotQ: u32, countRotQ: u32, firstRotK: u32, countRotK: u32,
}
@group(0) @binding(0) var<storage, read_write> q: array<f32>;
@group(0) @binding(1) var<storage, read_write> raw: array<f32>;
@group(0) @binding(2) var<storage, read_write> kv: array<f32>;
@group(0) @binding(3) var<storage, read> rows: array<Row>;
#if OPEN
@group(0) @binding(4) var<storage, read> edits: array<u32>;
#end
#if TURNS
@group(0) @binding(5) var<storage, read_write> turned: array<f32>;
#end
#if ROT
@group(0) @binding(6) var<storage, read> rope: array<vec2f>;
#end
#if NORM
@group(0) @binding(7) var<storage, read> vecs: array<vec4f>;
#end
@group(0) @binding(8) var<uniform> p: Params;
#if OPEN
#include edit-head.wgsl
#include edit-row.wgsl BUF=q
#include edit-row.wgsl BUF=raw
#if TURNS
#include edit-row.wgsl BUF=turned
#end
#end
#if NORM
#include reduce.wgsl NAME=sumHead SIZE=64
fn gainOf(at: u32) -> f32 { return vecs[at >> 2u][at & 3u]; }
#end

fn source(isK: bool, at: u32) -> f32 { if (isK) { return raw[at]; } return q[at]; }

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lid: u32) {
  let r = wg.x;
  let row = rows[r];
  let qAt = r * $HEADS * $DHP;
  let kAt = r * $KV * $DHP;
#if OPEN
  edit_q(r, lid, p.firstQ, p.countQ, qAt, $DHP, $DH, 0u, $DH, ALL);
  edit_raw(r, lid, p.firstK, p.countK, kAt, $DHP, $DH, 0u, $DH, ALL);
  edit_raw(r, lid, p.firstV, p.countV, p.second + kAt, $DHP, $DH, 0u, $DH, ALL);
  let firstHead = 0u;
  let pastHead = $HEADS + $KV;
#else
  let firstHead = wg.y;
  let pastHead = wg.y + 1u;
#end
#if TURNS
  for (var g = firstHead; g < pastHead; g++) {
    let isK = g >= $HEADS;
    let h = select(g, g - $HEADS, isK);
    let at = select(qAt, kAt, isK) + h * $DHP;
    var to = at;
    if (isK) { to = p.turnedK + at; }
#if NORM
    var square = 0.0;
    for (var d = lid; d < $DH; d += 64u) { let v = source(isK, at + d); square += v * v; }
    let inv = 1.0 / sqrt(sumHead(square, lid) / f32($DH) + p.eps);
    let gain = select(p.gainQ, p.gainK, isK);
#end
    for (var d = lid; d < $DH; d += 64u) {
      var v = source(isK, at + d);
#if NORM
      v *= inv * gainOf(gain + d);
#end
#if ROT
      let half = $ROT / 2u;
      if (d < $ROT) {
        let low = d < half;
        let other = select(d - half, d + half, low);
        var w = source(isK, at + other);
#if NORM
        w *= inv * gainOf(gain + other);
#end
        let cs = rope[row.pos * half + select(d - half, d, low)];
        v = v * cs.x + select(w, -w, low) * cs.y;
      }
#end
#if OPEN
      turned[to + d] = v;
#else
      if (isK) { kv[((row.slot * $KV + h) * p.cap + row.pos) * $DHP + d] = v; } else { turned[to + d] = v; }
#end
    }
  }
#end
#if OPEN
#if TURNS
  edit_turned(r, lid, p.firstRotQ, p.countRotQ, qAt, $DHP, $DH, 0u, $DH, ALL);
  edit_turned(r, lid, p.firstRotK, p.countRotK, p.turnedK + kAt, $DHP, $DH, 0u, $DH, ALL);
#end
  for (var i = lid; i < $KV * $DH; i += 64u) {
    let at = kAt + (i / $DH) * $DHP + i % $DH;
    let to = ((row.slot * $KV + i / $DH) * p.cap + row.pos) * $DHP + i % $DH;
#if TURNS
    kv[to] = turned[p.turnedK + at];
#else
    kv[to] = raw[at];
#end
    kv[p.cacheSecond + to] = raw[p.second + at];
  }
#else
  if (wg.y >= $HEADS) {
    let h = wg.y - $HEADS;
    for (var d = lid; d < $DH; d += 64u) {
      kv[p.cacheSecond + ((row.slot * $KV + h) * p.cap + row.pos) * $DHP + d] = raw[p.second + kAt + h * $DHP + d];
    }
  }
#end
}
