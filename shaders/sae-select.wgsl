// Products to activations, in place, and the active ones of each row as a list: (latent, value) in order of latents.
// More than `limit` active: the largest by magnitude, of equal ones the lowest index (a radix select over the bits of the magnitudes, which
// are in their order). With topk the limit is k, and what is not chosen becomes 0; otherwise the limit is
// the list's room, the activations stay whole, and the header tells how many there were.
// NEURONS 1: `pre` holds activations already (a hook's own rows), and is only read. ACT positive: those above 0 are active; ACT signed: all
// but zeros, of either sign.
// Shapes: pre [rows, stride] (n used), latents [n] of 4; list [rows, 2 + 2·room]: active ones, listed ones, then the pairs.
// Grid: one workgroup of 256 a row. M = 16,384: six reads of 64 kB a row, all but the first from cache.
const T = 256u;
struct Params { n: u32, stride: u32, limit: u32, room: u32, scale: f32, k: u32, pad0: u32, pad1: u32 }
#if NEURONS
@group(0) @binding(0) var<storage, read> pre: array<f32>;
#else
@group(0) @binding(0) var<storage, read_write> pre: array<f32>;
@group(0) @binding(1) var<storage, read> latents: array<vec4f>;
#end
@group(0) @binding(2) var<storage, read_write> list: array<u32>;
@group(0) @binding(3) var<uniform> p: Params;
#if NEURONS
#else
#include latent.wgsl
#end
#include rank.wgsl

var<workgroup> histogram: array<atomic<u32>, 256>;
var<workgroup> above: array<u32, 256>;
var<workgroup> level: array<u32, 256>;
var<workgroup> found: vec3u; // the bits chosen so far, how many of their equals are still wanted, the number of active latents

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lid: u32) {
  let base = wg.x * p.stride;
  var mine = 0u;
  for (var i = lid; i < p.n; i += T) {
#if NEURONS
    let a = pre[base + i];
#else
    let a = latent(p.scale * pre[base + i], latents[i]);
    pre[base + i] = a;
#end
    mine += select(0u, 1u, rank(a) != 0u);
  }
  above[lid] = mine;
  storageBarrier();
  workgroupBarrier();
  if (lid == 0u) {
    var sum = 0u;
    for (var i = 0u; i < T; i++) { sum += above[i]; }
    found = vec3u(0u, 0u, sum);
  }
  let count = workgroupUniformLoad(&found).z;
  if (count > p.limit) {
    if (lid == 0u) { found.y = p.limit; }
    var mask = 0u;
    for (var shift = 24i; shift >= 0i; shift -= 8i) {
      atomicStore(&histogram[lid], 0u);
      workgroupBarrier();
      let bits = found.x;
      for (var i = lid; i < p.n; i += T) {
        let key = rank(pre[base + i]);
        if (key != 0u && (key & mask) == bits) { atomicAdd(&histogram[(key >> u32(shift)) & 255u], 1u); }
      }
      workgroupBarrier();
      if (lid == 0u) {
        var wanted = found.y;
        var digit = 255u;
        for (; digit > 0u; digit--) {
          let many = atomicLoad(&histogram[digit]);
          if (many >= wanted) { break; }
          wanted -= many;
        }
        found = vec3u(found.x | (digit << u32(shift)), wanted, count);
      }
      mask |= 255u << u32(shift);
      workgroupBarrier();
    }
  }
  // Everything above the chosen bits, and the first so many that equal them. Without a choice the bits are 0, which nothing active has.
  let chosen = workgroupUniformLoad(&found);
  let span = (p.n + T - 1u) / T;
  let first = min(p.n, lid * span);
  let last = min(p.n, first + span);
  var over = 0u;
  var equal = 0u;
  for (var i = first; i < last; i++) {
    let key = rank(pre[base + i]);
    over += select(0u, 1u, key > chosen.x);
    equal += select(0u, 1u, key == chosen.x && key != 0u);
  }
  above[lid] = over;
  level[lid] = equal;
  workgroupBarrier();
  if (lid == 0u) {
    var overs = 0u;
    var equals = 0u;
    for (var i = 0u; i < T; i++) {
      let o = above[i];
      let e = level[i];
      above[i] = overs;
      level[i] = equals;
      overs += o;
      equals += e;
    }
    let head = wg.x * (2u + 2u * p.room);
#if ACT == topk
    list[head] = min(count, p.k);
#else
    list[head] = count;
#end
    list[head + 1u] = min(overs + min(equals, chosen.y), p.room);
  }
  workgroupBarrier();
  var left = chosen.y - min(chosen.y, level[lid]);
  var to = above[lid] + min(chosen.y, level[lid]);
  for (var i = first; i < last; i++) {
    let a = pre[base + i];
    let key = rank(a);
    let even = key == chosen.x && left > 0u;
    if (key != 0u && (key > chosen.x || even)) {
      if (even) { left--; }
      if (to < p.room) {
        let at = wg.x * (2u + 2u * p.room) + 2u + 2u * to;
        list[at] = i;
        list[at + 1u] = bitcast<u32>(a);
      }
      to++;
    } else {
#if ACT == topk
      pre[base + i] = 0.0;
#end
    }
  }
}
