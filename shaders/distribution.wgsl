// What is asked of a row of logits: maximum m and Σ exp(x − m); Σ exp(x − m)(x − m) (entropy); Σ p_ref((x_ref − m_ref) − (x − m))
// (the divergence from a reference row, less its logarithms); a target's logit and rank (tokens above it; of equal ones, those
// with a lower index); the first k tokens.
// Shapes: logits [rows, stride]; reference [rows, stride] (REFERENCE); targets [rows], 0xffffffff for none;
//   out [rows, 8 + 2k]: m, Σ, entropy sum, divergence sum, target logit, rank, m_ref, Σ_ref, then (token, probability) pairs.
// Grid: one workgroup a row.
struct Params { n: u32, stride: u32, k: u32, outRow: u32 }
@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> targets: array<u32>;
@group(0) @binding(2) var<storage, read_write> out: array<u32>;
#if REFERENCE
@group(0) @binding(3) var<storage, read> reference: array<f32>;
@group(0) @binding(4) var<uniform> p: Params;
#else
@group(0) @binding(3) var<uniform> p: Params;
#end
#if REFERENCE
#include logits.wgsl REF=reference
#else
#include logits.wgsl REF=logits
#end

@compute @workgroup_size(T)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lid: u32) {
  let base = wg.x * p.stride;
  let to = (p.outRow + wg.x) * (8u + 2u * p.k);
  let top = next(base, p.n, 0.0, 0u, true, lid);
  let high = bitcast<f32>(top.x);
  let sum = sumExp(base, p.n, high, lid);
  var s = 0.0;
  for (var i = lid; i < p.n; i += T) { let d = logits[base + i] - high; s += exp(d) * d; }
  let entropy = sumAll(s, lid);
  let wanted = targets[p.outRow + wg.x];
  let reach = min(wanted, p.n - 1u);
  let x = logits[base + reach];
  var above = 0.0;
  for (var i = lid; i < p.n; i += T) {
    let v = logits[base + i];
    above += select(0.0, 1.0, v > x || (v == x && i < reach));
  }
  let rank = sumAll(above, lid);
#if REFERENCE
  let other = against(base, base, p.n, high, lid);
#else
  let other = Against(0.0, 0.0, 1.0);
#end
  if (lid == 0u) {
    out[to] = top.x;
    out[to + 1u] = bitcast<u32>(sum);
    out[to + 2u] = bitcast<u32>(entropy);
    out[to + 3u] = bitcast<u32>(other.divergence);
    out[to + 4u] = bitcast<u32>(x);
    out[to + 5u] = u32(rank);
    out[to + 6u] = bitcast<u32>(other.high);
    out[to + 7u] = bitcast<u32>(other.sum);
  }
  var last = top;
  for (var j = 0u; j < p.k; j++) {
    if (j > 0u) { last = next(base, p.n, bitcast<f32>(last.x), last.y, false, lid); }
    if (lid == 0u) {
      out[to + 8u + 2u * j] = last.y;
      out[to + 9u + 2u * j] = bitcast<u32>(exp(bitcast<f32>(last.x) - high) / sum);
    }
  }
}
