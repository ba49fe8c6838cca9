// The backward twin of norm.wgsl: with c = x − μ (RMSNorm: c = x), σ = √(mean c² + eps), s the scale that divided (σ, or what edits made of it),
//   dn = dy·w                       the gradient at hook_normalized
//   ds = −Σ dn·c / s²               the gradient at hook_scale
//   dc = dn/s + ds·c/(d·σ);  dx (+)= dc − mean(dc)  (RMSNorm: dc)
// STEP 0: all at once, where nobody edits between. Else 1 writes dn, 2 writes ds, 3 writes dx, and what their hooks' edits do to gradients lies between.
// Shapes: x, dy, dn, dx [rows, 4·D4]; scale, ds [rows]. Grid: one workgroup of 64 a row. ADD (a parameter): onto what lies in dx.
override D4: u32;
struct Params { gain: u32, d: u32, eps: f32, add: u32 }
@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> dy: array<vec4f>;
@group(0) @binding(2) var<storage, read> vecs: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> dn: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> ds: array<f32>;
@group(0) @binding(5) var<storage, read_write> dx: array<vec4f>;
#if STEP
@group(0) @binding(6) var<storage, read> scale: array<f32>;
@group(0) @binding(7) var<uniform> p: Params;
#else
@group(0) @binding(6) var<uniform> p: Params;
#end
#include reduce.wgsl NAME=total SIZE=64

fn real(i: u32, v: vec4f) -> vec4f { return select(vec4f(0), v, vec4u(0, 1, 2, 3) + 4u * i < vec4u(p.d)); }
fn sum4(v: vec4f) -> f32 { return v.x + v.y + v.z + v.w; }

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lid: u32) {
  let r = wg.x;
  let at = r * D4;
#if STEP == 1
  for (var i = lid; i < D4; i += 64u) { dn[at + i] = real(i, dy[at + i] * vecs[p.gain + i]); }
#else
#if NORM == layer
  var s = 0.0;
  for (var i = lid; i < D4; i += 64u) { s += sum4(x[at + i]); }
  let mean = total(s, lid) / f32(p.d);
#else
  let mean = 0.0;
#end
  var q = 0.0;
  var a = 0.0;
  var b = 0.0;
  for (var i = lid; i < D4; i += 64u) {
    let c = real(i, x[at + i] - mean);
#if STEP
    let n = dn[at + i];
#else
    let n = real(i, dy[at + i] * vecs[p.gain + i]);
    dn[at + i] = n;
#end
    q += dot(c, c);
    a += dot(c, n);
    b += sum4(n);
  }
  let sigma = sqrt(total(q, lid) / f32(p.d) + p.eps);
#if STEP
  let divisor = scale[r];
#else
  let divisor = sigma;
#end
#if STEP == 3
  let slope = ds[r];
#else
  let slope = -total(a, lid) / (divisor * divisor);
  if (lid == 0u) { ds[r] = slope; }
#end
#if STEP == 0 || STEP == 3
#if NORM == layer
  let shift = total(b, lid) / (divisor * f32(p.d));
#else
  let shift = 0.0;
#end
  for (var i = lid; i < D4; i += 64u) {
    let c = x[at + i] - mean;
    var g = real(i, dn[at + i] / divisor + slope * c / (f32(p.d) * sigma) - shift);
    if (p.add == 1u) { g += dx[at + i]; }
    dx[at + i] = g;
  }
#end
#end
}
