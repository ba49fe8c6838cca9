// The backward twin of rope.wgsl, in place: from the turned q and k to the raw ones.
//   rotation   g[i] = g'[i]cos + g'[i+½]sin,  g[i+½] = g'[i+½]cos − g'[i]sin  (the table's scale is in cos and sin)
//   NORM       x̂ = x·v·w, v = 1/√(mean x² + eps):  dx = v·(g·w − x·v²·mean(g·w·x))
// Shapes: dq, q [rows, H, dhp]; dk, k [rows, KV, dhp]. Grid: x = ⌈rows·(H + KV)/64⌉, a thread a (row, head).
#include row.wgsl
struct Params { rows: u32, heads: u32, kv: u32, dh: u32, dhp: u32, rot: u32, gainQ: u32, gainK: u32, eps: f32 }
@group(0) @binding(0) var<storage, read_write> dq: array<f32>;
@group(0) @binding(1) var<storage, read_write> dk: array<f32>;
@group(0) @binding(2) var<storage, read> rows: array<Row>;
#if ROT
@group(0) @binding(3) var<storage, read> rope: array<vec2f>;
#end
#if NORM
@group(0) @binding(4) var<storage, read> q: array<f32>;
@group(0) @binding(5) var<storage, read> k: array<f32>;
@group(0) @binding(6) var<storage, read> vecs: array<f32>;
#end
@group(0) @binding(7) var<uniform> p: Params;
fn slope(isK: bool, at: u32) -> f32 { if (isK) { return dk[at]; } return dq[at]; }
fn keep(isK: bool, at: u32, v: f32) { if (isK) { dk[at] = v; } else { dq[at] = v; } }
#if NORM
fn raw(isK: bool, at: u32) -> f32 { if (isK) { return k[at]; } return q[at]; }
#end

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let all = p.heads + p.kv;
  let r = id.x / all;
  if (r >= p.rows) { return; }
  let head = id.x % all;
  let isK = head >= p.heads;
  let at = select(r * p.heads + head, r * p.kv + head - p.heads, isK) * p.dhp;
#if ROT
  let half = p.rot / 2u;
  for (var i = 0u; i < half; i++) {
    let cs = rope[rows[r].pos * half + i];
    let low = slope(isK, at + i);
    let high = slope(isK, at + half + i);
    keep(isK, at + i, low * cs.x + high * cs.y);
    keep(isK, at + half + i, high * cs.x - low * cs.y);
  }
#end
#if NORM
  let gain = select(p.gainQ, p.gainK, isK);
  var square = 0.0;
  var along = 0.0;
  for (var i = 0u; i < p.dh; i++) {
    let x = raw(isK, at + i);
    square += x * x;
    along += x * slope(isK, at + i) * vecs[gain + i];
  }
  let inv = 1.0 / sqrt(square / f32(p.dh) + p.eps);
  let c = inv * inv * along / f32(p.dh);
  for (var i = 0u; i < p.dh; i++) { keep(isK, at + i, inv * (slope(isK, at + i) * vecs[gain + i] - raw(isK, at + i) * c)); }
#end
}
