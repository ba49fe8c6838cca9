// The way from a projection's raw q, k, v to the cache, in the open: edits at hook_q, hook_k, hook_v; rotation of the first
// ROT dimensions in half-split pairs (i, i + ROT/2); edits at hook_rot_q, hook_rot_k; keys and values appended to the cache.
//   q'[i] = q[i]cos − q[i+½]sin, q'[i+½] = q[i+½]cos + q[i]sin. cos and sin are tables made in float64 (sin on a GPU may be off by 2e-4).
// Shapes: q, qr [rows, H, DHP]; raw: k [rows, KV, DHP] then v at `second`; kr [rows, KV, DHP]; kv: the cache.
// Grid: one workgroup of 64 a row. Source: Su et al. 2021; pairing as in Hugging Face's llama.
#include row.wgsl
struct Params {
  second: u32, cacheSecond: u32, cap: u32, pad: u32,
  firstQ: u32, countQ: u32, firstK: u32, countK: u32, firstV: u32, countV: u32,
  firstRotQ: u32, countRotQ: u32, firstRotK: u32, countRotK: u32,
}
@group(0) @binding(0) var<storage, read_write> q: array<f32>;
@group(0) @binding(1) var<storage, read_write> raw: array<f32>;
@group(0) @binding(2) var<storage, read_write> kv: array<f32>;
@group(0) @binding(3) var<storage, read> rows: array<Row>;
@group(0) @binding(4) var<storage, read> edits: array<u32>;
#if ROT
@group(0) @binding(5) var<storage, read> rope: array<vec2f>;
@group(0) @binding(6) var<storage, read_write> qr: array<f32>;
@group(0) @binding(7) var<storage, read_write> kr: array<f32>;
@group(0) @binding(8) var<uniform> p: Params;
#else
@group(0) @binding(5) var<uniform> p: Params;
#end
#include edit-head.wgsl
#include edit-row.wgsl BUF=q
#include edit-row.wgsl BUF=raw
#if ROT
#include edit-row.wgsl BUF=qr
#include edit-row.wgsl BUF=kr
#end

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lid: u32) {
  let r = wg.x;
  let row = rows[r];
  let qAt = r * $HEADS * $DHP;
  let kAt = r * $KV * $DHP;
  edit_q(r, lid, p.firstQ, p.countQ, qAt, $DHP, $DH, $DH, ALL);
  edit_raw(r, lid, p.firstK, p.countK, kAt, $DHP, $DH, $DH, ALL);
  edit_raw(r, lid, p.firstV, p.countV, p.second + kAt, $DHP, $DH, $DH, ALL);
#if ROT
  for (var i = lid; i < ($HEADS + $KV) * $DH; i += 64u) {
    let head = i / $DH;
    let d = i % $DH;
    let isK = head >= $HEADS;
    let at = select(qAt + head * $DHP, kAt + (head - $HEADS) * $DHP, isK);
    let half = $ROT / 2u;
    let low = d < half;
    let other = select(at + d, select(at + d - half, at + d + half, low), d < $ROT);
    var a = 0.0;
    var b = 0.0;
    if (isK) { a = raw[at + d]; b = raw[other]; } else { a = q[at + d]; b = q[other]; }
    var v = a;
    if (d < $ROT) {
      let cs = rope[row.pos * half + select(d - half, d, low)];
      v = a * cs.x + select(b, -b, low) * cs.y;
    }
    if (isK) { kr[at + d] = v; } else { qr[at + d] = v; }
  }
  edit_qr(r, lid, p.firstRotQ, p.countRotQ, qAt, $DHP, $DH, $DH, ALL);
  edit_kr(r, lid, p.firstRotK, p.countRotK, kAt, $DHP, $DH, $DH, ALL);
#end
  for (var i = lid; i < $KV * $DH; i += 64u) {
    let at = kAt + (i / $DH) * $DHP + i % $DH;
    let to = ((row.slot * $KV + i / $DH) * p.cap + row.pos) * $DHP + i % $DH;
#if ROT
    kv[to] = kr[at];
#else
    kv[to] = raw[at];
#end
    kv[p.cacheSecond + to] = raw[p.second + at];
  }
}
