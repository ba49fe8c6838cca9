// What a causal metric needs of a row of logits x: its maximum m, Σ exp(x − m), the logits of two tokens a and b; against one reference row r, the same for
// every row, also Σ p_r((r − m_r) − (x − m)) and Σ exp(r − m_r) (REFERENCE). The logarithms and the metric itself are taken on the host (model/causal/metric.ts).
// Shapes: logits [rows, stride]; reference [stride]; out [rows, 8]: m, Σ, x_a, x_b, divergence, m_r, Σ_r, 0, from row outRow on.
// Grid: one workgroup a row.
struct Params { n: u32, stride: u32, outRow: u32, a: u32, b: u32 }
@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
#if REFERENCE
@group(0) @binding(2) var<storage, read> reference: array<f32>;
@group(0) @binding(3) var<uniform> p: Params;
#include logits.wgsl REF=reference
#else
@group(0) @binding(2) var<uniform> p: Params;
#include logits.wgsl REF=logits
#end

@compute @workgroup_size(T)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lid: u32) {
  let base = wg.x * p.stride;
  let to = (p.outRow + wg.x) * 8u;
  let high = bitcast<f32>(next(base, p.n, 0.0, 0u, true, lid).x);
  let sum = sumExp(base, p.n, high, lid);
#if REFERENCE
  let other = against(0u, base, p.n, high, lid);
#else
  let other = Against(0.0, 0.0, 1.0);
#end
  if (lid == 0u) {
    out[to] = high;
    out[to + 1u] = sum;
    out[to + 2u] = logits[base + p.a];
    out[to + 3u] = logits[base + p.b];
    out[to + 4u] = other.divergence;
    out[to + 5u] = other.high;
    out[to + 6u] = other.sum;
    out[to + 7u] = 0.0;
  }
}
