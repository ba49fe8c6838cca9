// z[r, h] = Σ_t softmax_t( scale · q[r, h]·k[t, h/group] ) v[t, h/group], pos − window < t ≤ pos (window 0: all t ≤ pos);
//   lse[r, h] = the log of the sum of exponents. CAP c: scores are bent first, c·tanh(score/c).
// Strategy: a workgroup of 64 a (row, head). Tiles of 64 keys: a thread scores one key; the tile's maximum and sum are
//   reduced; then threads take dimensions and add p·v. Coalesced in V; q in shared memory. Serves one row or many.
// Shapes: as attention-serial.wgsl. Grid: x = H, y = rows. Source: Dao et al. 2022 (FlashAttention), one query a tile.
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
var<workgroup> qs: array<vec4f, $D4>;
var<workgroup> e: array<f32, 64>;
var<workgroup> red: array<f32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lid: u32) {
  let r = wg.y;
  let h = wg.x;
  let row = rows[r];
  let at = (r * $HEADS + h) * $D4;
  for (var i = lid; i < $D4; i += 64u) { qs[i] = q[at + i]; }
  // Each thread owns up to $OWN vec4 of the output (d_head up to 256·$OWN).
  #for j $OWN
  var o$j = vec4f(0);
  #end
  var m = -3.0e38;
  var l = 0.0;
  for (var t0 = firstKey(row.pos, p.window); t0 <= row.pos; t0 += 64u) {
    let t = t0 + lid;
    let seen = t <= row.pos;
    let tc = min(t, row.pos);
    let k = ((select(row.slot, row.prefixSlot, tc < row.prefixLen) * $KV + h / $GROUP) * p.cap + tc) * $D4;
    workgroupBarrier();
    var s = 0.0;
    for (var d = 0u; d < $D4; d++) { s += dot(qs[d], kv[k + d]); }
    s *= p.scale;
#if CAP
    s = softcap(s, $CAP);
#end
    s = select(-3.0e38, s, seen);
    red[lid] = s;
    for (var n = 32u; n > 0u; n >>= 1u) {
      workgroupBarrier();
      if (lid < n) { red[lid] = max(red[lid], red[lid + n]); }
    }
    workgroupBarrier();
    let high = max(m, red[0]);
    let c = exp(m - high);
    m = high;
    let x = select(0.0, exp(s - m), seen);
    e[lid] = x;
    workgroupBarrier();
    red[lid] = x;
    for (var n = 32u; n > 0u; n >>= 1u) {
      workgroupBarrier();
      if (lid < n) { red[lid] += red[lid + n]; }
    }
    workgroupBarrier();
    l = l * c + red[0];
    let many = min(64u, row.pos + 1u - t0);
    #for j $OWN
    {
      let d = lid + 64u * $j;
      if (d < $D4) {
        o$j *= c;
        for (var i = 0u; i < many; i++) {
          let ti = t0 + i;
          let v = ((select(row.slot, row.prefixSlot, ti < row.prefixLen) * $KV + h / $GROUP) * p.cap + ti) * $D4 + (p.second >> 2u);
          o$j += e[i] * kv[v + d];
        }
      }
    }
    #end
  }
  #for j $OWN
  {
    let d = lid + 64u * $j;
    if (d < $D4) { z[at + d] = o$j / l; }
  }
  #end
  if (lid == 0u) { lse[r * $HEADS + h] = m + log(l); }
}
