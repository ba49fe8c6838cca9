// The backward twin of sae-latents.wgsl and sae-add.wgsl. What edits of one latent add up to is (A − a)·d·undo/gain, A what they make of its activation
// a, so of h = (∂m/∂x)·d comes, in place, the gradient at the latent's product with the encoder:
//   h·undo/gain·(∏ slope − 1)·s·latentSlope(a)        slope: set 1 − strength, add 1, scale 1 + strength·(value − 1)
// The first record of a latent answers for all of it; of the others h becomes 0. Records stand in the order of the gradient, last edit first.
// NORM 1: undo = σ/s, and so besides side = (∂m/∂σ, 0) = (Σ (A − a)·h·undo/gain/σ, 0).
// pre: products [all rows, width] (DENSE 1: the activations of all latents [rows, stride], from row0).
// Shapes: h [all rows, width], side [all rows, 2], stats [rows, 2] from row0. Grid: a thread a row. Source: the chain rule.
#include row.wgsl
struct Params { first: u32, count: u32, row0: u32, rows: u32, stride: u32, width: u32, scale: f32, pad0: u32 }
@group(0) @binding(0) var<storage, read> rows: array<Row>;
@group(0) @binding(1) var<storage, read> edits: array<u32>;
@group(0) @binding(2) var<storage, read> latents: array<vec4f>;
@group(0) @binding(3) var<storage, read> pre: array<f32>;
@group(0) @binding(4) var<storage, read_write> h: array<f32>;
#if NORM
@group(0) @binding(5) var<storage, read> stats: array<f32>;
@group(0) @binding(6) var<storage, read_write> side: array<f32>;
@group(0) @binding(7) var<uniform> p: Params;
#else
@group(0) @binding(5) var<uniform> p: Params;
#end
#include edit-head.wgsl
#include latent.wgsl
#include latent-slope.wgsl

fn latentOf(n: u32) -> u32 { return edits[p.first + n * EDIT_WORDS + 5u]; }

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= p.rows) { return; }
  let r = p.row0 + id.x;
#if NORM
  let deviation = stats[2u * id.x + 1u];
  let undo = deviation / p.scale;
  var along = 0.0;
#else
  let undo = 1.0 / p.scale;
#end
  for (var n = 0u; n < p.count; n++) {
    let i = latentOf(n);
    let at = r * p.width + n;
    var before = false;
    for (var m = 0u; m < n; m++) { before = before || latentOf(m) == i; }
    if (before) {
      h[at] = 0.0;
      continue;
    }
    let l = latents[i];
#if DENSE
    let a = pre[id.x * p.stride + i];
#else
    let a = latent(p.scale * pre[at], l);
#end
    var now = a;
    var slope = 1.0;
    for (var m = p.count; m > n; m--) {
      let e = readEdit(p.first + (m - 1u) * EDIT_WORDS);
      if (e.units != i || !applies(e, r)) { continue; }
      let value = number(e.dial);
      let strength = number(e.dial + 1u);
      if (e.unit0 == 0u) {
        now += strength * (value - now);
        slope *= 1.0 - strength;
      }
      if (e.unit0 == 1u) { now += strength * value; }
      if (e.unit0 == 2u) {
        now += strength * (value - 1.0) * now;
        slope *= 1.0 + strength * (value - 1.0);
      }
    }
    let by = h[at] * undo / l.w;
#if NORM
    along += (now - a) * by;
#end
    h[at] = by * (slope - 1.0) * p.scale * latentSlope(a, l);
  }
#if NORM
  side[2u * r] = select(0.0, along / deviation, deviation > 0.0);
  side[2u * r + 1u] = 0.0;
#end
}
