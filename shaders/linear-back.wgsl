// The backward twin of the projections: dx[r, k] (+)= Σ_n dy[r, n]·W[n, k].
// Strategy: a workgroup of 64 is 8 columns of four by 8 slices of the outputs; a thread keeps R rows, its slices meet once, at the end.
// Shapes: W [count, 4·K4] as stored, from output n0 on; dx [rows, 4·K4]; dy by SRC, which undoes what lib/emit.wgsl does:
//   SRC plain   dy[r, n]
//   SRC split   n even: dy[r, n/2] (gate);  n odd: dy[second + r, n/2] (up)
//   SRC qkv     dq[r, head, i], dk, dv [r, kv head, i]; the first rot of a turned head lie in pairs
// ADD (a parameter): onto what lies in dx; a matrix in several pieces is summed so.
// Grid: x = ⌈K4/8⌉, y = ⌈rows/R⌉. Source: the chain rule.
#include weights-$DTYPE.wgsl
override K4: u32;
const R = $R;
struct Params {
  rows: u32, n0: u32, count: u32, stride: u32,
  second: u32, add: u32, heads: u32, kv: u32,
  dh: u32, dhp: u32, rot: u32, pad: u32,
}
@group(0) @binding(0) var<storage, read> dy: array<f32>;
@group(0) @binding(1) var<storage, read> w: array<W4>;
@group(0) @binding(2) var<storage, read_write> dx: array<vec4f>;
#if SRC == qkv
@group(0) @binding(3) var<storage, read> dk: array<f32>;
@group(0) @binding(4) var<storage, read> dv: array<f32>;
@group(0) @binding(5) var<uniform> p: Params;
#else
@group(0) @binding(3) var<uniform> p: Params;
#end
var<workgroup> part: array<vec4f, 64u * R>;

fn source(r: u32, n: u32) -> f32 {
#if SRC == plain
  return dy[r * p.stride + n];
#end
#if SRC == split
  return dy[(n & 1u) * p.second + r * p.stride + (n >> 1u)];
#end
#if SRC == qkv
  let head = n / p.dh;
  var i = n % p.dh;
  if (head < p.heads + p.kv && i < p.rot) { i = (i >> 1u) + (i & 1u) * (p.rot >> 1u); }
  if (head < p.heads) { return dy[(r * p.heads + head) * p.dhp + i]; }
  if (head < p.heads + p.kv) { return dk[(r * p.kv + head - p.heads) * p.dhp + i]; }
  return dv[(r * p.kv + head - p.heads - p.kv) * p.dhp + i];
#end
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lid: u32) {
  let column = wg.x * 8u + (lid & 7u);
  let i = min(column, K4 - 1u);
  let r0 = wg.y * R;
  #for r $R
  let row$r = min(r0 + $r, p.rows - 1u);
  var a$r = vec4f(0);
  #end
  for (var n = lid >> 3u; n < p.count; n += 8u) {
    let m = w4(w[n * K4 + i]);
    #for r $R
    a$r += source(row$r, p.n0 + n) * m;
    #end
  }
  #for r $R
  part[$r * 64u + lid] = a$r;
  #end
  workgroupBarrier();
  // 8 columns × R rows are 8·R sums, a thread each.
  let r = lid >> 3u;
  if (r >= R || r0 + r >= p.rows || column >= K4) { return; }
  var sum = vec4f(0);
  for (var s = 0u; s < 8u; s++) { sum += part[r * 64u + s * 8u + (lid & 7u)]; }
  let at = (r0 + r) * K4 + column;
  if (p.add == 1u) { sum += dx[at]; }
  dx[at] = sum;
}
