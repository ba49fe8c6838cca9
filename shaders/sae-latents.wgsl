// What `latent` edits of one dictionary at one hook add, as one number an edit and row: c = strength·(f(a) − a)/gain, times what undoes the
// normalisation, where the edit applies to the row, else 0. All see one clean encoding; a is a latent's activation after the edits of it
// that stand earlier in the list, and f is
//   set f(a) = value    add f(a) = a + value    scale f(a) = a·value
// DENSE 0: a from the edited latents' own rows of the encoder, gathered beforehand (relu, jumprelu, gated: a latent asks nobody else).
// DENSE 1: a from the activations of all latents (topk).
// Shapes: x̂ [rows, 4·K4] from xRow0; encoder [edits, 4·K4]; latents [n] of 4; pre [rows, stride]; out [all rows, count], from row0.
// A record's unit0 is the operation, its units the latent. Grid: one workgroup of 64 a row.
#include row.wgsl
#include weights-$DTYPE.wgsl
override K4: u32;
struct Params { first: u32, count: u32, row0: u32, xRow0: u32, stride: u32, scale: f32, pad0: u32, pad1: u32 }
@group(0) @binding(0) var<storage, read> rows: array<Row>;
@group(0) @binding(1) var<storage, read> edits: array<u32>;
@group(0) @binding(2) var<storage, read> latents: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;
#if DENSE
@group(0) @binding(4) var<storage, read> pre: array<f32>;
#else
@group(0) @binding(4) var<storage, read> x: array<vec4f>;
@group(0) @binding(5) var<storage, read> w: array<W4>;
#end
#if NORM
@group(0) @binding(6) var<storage, read> stats: array<f32>;
@group(0) @binding(7) var<uniform> p: Params;
#else
@group(0) @binding(6) var<uniform> p: Params;
#end
#include edit-head.wgsl
#include latent.wgsl

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lid: u32) {
  let r = p.row0 + wg.x;
  for (var n = 0u; n < p.count; n++) {
    let e = readEdit(p.first + n * EDIT_WORDS);
    let l = latents[e.units];
#if DENSE
    let a = pre[wg.x * p.stride + e.units];
#else
    var s = 0.0;
    let start = (p.xRow0 + wg.x) * K4;
    for (var i = lid; i < K4; i += 64u) { s += dot(x[start + i], w4(w[n * K4 + i])); }
    let a = latent(p.scale * editTotal(s, lid), l);
#end
    if (lid == 0u) {
      let value = number(e.dial);
      let strength = number(e.dial + 1u);
#if NORM
      let undo = stats[2u * wg.x + 1u] / p.scale;
#else
      let undo = 1.0 / p.scale;
#end
      // What earlier edits of the same latent have made of it.
      var now = a;
      for (var m = 0u; m < n; m++) {
        if (edits[p.first + m * EDIT_WORDS + 5u] == e.units && undo != 0.0) { now += out[r * p.count + m] * l.w / undo; }
      }
      var change = value - now;
      if (e.unit0 == 1u) { change = value; }
      if (e.unit0 == 2u) { change = now * value - now; }
      out[r * p.count + n] = select(0.0, strength * change / l.w * undo, applies(e, r) && strength != 0.0);
    }
  }
}
