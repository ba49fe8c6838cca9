// A piece of a checkpoint's tensor, as it lies in the file, into the engine's form: [out, in] rows padded to vec4, f32 / f16 / bf16.
//   FROM f32 | f16 | bf16: the file's type; TO: the engine's. Equal 16-bit types move bits, so nothing is rounded.
// Source element (o, i) is number (o − o0)·so + (i − i0)·si of src. Column i goes to block (i / inBlock)·outBlock + i % inBlock
// (heads padded to vec4). Row o goes to base + MAP(o) (workers/model/place.ts has the same map):
//   0 plain; 1 interleaved, 2o + phase: gate and up side by side; 2 rotated, up to row `limit`: the two halves that a rotation turns, side
//   by side in each head of `head` rows; 3 halves: gate, then from row `limit` up; 4 heads: q, k, v of each head, `limit` rows a part.
// Grid: x = ⌈rows·cols4/64⌉, where cols4 counts the vec4 written a row.
struct Params {
  rows: u32, o0: u32, so: u32, i0: u32, si: u32, inEnd: u32, inBlock: u32, outBlock: u32,
  j0: u32, cols4: u32, width4: u32, base: u32, kind: u32, phase: u32, head: u32, rot: u32, pieceRow: u32, pieceRows: u32, limit: u32,
}
@group(0) @binding(0) var<storage, read> src: array<u32>;
#if TO == f32
@group(0) @binding(1) var<storage, read_write> dst: array<vec4u>;
#else
@group(0) @binding(1) var<storage, read_write> dst: array<vec2u>;
#end
@group(0) @binding(2) var<uniform> p: Params;

fn bits(at: u32) -> u32 {
#if FROM == f32
  return src[at];
#else
  return (src[at >> 1u] >> ((at & 1u) * 16u)) & 0xffffu;
#end
}
fn real(b: u32) -> f32 {
#if FROM == f32
  return bitcast<f32>(b);
#end
#if FROM == f16
  return unpack2x16float(b).x;
#end
#if FROM == bf16
  return bitcast<f32>(b << 16u);
#end
}
// The two halves that a rotation turns, side by side.
fn turned(i: u32) -> u32 {
  let half = p.rot / 2u;
  if (i < half) { return 2u * i; }
  if (i < p.rot) { return 2u * (i - half) + 1u; }
  return i;
}
fn place(o: u32) -> u32 {
  switch (p.kind) {
    case 1u: { return 2u * o + p.phase; }
    case 2u: { if (o < p.limit) { return o - o % p.head + turned(o % p.head); } }
    case 3u: { return select(2u * (o - p.limit) + 1u, 2u * o, o < p.limit); }
    case 4u: {
      let i = o % p.head;
      let part = (o / p.head) % 3u;
      return part * p.limit + (o / (3u * p.head)) * p.head + select(i, turned(i), part < 2u);
    }
    default: {}
  }
  return o;
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) many: vec3u) {
  let n = id.y * many.x * 64u + id.x;
  if (n >= p.rows * p.cols4) { return; }
  let o = p.o0 + n / p.cols4;
  let row = p.base + place(o);
  if (row < p.pieceRow || row >= p.pieceRow + p.pieceRows) { return; }
  let j4 = p.j0 + n % p.cols4;
  var v: array<u32, 4>;
  for (var c = 0u; c < 4u; c++) {
    let j = j4 * 4u + c;
    let within = j % p.outBlock;
    let i = (j / p.outBlock) * p.inBlock + within;
    v[c] = 0u;
    if (within < p.inBlock && i < p.inEnd) { v[c] = bits((o - p.o0) * p.so + (i - p.i0) * p.si); }
  }
  let at = (row - p.pieceRow) * p.width4 + j4;
#if TO == f32
  dst[at] = vec4u(bitcast<u32>(real(v[0])), bitcast<u32>(real(v[1])), bitcast<u32>(real(v[2])), bitcast<u32>(real(v[3])));
#else
#if FROM == $TO
  dst[at] = vec2u(v[0] | (v[1] << 16u), v[2] | (v[3] << 16u));
#else
  dst[at] = vec2u(pack2x16float(vec2f(real(v[0]), real(v[1]))), pack2x16float(vec2f(real(v[2]), real(v[3]))));
#end
#end
}
