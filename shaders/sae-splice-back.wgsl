// The backward twin of sae-splice.wgsl: of the gradient g at x + s·(y − x) the part s·g is y's, and what is left is x's.
// NORM 1: y = ŷ·σ + μ of the row that was read, so besides
//   side = (∂m/∂σ, ∂m/∂μ) = (Σ s·g·(y − μ)/σ, Σ s·g)
// Shapes: x [rows, 4·K4], part and y the same; stats, side [rows, 2]. Grid: one workgroup of 64 a row. Source: the chain rule.
#include row.wgsl
struct Params { record: u32, words: u32, pad0: u32, pad1: u32 }
@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@group(0) @binding(1) var<storage, read> rows: array<Row>;
@group(0) @binding(2) var<storage, read> edits: array<u32>;
@group(0) @binding(3) var<storage, read_write> part: array<f32>;
#if NORM
@group(0) @binding(4) var<storage, read> y: array<f32>;
@group(0) @binding(5) var<storage, read> stats: array<f32>;
@group(0) @binding(6) var<storage, read_write> side: array<f32>;
@group(0) @binding(7) var<uniform> p: Params;
#else
@group(0) @binding(4) var<uniform> p: Params;
#end
#include edit-head.wgsl

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lid: u32) {
  let r = wg.x;
  let e = readEdit(p.record);
  let strength = select(0.0, number(e.dial + 1u), applies(e, r));
#if NORM
  let mean = stats[2u * r];
  var along = 0.0;
  var sum = 0.0;
#end
  for (var i = lid; i < p.words; i += 64u) {
    let at = r * p.words + i;
    let own = strength * x[at];
    part[at] = own;
    x[at] -= own;
#if NORM
    along += own * (y[at] - mean);
    sum += own;
#end
  }
#if NORM
  let deviation = stats[2u * r + 1u];
  let all = editTotal(along, lid);
  let plain = editTotal(sum, lid);
  if (lid == 0u) {
    side[2u * r] = select(0.0, all / deviation, deviation > 0.0);
    side[2u * r + 1u] = plain;
  }
#end
}
