// y[r, n] = epilogue( Σ_k norm(x)[r, k] · W[n, k] + b[n] ), few rows (one decoded token of each stream).
// Strategy: a workgroup computes 4 outputs for all rows; its threads stride over k in vec4, so every weight is read once,
//   coalesced, and used for every row; then one reduction. SUBGROUPS 1: subgroupAdd, one slot a subgroup in shared memory;
//   0: a tree in shared memory. 4 rows a workgroup is the repeated optimum of public engines (llama.cpp's and zero-tvm's sweeps).
// Shapes: as linear-register.wgsl; rows = R (1 … 4). Grid: ⌈count/4⌉ workgroups, spread over x and z (65,535 a dimension).
#if SUBGROUPS
enable subgroups;
#end
#include linear-head.wgsl
const T = $T;
var<workgroup> part: array<vec4f, T>;

// The sum over the workgroup of one vec4 a thread; uniform control flow only.
fn total(v: vec4f, lid: u32, sg: u32, lane: u32, size: u32) -> vec4f {
#if SUBGROUPS
  let s = subgroupAdd(v);
  workgroupBarrier();
  if (lane == 0u) { part[sg] = s; }
  workgroupBarrier();
  var sum = vec4f(0);
  for (var i = 0u; i < (T + size - 1u) / size; i++) { sum += part[i]; }
  return sum;
#else
  workgroupBarrier();
  part[lid] = v;
  for (var h = T / 2u; h > 0u; h >>= 1u) {
    workgroupBarrier();
    if (lid < h) { part[lid] += part[lid + h]; }
  }
  workgroupBarrier();
  return part[0];
#end
}

@compute @workgroup_size(T)
#if SUBGROUPS
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lid: u32, @builtin(subgroup_invocation_id) lane: u32, @builtin(subgroup_size) size: u32) {
  let sg = lid / size;
#else
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lid: u32) {
  let sg = 0u;
  let lane = 0u;
  let size = 1u;
#end
  let K4 = p.k4;
  let c0 = (wg.z * 65535u + wg.x) * 4u;
  #for r $R
  let x$r = (p.row0 + min($r, p.rows - 1u)) * K4;
#if NORM
#if NORM == layer
  var s$r = 0.0;
  for (var i = lid; i < K4; i += T) { let v = x[x$r + i]; s$r += v.x + v.y + v.z + v.w; }
  let mean$r = total(vec4f(s$r), lid, sg, lane, size).x / f32(p.k);
#else
  let mean$r = 0.0;
#end
  var q$r = 0.0;
  for (var i = lid; i < K4; i += T) {
    let d = select(vec4f(0), x[x$r + i] - mean$r, vec4u(0, 1, 2, 3) + 4u * i < vec4u(p.k));
    q$r += dot(d, d);
  }
  let inv$r = 1.0 / sqrt(total(vec4f(q$r), lid, sg, lane, size).x / f32(p.k) + p.eps);
#end
  var a$r = vec4f(0);
  #end
  #for c 4
  let w$c = min(c0 + $c, p.count - 1u) * K4;
  #end
  for (var i = lid; i < K4; i += T) {
    #for c 4
    let m$c = w4(w[w$c + i]);
    #end
#if NORM
    let gain = vecs[p.gain + i];
#if NORM == layer
    let shift = vecs[p.gain + K4 + i];
#end
#end
    #for r $R
    {
#if NORM == layer
      let v = (x[x$r + i] - mean$r) * inv$r * gain + shift;
#else
#if NORM == rms
      let v = x[x$r + i] * inv$r * gain;
#else
      let v = x[x$r + i];
#end
#end
      a$r += vec4f(dot(m0, v), dot(m1, v), dot(m2, v), dot(m3, v));
    }
    #end
  }
  // A loop, not R copies of the epilogue: see linear-register.wgsl.
  var sums: array<vec4f, $R>;
  #for r $R
  sums[$r] = a$r;
  #end
  for (var r = 0u; r < $R; r++) {
    let s = total(sums[r], lid, sg, lane, size);
    if (lid == 0u) {
      for (var c = 0u; c < 4u && r < p.rows && c0 + c < p.count; c += 2u) { emit(r, p.n0 + c0 + c, s[c], s[c + 1u]); }
    }
  }
}
