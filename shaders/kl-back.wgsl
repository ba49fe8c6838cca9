// The slope of KL(r ‖ q) by the logits of q, in place, for rows whose reference lies `count` rows behind: x ← weight·(softmax x − softmax r), through a cap on logits
// (x = c·tanh(u/c)): times 1 − (x/c)². Padding becomes 0.
// Shapes: logits [2·count, stride], n of them real. Grid: a workgroup a row of the first half. Source: the chain rule; Belrose et al. 2023 descend it.
struct Params { n: u32, stride: u32, count: u32, weight: f32, cap: f32 }
@group(0) @binding(0) var<storage, read_write> logits: array<f32>;
@group(0) @binding(1) var<uniform> p: Params;
#include logits.wgsl REF=logits

@compute @workgroup_size(T)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lid: u32) {
  let own = wg.x * p.stride;
  let other = (p.count + wg.x) * p.stride;
  let high = bitcast<f32>(next(own, p.n, 0.0, 0u, true, lid).x);
  let top = bitcast<f32>(next(other, p.n, 0.0, 0u, true, lid).x);
  let sum = sumExp(own, p.n, high, lid);
  let all = sumExp(other, p.n, top, lid);
  for (var i = lid; i < p.stride; i += T) {
    let x = logits[own + i];
    var slope = p.weight * (exp(x - high) / sum - exp(logits[other + i] - top) / all);
    if (p.cap > 0.0) { slope *= 1.0 - (x / p.cap) * (x / p.cap); }
    logits[own + i] = select(0.0, slope, i < p.n);
  }
}
