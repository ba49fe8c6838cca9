// As sae-select, where any of the active latents will do when there are more than the list has room for (the header tells, and whoever asks makes
// more room): a thread a row, without barriers, which a software renderer pays dearly for. Not for topk, which must choose. Products stay as they are.
// Shapes: pre [rows, stride] (n used), latents [n] of 4; list [rows, 2 + 2·room]: active ones, listed ones, then the pairs in order of latents.
// Grid: workgroups of 8 rows.
struct Params { n: u32, stride: u32, room: u32, rows: u32, scale: f32, pad0: u32, pad1: u32, pad2: u32 }
@group(0) @binding(0) var<storage, read> pre: array<f32>;
@group(0) @binding(1) var<storage, read> latents: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> list: array<u32>;
@group(0) @binding(3) var<uniform> p: Params;
#include latent.wgsl

@compute @workgroup_size(8)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= p.rows) { return; }
  let base = id.x * p.stride;
  let head = id.x * (2u + 2u * p.room);
  var count = 0u;
  for (var i = 0u; i < p.n; i++) {
    let a = latent(p.scale * pre[base + i], latents[i]);
    if (a > 0.0) {
      if (count < p.room) {
        list[head + 2u + 2u * count] = i;
        list[head + 3u + 2u * count] = bitcast<u32>(a);
      }
      count++;
    }
  }
  list[head] = count;
  list[head + 1u] = min(count, p.room);
}
