// W[n, k] ← W[n, k] − (1/n) Σ_chunks sums[chunk, k]: the mean of all rows is taken from each; sums come from column-sums.wgsl.
// Source: TransformerLens's center_writing_weights (rows are d_model) and center_unembed (rows are the vocabulary).
// Shapes: W [count, 4·K4] (one piece), sums [chunks, 4·K4]. The padding's mean is 0, so it stays 0.
// Grid: x = ⌈K4/64⌉, y = ⌈count/CHUNK⌉; a thread has one vec4 column of CHUNK rows.
override K4: u32;
struct Params { count: u32, chunks: u32, n: u32 }
@group(0) @binding(0) var<storage, read_write> w: array<vec4f>;
@group(0) @binding(1) var<storage, read> sums: array<vec4f>;
@group(0) @binding(2) var<uniform> p: Params;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= K4) { return; }
  var mean = vec4f(0);
  for (var chunk = 0u; chunk < p.chunks; chunk++) { mean += sums[chunk * K4 + id.x]; }
  mean /= f32(p.n);
  let end = min(p.count, (id.y + 1u) * $CHUNK);
  for (var n = id.y * $CHUNK; n < end; n++) { w[n * K4 + id.x] -= mean; }
}
