// b_O[n] += Σ_h Σ_i W_O[n, h, i]·b_V[⌊h / group⌋, i]: a row of the pattern sums to 1, so a value's bias reaches the stream whole.
// Source: TransformerLens's fold_value_biases. b_V itself is cleared afterwards, on the host.
// Shapes: W_O [count, heads·DHP], each head padded to DHP; vecs holds b_V [kv heads, dHead] from word `value`, unpadded, and b_O
// from word `bias`. Query head h reads the values of key-value head ⌊h / group⌋. Grid: one workgroup of 64 a row; d_model rows.
struct Params { n0: u32, count: u32, heads: u32, group: u32, dHead: u32, dHeadPadded: u32, value: u32, bias: u32 }
@group(0) @binding(0) var<storage, read> w: array<f32>;
@group(0) @binding(1) var<storage, read_write> vecs: array<f32>;
@group(0) @binding(2) var<uniform> p: Params;
#include reduce.wgsl NAME=total SIZE=64

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lid: u32) {
  let n = wg.z * 65535u + wg.x;
  if (n >= p.count) { return; }
  let row = n * p.heads * p.dHeadPadded;
  var sum = 0.0;
  for (var j = lid; j < p.heads * p.dHead; j += 64u) {
    let head = j / p.dHead;
    let i = j % p.dHead;
    sum += w[row + head * p.dHeadPadded + i] * vecs[p.value + (head / p.group) * p.dHead + i];
  }
  sum = total(sum, lid);
  if (lid == 0u) { vecs[p.bias + p.n0 + n] += sum; }
}
