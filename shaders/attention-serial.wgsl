// z[r, h] = Σ_t softmax_t( scale · q[r, h]·k[t, h/group] ) v[t, h/group], pos − window < t ≤ pos (window 0: all t ≤ pos);
//   lse[r, h] = the log of the sum of exponents. CAP c: scores are bent first, c·tanh(score/c).
// Strategy: one thread a (row, head), online softmax in registers, no barriers. For devices where barriers are dear.
// Shapes: q, z [rows, H, DHP]; kv: K [slots, KV, cap, DHP], then V at `second`. Any row reads its own sequence only.
// Grid: x = ⌈rows·H/64⌉. Source: Milakov & Gimelshein 2018 (online softmax).
#include row.wgsl
#include window.wgsl
#if CAP
#include softcap.wgsl
#end
struct Params { rows: u32, second: u32, cap: u32, scale: f32, window: u32 }
@group(0) @binding(0) var<storage, read> q: array<vec4f>;
@group(0) @binding(1) var<storage, read> kv: array<vec4f>;
@group(0) @binding(2) var<storage, read> rows: array<Row>;
@group(0) @binding(3) var<storage, read_write> z: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> lse: array<f32>;
@group(0) @binding(5) var<uniform> p: Params;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let r = id.x / $HEADS;
  let h = id.x % $HEADS;
  if (r >= p.rows) { return; }
  let row = rows[r];
  let at = id.x * $D4;
  #for d $D4
  let q$d = q[at + $d];
  var o$d = vec4f(0);
  #end
  var m = -3.0e38;
  var l = 0.0;
  for (var t = firstKey(row.pos, p.window); t <= row.pos; t++) {
    let slot = select(row.slot, row.prefixSlot, t < row.prefixLen);
    let k = ((slot * $KV + h / $GROUP) * p.cap + t) * $D4;
    var s = 0.0;
    #for d $D4
    s += dot(q$d, kv[k + $d]);
    #end
    s *= p.scale;
#if CAP
    s = softcap(s, $CAP);
#end
    if (s > m) {
      let c = exp(m - s);
      m = s;
      l *= c;
      #for d $D4
      o$d *= c;
      #end
    }
    let e = exp(s - m);
    l += e;
    let v = k + (p.second >> 2u);
    #for d $D4
    o$d += e * kv[v + $d];
    #end
  }
  #for d $D4
  z[at + $d] = o$d / l;
  #end
  lse[id.x] = m + log(l);
}
