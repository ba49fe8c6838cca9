// Reductions over one row of logits by a workgroup of T: maximum, sum of exponents, and the next token in order of
// (logit, lowest index first). Logarithms are left to the host: log on a GPU may be off by 3e-5.
const T = $T;
var<workgroup> part: array<f32, T>;
var<workgroup> index: array<u32, T>;
#include reduce.wgsl NAME=sumAll SIZE=$T
// The pair with the largest value, of equal ones the lowest index.
fn best(v: f32, i: u32, lid: u32) -> vec2u {
  workgroupBarrier();
  part[lid] = v;
  index[lid] = i;
  for (var h = T / 2u; h > 0u; h >>= 1u) {
    workgroupBarrier();
    if (lid < h) {
      let a = part[lid + h];
      if (a > part[lid] || (a == part[lid] && index[lid + h] < index[lid])) {
        part[lid] = a;
        index[lid] = index[lid + h];
      }
    }
  }
  workgroupBarrier();
  return vec2u(bitcast<u32>(part[0]), index[0]);
}
// The first token after (last, lastIndex) in that order; LOW and 0xffffffff where none is left.
const LOW = -3.4e38;
fn next(base: u32, n: u32, last: f32, lastIndex: u32, fresh: bool, lid: u32) -> vec2u {
  var v = LOW;
  var at = 0xffffffffu;
  for (var i = lid; i < n; i += T) {
    let x = logits[base + i];
    let after = fresh || x < last || (x == last && i > lastIndex);
    if (after && (x > v || at == 0xffffffffu)) { v = x; at = i; }
  }
  return best(v, at, lid);
}
fn sumExp(base: u32, n: u32, high: f32, lid: u32) -> f32 {
  var s = 0.0;
  for (var i = lid; i < n; i += T) { s += exp(logits[base + i] - high); }
  return sumAll(s, lid);
}
// Against a reference row r of the same tokens: Σ p_r((x_r − m_r) − (x − m)), m_r and Σ exp(x_r − m_r). With the two logarithms, which the
// host adds, it is KL(r ‖ x).
struct Against { divergence: f32, high: f32, sum: f32 }
fn against(row: u32, base: u32, n: u32, high: f32, lid: u32) -> Against {
  var v = LOW;
  for (var i = lid; i < n; i += T) { v = max(v, $REF[row + i]); }
  let top = bitcast<f32>(best(v, 0u, lid).x);
  var e = 0.0;
  var d = 0.0;
  for (var i = lid; i < n; i += T) {
    let r = $REF[row + i] - top;
    e += exp(r);
    d += exp(r) * (r - (logits[base + i] - high));
  }
  let sum = sumAll(e, lid);
  return Against(sumAll(d, lid) / sum, top, sum);
}
