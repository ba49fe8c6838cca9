// y[r, n] = epilogue( Σ_k x[r, k] · W[n, k] + b[n] ), many rows (reading a prompt, a batch).
// Strategy: 64×64 outputs a workgroup of 16×16 threads, 4×4 in registers each; 16 columns of k staged in shared memory as
//   f32 (f16 staging overflows on activation outliers), 8 KiB in all, inside the smallest limits.
// Shapes: as linear-register.wgsl; no NORM (the norm runs before). Grid: x = ⌈count/64⌉ (or a part), y = ⌈rows/64⌉.
#include linear-head.wgsl
var<workgroup> xs: array<vec4f, 256>; // [64 rows][4 vec4 of k]
var<workgroup> ws: array<vec4f, 256>; // [64 outputs][4 vec4 of k]

@compute @workgroup_size(16, 16)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_id) id: vec3u, @builtin(local_invocation_index) lid: u32) {
  let K4 = p.k4;
  let loadRow = lid >> 2u;
  let loadK = lid & 3u;
  let xr = (p.row0 + min(wg.y * 64u + loadRow, p.rows - 1u)) * K4;
  let n0 = p.first + wg.x * 64u;
  let wr = min(n0 + loadRow, p.count - 1u) * K4;
  #for r 4
  var a$r = vec4f(0);
  #end
  for (var k0 = 0u; k0 < K4; k0 += 4u) {
    let k = k0 + loadK;
    workgroupBarrier();
    xs[lid] = select(vec4f(0), x[xr + min(k, K4 - 1u)], k < K4);
    ws[lid] = select(vec4f(0), w4(w[wr + min(k, K4 - 1u)]), k < K4);
    workgroupBarrier();
    for (var i = 0u; i < 4u; i++) {
      #for c 4
      let m$c = ws[(id.x * 4u + $c) * 4u + i];
      #end
      #for r 4
      {
        let v = xs[(id.y * 4u + $r) * 4u + i];
        a$r += vec4f(dot(m0, v), dot(m1, v), dot(m2, v), dot(m3, v));
      }
      #end
    }
  }
  let c0 = n0 + id.x * 4u;
  // A loop, not eight copies of the epilogue: see linear-register.wgsl.
  var sums = array<vec4f, 4>(a0, a1, a2, a3);
  for (var r = 0u; r < 4u; r++) {
    let row = wg.y * 64u + id.y * 4u + r;
    for (var c = 0u; c < 4u && row < p.rows && c0 + c < p.count; c += 2u) { emit(row, p.n0 + c0 + c, sums[r][c], sums[r][c + 1u]); }
  }
}
