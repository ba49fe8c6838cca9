// x[r] += Σ_n c[r, n] · W_dec[n]: what `latent` edits change, written along their decoder rows; the error term is what it was, because nothing
// else moves. Rows to which no edit applies are left untouched, to the bit.
// Shapes: x [rows, 4·K4]; c [rows, count]; decoder [count, 4·K4], the edited latents' rows. Grid: one workgroup of 64 a row.
#include weights-$DTYPE.wgsl
override K4: u32;
struct Params { count: u32, row0: u32, pad0: u32, pad1: u32 }
@group(0) @binding(0) var<storage, read_write> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> c: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<W4>;
@group(0) @binding(3) var<uniform> p: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lid: u32) {
  let start = (p.row0 + wg.x) * K4;
  for (var i = lid; i < K4; i += 64u) {
    var sum = vec4f(0);
    var moved = false;
    for (var n = 0u; n < p.count; n++) {
      let by = c[wg.x * p.count + n];
      if (by != 0.0) {
        sum += by * w4(w[n * K4 + i]);
        moved = true;
      }
    }
    if (moved) { x[start + i] += sum; }
  }
}
