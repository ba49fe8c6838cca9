// How every column of a matrix lies to one vector: out[0, k] = Σ v[n]·W[n, k] and out[1, k] = Σ W[n, k]², n over all rows. An MLP's neurons are columns of
// W_out as it lies here ([d_model, neurons]), so that this gives the cosines between one neuron's direction and all others without turning the matrix.
// Shapes: W piece [count, 4·K4] from row n0, v [rows], out [2, 4·K4]. Grid: ⌈K4/64⌉; a thread adds one vec4 column, piece after piece.
#include weights-$DTYPE.wgsl
override K4: u32;
struct Params { n0: u32, count: u32, pad0: u32, pad1: u32 }
@group(0) @binding(0) var<storage, read> v: array<f32>;
@group(0) @binding(1) var<storage, read> w: array<W4>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(3) var<uniform> p: Params;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let c = id.x;
  if (c >= K4) { return; }
#if FIRST
  var dots = vec4f(0);
  var squares = vec4f(0);
#else
  var dots = out[c];
  var squares = out[K4 + c];
#end
  for (var n = 0u; n < p.count; n++) {
    let each = w4(w[n * K4 + c]);
    dots += v[p.n0 + n] * each;
    squares += each * each;
  }
  out[c] = dots;
  out[K4 + c] = squares;
}
