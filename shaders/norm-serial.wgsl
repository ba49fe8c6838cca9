// As norm (its equations, its bindings without those of edits), a thread a row and no barriers: for devices where barriers are dear.
// RESIDUAL 1 adds to out; OPEN 1 also writes hook_scale and hook_normalized. Edits at those two hooks are norm's.
// Shapes: x, out, normalized [rows, 4·d4]; scale [rows]. Grid: workgroups of 8 rows. Statistics in f32, two passes, summed as linear-register sums them.
struct Params { row0: u32, gain: u32, d: u32, eps: f32, rows: u32, d4: u32, pad0: u32, pad1: u32 }
@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> vecs: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4f>;
#if OPEN
@group(0) @binding(3) var<storage, read_write> scale: array<f32>;
@group(0) @binding(4) var<storage, read_write> normalized: array<vec4f>;
@group(0) @binding(5) var<uniform> p: Params;
#else
@group(0) @binding(3) var<uniform> p: Params;
#end

@compute @workgroup_size(8)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let r = id.x;
  if (r >= p.rows) { return; }
  let D4 = p.d4;
  let start = (p.row0 + r) * D4;
  let to = r * D4;
#if NORM == layer
  var sum = vec4f(0);
  for (var i = 0u; i < D4; i++) { sum += x[start + i]; }
  let mean = (sum.x + sum.y + sum.z + sum.w) / f32(p.d);
#else
  let mean = 0.0;
#end
  var square = vec4f(0);
  for (var i = 0u; i < D4; i++) {
    let d = select(vec4f(0), x[start + i] - mean, vec4u(0, 1, 2, 3) + 4u * i < vec4u(p.d));
    square += d * d;
  }
  let sigma = sqrt((square.x + square.y + square.z + square.w) / f32(p.d) + p.eps);
#if OPEN
  scale[r] = sigma;
#end
  let inv = 1.0 / sigma;
  for (var i = 0u; i < D4; i++) {
#if OPEN
    let v = select(vec4f(0), (x[start + i] - mean) / sigma, vec4u(0, 1, 2, 3) + 4u * i < vec4u(p.d));
    normalized[to + i] = v;
#else
    let v = (x[start + i] - mean) * inv;
#end
#if NORM == layer
    let y = v * vecs[p.gain + i] + vecs[p.gain + D4 + i];
#else
    let y = v * vecs[p.gain + i];
#end
#if RESIDUAL
    out[to + i] += y;
#else
    out[to + i] = y;
#end
  }
}
