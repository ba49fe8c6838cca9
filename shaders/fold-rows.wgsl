// What stands before a matrix goes into its rows, in place. For each row n of W (its weights of one output):
//   BIAS    b[n] += Σ_k W[n, k]·β[k]          the norm's bias, seen through the matrix
//   GAIN    W[n, k] ← W[n, k]·γ[k]            the norm's gain
//   CENTER  W[n, k] ← W[n, k] − mean_k W[n, k] over the true width; the padding stays 0
// in this order, sums in f32. Source: TransformerLens's fold_ln; with CENTER alone, center_writing_weights of a table.
// Shapes: W [count, 4·K4]; vecs holds γ [4·K4] from word `gain`, β [4·K4] after it, and b from word `bias`.
// Grid: one workgroup of 64 a row, spread over x and z (65,535 a dimension).
override K4: u32;
struct Params { n0: u32, count: u32, k: u32, gain: u32, bias: u32 }
@group(0) @binding(0) var<storage, read_write> w: array<vec4f>;
#if GAIN
@group(0) @binding(1) var<storage, read_write> vecs: array<f32>;
#end
@group(0) @binding(2) var<uniform> p: Params;
#include reduce.wgsl NAME=total SIZE=64

#if GAIN
fn four(word: u32) -> vec4f { return vec4f(vecs[word], vecs[word + 1u], vecs[word + 2u], vecs[word + 3u]); }
#end

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lid: u32) {
  let n = wg.z * 65535u + wg.x;
  if (n >= p.count) { return; }
  let row = n * K4;
  var shift = 0.0;
  var sum = 0.0;
  for (var i = lid; i < K4; i += 64u) {
    var v = w[row + i];
#if BIAS
    shift += dot(v, four(p.gain + 4u * (K4 + i)));
#end
#if GAIN
    v *= four(p.gain + 4u * i);
#if CENTER
#else
    w[row + i] = v;
#end
#end
    sum += v.x + v.y + v.z + v.w;
  }
#if BIAS
  shift = total(shift, lid);
  if (lid == 0u) { vecs[p.bias + p.n0 + n] += shift; }
#end
#if CENTER
  let mean = total(sum, lid) / f32(p.k);
  for (var i = lid; i < K4; i += 64u) {
    var v = w[row + i];
#if GAIN
    v *= four(p.gain + 4u * i);
#end
    w[row + i] = select(vec4f(0), v - mean, vec4u(0, 1, 2, 3) + 4u * i < vec4u(p.k));
  }
#end
}
