// y[r, n] = epilogue( Σ_k norm(x)[r, k] · W[n, k] + b[n] )
// Strategy: no barriers and no shared memory. A thread keeps R rows × C outputs in registers and walks k in vec4. One scalar a sum, not one
//   vec4: an emulator that runs threads as SIMD lanes spills four registers for each vec4.
//   The order of additions does not depend on R, so a row gives the same bits alone and in a batch.
// Shapes: x [rows, 4·K4], W [count, 4·K4], y by EPI (lib/emit.wgsl). Columns past the true width are 0 in W and x.
// NORM layer | rms: x is normalised on the way in (gain and bias from vecs), statistics recomputed by each thread.
// Grid: x = ⌈⌈count/C⌉ / 64⌉ (less where it is a part, from output `first` on), y = ⌈rows/R⌉.
// Source: register blocking as measured on SwiftShader (13 ms against 252 ms for a 16×16 shared tile at 16×768×3072).
#include linear-head.wgsl

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let K4 = p.k4;
  let c0 = p.first + id.x * $C;
  if (c0 >= p.count) { return; }
  let r0 = id.y * $R;
  #for r $R
  let x$r = (p.row0 + min(r0 + $r, p.rows - 1u)) * K4;
  #end
  #for c $C
  let wr$c = min(c0 + $c, p.count - 1u) * K4;
  #end
#if NORM
  #for r $R
#if NORM == layer
  var sum$r = vec4f(0);
  for (var i = 0u; i < K4; i++) { sum$r += x[x$r + i]; }
  let mean$r = (sum$r.x + sum$r.y + sum$r.z + sum$r.w) / f32(p.k);
#else
  let mean$r = 0.0;
#end
  var square$r = vec4f(0);
  for (var i = 0u; i < K4; i++) {
    let d = select(vec4f(0), x[x$r + i] - mean$r, vec4u(0, 1, 2, 3) + 4u * i < vec4u(p.k));
    square$r += d * d;
  }
  let inv$r = 1.0 / sqrt((square$r.x + square$r.y + square$r.z + square$r.w) / f32(p.k) + p.eps);
  #end
#end
  #for r $R
  #for c $C
  var a$r_$c = 0.0;
  #end
  #end
  for (var i = 0u; i < K4; i++) {
#if NORM
    let gain = vecs[p.gain + i];
#if NORM == layer
    let shift = vecs[p.gain + K4 + i];
#end
#end
    #for r $R
#if NORM == layer
    let v$r = (x[x$r + i] - mean$r) * inv$r * gain + shift;
#else
#if NORM == rms
    let v$r = x[x$r + i] * inv$r * gain;
#else
    let v$r = x[x$r + i];
#end
#end
    #end
    #for c $C
    {
      let m = w4(w[wr$c + i]);
      #for r $R
      a$r_$c += dot(m, v$r);
      #end
    }
    #end
  }
  // A loop, not R·C/2 copies of the epilogue: a compiler that inlines every call takes ten times as long over those as over the sums.
  var sums: array<f32, $SUMS>;
  #for r $R
  #for c $C
  sums[$r * $C + $c] = a$r_$c;
  #end
  #end
  for (var r = 0u; r < min($R, p.rows - r0); r++) {
    for (var c = 0u; c < $C && c0 + c < p.count; c += 2u) {
      emit(r0 + r, p.n0 + c0 + c, sums[r * $C + c], sums[r * $C + c + 1u]);
    }
  }
}
