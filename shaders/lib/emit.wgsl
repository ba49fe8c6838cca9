// Where two neighbouring outputs (n, n + 1; n even) of a projection go. Pairs, because what must be joined is stored side
// by side: gate with up, and the two halves that a rotation turns (see workers/model/weights.ts).
//   EPI plain      y[row, n] = a (CAP c: c·tanh(a/c))
//   EPI residual   y[row, n] += a
//   EPI act        y[row, n] = act(a)
//   EPI gated      y[row, n/2] = act(a)·b
//   EPI split      y[row, n/2] = a,  y[second + row, n/2] = b
//   EPI qkv        q → y[row, head, i]; k, v → kv (CACHE: the cache at the row's slot and position; else row by row)
fn bias(n: u32) -> f32 {
#if BIAS
  let at = p.bias + n;
  return vecs[at >> 2u][at & 3u];
#else
  return 0.0;
#end
}
#if EPI == qkv
fn put(row: u32, n: u32, v: f32) {
  let head = n / $DH;
  let i = natural(n % $DH, head);
  if (head < $HEADS) { y[(row * $HEADS + head) * $DHP + i] = v; return; }
  let second = head >= $HEADS + $KV;
  let h = head - $HEADS - select(0u, $KV, second);
#if CACHE
  let r = rows[row];
  kv[select(0u, p.second, second) + ((r.slot * $KV + h) * p.cap + r.pos) * $DHP + i] = v;
#else
  kv[select(0u, p.second, second) + (row * $KV + h) * $DHP + i] = v;
#end
}
fn natural(i: u32, head: u32) -> u32 {
#if ROT
  if (head < $HEADS + $KV && i < $ROT) { return (i >> 1u) + select(0u, $ROT / 2u, (i & 1u) == 1u); }
#end
  return i;
}
#end
fn emit(row: u32, n: u32, a0: f32, b0: f32) {
  if (n >= p.n) { return; }
  let a = a0 + bias(n);
  let b = b0 + bias(n + 1u);
  let pair = n + 1u < p.n;
#if EPI == plain
#if CAP
  y[row * p.yStride + n] = softcap(a, $CAP);
  if (pair) { y[row * p.yStride + n + 1u] = softcap(b, $CAP); }
#else
  y[row * p.yStride + n] = a;
  if (pair) { y[row * p.yStride + n + 1u] = b; }
#end
#end
#if EPI == residual
  y[row * p.yStride + n] += a;
  if (pair) { y[row * p.yStride + n + 1u] += b; }
#end
#if EPI == act
  y[row * p.yStride + n] = $ACT(a);
  if (pair) { y[row * p.yStride + n + 1u] = $ACT(b); }
#end
#if EPI == gated
  y[row * p.yStride + (n >> 1u)] = $ACT(a) * b;
#end
#if EPI == split
  y[row * p.yStride + (n >> 1u)] = a;
  y[p.second + row * p.yStride + (n >> 1u)] = b;
#end
#if EPI == qkv
  var u = a;
  var v = b;
#if CACHE
#if ROT
  let i = n % $DH;
  if (n < ($HEADS + $KV) * $DH && i < $ROT) {
    let cs = rope[rows[row].pos * ($ROT / 2u) + (i >> 1u)];
    u = a * cs.x - b * cs.y;
    v = b * cs.x + a * cs.y;
  }
#end
#end
  put(row, n, u);
  if (pair) { put(row, n + 1u, v); }
#end
}
