// sums[chunk, k] = Σ W[n, k] over one stretch of CHUNK rows: half of a mean over all rows of a matrix that may lie in several buffers.
// Short sums that are added afterwards keep f32 accurate over a quarter of a million rows.
// Shapes: W [count, 4·K4] (one piece), sums [chunks of all pieces, 4·K4], this piece's from chunk `chunk0`.
// Grid: x = ⌈K4/64⌉, y = ⌈count/CHUNK⌉; a thread adds one vec4 column.
override K4: u32;
struct Params { count: u32, chunk0: u32 }
@group(0) @binding(0) var<storage, read> w: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> sums: array<vec4f>;
@group(0) @binding(2) var<uniform> p: Params;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= K4) { return; }
  let end = min(p.count, (id.y + 1u) * $CHUNK);
  var sum = vec4f(0);
  for (var n = id.y * $CHUNK; n < end; n++) { sum += w[n * K4 + id.x]; }
  sums[(p.chunk0 + id.y) * K4 + id.x] = sum;
}
