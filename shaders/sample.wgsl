// The next token of each stream, chosen and put in place on the GPU.
//   greedy (temperature 0): the largest logit, of equal ones the lowest index.
//   else: argmax over the kept tokens of x/temperature + g(seed, position, token), g Gumbel noise: a draw from the softmax.
//   Kept: the top k of x (ties with the k-th kept), then the smallest set of the most probable that reaches top p of what is left.
// The noise depends on seed, position and token alone, so that streams that agree draw alike and a replay draws the same.
// Thresholds are found by bisection over the bits of the logit (in an order-preserving form): exact, and no sorting.
// Shapes: logits [rows, stride]; result [rows, 8 + 2k]: token, its probability, divergence sum, m, Σ, m_ref, Σ_ref, 0, then pairs.
//   Probabilities are the model's own (temperature 1, all tokens). Row r's token goes to every row that follows r.
// Grid: one workgroup a row. Sources: Gumbel 1954 (argmax form); O'Neill 2014 (the hash); zero-tvm (bisection over bits).
#include row.wgsl
struct Settings { temperature: f32, topK: u32, topP: f32, seed: u32 }
struct Params { n: u32, stride: u32, k: u32, rows: u32, reference: u32, referenced: u32 }
@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read_write> rows: array<Row>;
@group(0) @binding(2) var<storage, read_write> result: array<u32>;
@group(0) @binding(3) var<storage, read> settings: Settings;
@group(0) @binding(4) var<uniform> p: Params;
#include logits.wgsl REF=logits

fn pcg(v: u32) -> u32 {
  let s = v * 747796405u + 2891336453u;
  let w = ((s >> ((s >> 28u) + 4u)) ^ s) * 277803737u;
  return (w >> 22u) ^ w;
}
// −log(−log(1 − v)), v the middle of one of 2²³ parts of (0, 1), so that neither logarithm meets 0. A large g comes of a
// small v, where log(1 − v) on a GPU keeps few digits: there it is summed as a series.
fn gumbel(seed: u32, pos: u32, token: u32) -> f32 {
  let v = (f32(pcg(token + pcg(pos + pcg(seed))) >> 9u) + 0.5) / 8388608.0;
  let e = select(-log(1.0 - v), v * (1.0 + v * (0.5 + v * (0.33333333 + v * 0.25))), v < 0.03);
  return -log(e);
}
// f32 to u32, larger numbers to larger words.
fn key(x: f32) -> u32 {
  let b = bitcast<u32>(x);
  return select(b | 0x80000000u, ~b, (b & 0x80000000u) != 0u);
}

@compute @workgroup_size(T)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lid: u32) {
  let r = wg.x;
  let base = r * p.stride;
  let to = r * (8u + 2u * p.k);
  let top = next(base, p.n, 0.0, 0u, true, lid);
  let high = bitcast<f32>(top.x);
  let sum = sumExp(base, p.n, high, lid);
  let hot = 1.0 / max(settings.temperature, 1e-6);
  var low = 0u;
  if (settings.temperature > 0.0 && settings.topK > 0u && settings.topK < p.n) {
    for (var b = 31; b >= 0; b--) {
      let t = low | (1u << u32(b));
      var c = 0.0;
      for (var i = lid; i < p.n; i += T) { c += select(0.0, 1.0, key(logits[base + i]) >= t); }
      if (sumAll(c, lid) >= f32(settings.topK)) { low = t; }
    }
  }
  if (settings.temperature > 0.0 && settings.topP < 1.0) {
    var z = 0.0;
    for (var i = lid; i < p.n; i += T) {
      let x = logits[base + i];
      z += select(0.0, exp((x - high) * hot), key(x) >= low);
    }
    let goal = sumAll(z, lid) * settings.topP;
    var keep = low;
    var found = 0u;
    for (var b = 31; b >= 0; b--) {
      let t = found | (1u << u32(b));
      var c = 0.0;
      for (var i = lid; i < p.n; i += T) {
        let x = logits[base + i];
        c += select(0.0, exp((x - high) * hot), key(x) >= max(t, low));
      }
      if (sumAll(c, lid) >= goal && t <= key(high)) { found = t; }
    }
    low = max(keep, found);
  }
  var chosen = top.y;
  let pos = rows[r].pos + 1u;
  if (settings.temperature > 0.0) {
    var v = LOW;
    var at = 0xffffffffu;
    for (var i = lid; i < p.n; i += T) {
      let x = logits[base + i];
      if (key(x) >= low) {
        let g = (x - high) * hot + gumbel(settings.seed, pos, i);
        if (g > v || at == 0xffffffffu) { v = g; at = i; }
      }
    }
    chosen = best(v, at, lid).y;
  }
  var other = Against(0.0, 0.0, 1.0);
  if (p.referenced == r + 1u) { other = against(p.reference * p.stride, base, p.n, high, lid); }
  if (lid == 0u) {
    result[to] = chosen;
    result[to + 1u] = bitcast<u32>(exp(logits[base + chosen] - high) / sum);
    result[to + 2u] = bitcast<u32>(other.divergence);
    result[to + 3u] = top.x;
    result[to + 4u] = bitcast<u32>(sum);
    result[to + 5u] = bitcast<u32>(other.high);
    result[to + 6u] = bitcast<u32>(other.sum);
  }
  var last = top;
  for (var j = 0u; j < p.k; j++) {
    if (j > 0u) { last = next(base, p.n, bitcast<f32>(last.x), last.y, false, lid); }
    if (lid == 0u) {
      result[to + 8u + 2u * j] = last.y;
      result[to + 9u + 2u * j] = bitcast<u32>(exp(bitcast<f32>(last.x) - high) / sum);
    }
  }
  if (lid == 0u) {
    for (var i = 0u; i < p.rows; i++) {
      if (rows[i].follow == r) {
        rows[i].token = chosen;
        rows[i].pos = pos;
      }
    }
  }
}
