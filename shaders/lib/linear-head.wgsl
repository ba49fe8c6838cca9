// What every projection kernel shares: bindings, parameters, where outputs go.
#include row.wgsl
#include weights-$DTYPE.wgsl
#if EPI == act || EPI == gated
#include activation.wgsl
#end
#if CAP
#include softcap.wgsl
#end
struct Params {
  rows: u32, // rows of x in this dispatch
  row0: u32, // the first of them in x; y starts at 0
  n: u32, // outputs of the whole matrix
  n0: u32, // the first output of this piece
  count: u32, // outputs of this piece
  yStride: u32,
  bias: u32, // word of vecs
  second: u32, // where the second half of y or kv starts
  gain: u32, // vec4 of vecs: norm gain, then norm bias
  k: u32, // true width, for the norm
  eps: f32,
  cap: u32, // cache capacity
  k4: u32, // padded width of x and W, in vec4; no override, so that one pipeline serves matrices of every width
  first: u32, // the first output of this dispatch within its piece: a long one is done in parts
}
@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> w: array<W4>;
@group(0) @binding(2) var<storage, read> vecs: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
#if EPI == qkv
@group(0) @binding(4) var<storage, read_write> kv: array<f32>;
#if CACHE
@group(0) @binding(5) var<storage, read> rows: array<Row>;
#if ROT
@group(0) @binding(6) var<storage, read> rope: array<vec2f>;
@group(0) @binding(7) var<uniform> p: Params;
#else
@group(0) @binding(6) var<uniform> p: Params;
#end
#else
@group(0) @binding(5) var<uniform> p: Params;
#end
#else
@group(0) @binding(4) var<uniform> p: Params;
#end
#include emit.wgsl
