// As sae-select (its meaning, its bindings), a thread a row and no barriers: for devices where barriers are dear.
//   The limit-th largest magnitude is found by bisection over its bits, from the highest down: one look over the row for each.
// ANY 1: where there are more active latents than the list has room for, the first of them will do (the header tells, and whoever asks makes more
//   room). Products then stay as they are. Not for topk, which must choose.
// Grid: workgroups of 8 rows.
struct Params { n: u32, stride: u32, limit: u32, room: u32, scale: f32, k: u32, rows: u32, pad0: u32 }
#if NEURONS || ANY
@group(0) @binding(0) var<storage, read> pre: array<f32>;
#else
@group(0) @binding(0) var<storage, read_write> pre: array<f32>;
#end
#if NEURONS
#else
@group(0) @binding(1) var<storage, read> latents: array<vec4f>;
#include latent.wgsl
#end
@group(0) @binding(2) var<storage, read_write> list: array<u32>;
@group(0) @binding(3) var<uniform> p: Params;
#include rank.wgsl

fn activation(at: u32, i: u32) -> f32 {
#if NEURONS
  return pre[at + i];
#else
  return latent(p.scale * pre[at + i], latents[i]);
#end
}

@compute @workgroup_size(8)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= p.rows) { return; }
  let base = id.x * p.stride;
  let head = id.x * (2u + 2u * p.room);
#if ANY
  var count = 0u;
  for (var i = 0u; i < p.n; i++) {
    let a = activation(base, i);
    if (rank(a) != 0u) {
      if (count < p.room) {
        list[head + 2u + 2u * count] = i;
        list[head + 3u + 2u * count] = bitcast<u32>(a);
      }
      count++;
    }
  }
  list[head] = count;
  list[head + 1u] = min(count, p.room);
#else
  var count = 0u;
  for (var i = 0u; i < p.n; i++) {
    let a = activation(base, i);
#if NEURONS
#else
    pre[base + i] = a;
#end
    count += select(0u, 1u, rank(a) != 0u);
  }
  // The largest bits that at least `limit` magnitudes reach, and how many of their equals are wanted. Without a choice they are 0.
  var bits = 0u;
  var wanted = 0u;
  if (count > p.limit) {
    for (var shift = 31i; shift >= 0i; shift -= 1i) {
      let candidate = bits | (1u << u32(shift));
      var reach = 0u;
      for (var i = 0u; i < p.n; i++) { reach += select(0u, 1u, rank(pre[base + i]) >= candidate); }
      if (reach >= p.limit) { bits = candidate; }
    }
    wanted = p.limit;
    for (var i = 0u; i < p.n; i++) { wanted -= select(0u, 1u, rank(pre[base + i]) > bits); }
  }
  var listed = 0u;
  for (var i = 0u; i < p.n; i++) {
    let a = pre[base + i];
    let key = rank(a);
    let even = key == bits && wanted > 0u;
    if (key != 0u && (key > bits || even)) {
      if (even) { wanted--; }
      if (listed < p.room) {
        list[head + 2u + 2u * listed] = i;
        list[head + 3u + 2u * listed] = bitcast<u32>(a);
        listed++;
      }
    } else {
#if ACT == topk
      pre[base + i] = 0.0;
#end
    }
  }
#if ACT == topk
  list[head] = min(count, p.k);
#else
  list[head] = count;
#end
  list[head + 1u] = listed;
#end
}
