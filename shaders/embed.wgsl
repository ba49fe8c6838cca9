// resid[r] = scale·W_E[token] (+ W_pos[pos] with POS): the residual stream before block 0.
// The table may lie in several buffers (a matrix larger than the binding limit is split by rows), `pieceRows` in each; up to 4 of them
// are bound at once, from token `first` on. A dispatch writes the rows whose tokens lie in its buffers, and leaves the others alone.
// Grid: ⌈rows·d4/64⌉ workgroups, spread over x and z (65,535 a dimension).
#include row.wgsl
#include weights-$DTYPE.wgsl
struct Params { rows: u32, pieceRows: u32, vocab: u32, context: u32, scale: f32, first: u32, d4: u32 }
@group(0) @binding(0) var<storage, read> rows: array<Row>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;
#for i $PIECES
@group(0) @binding($i + 2) var<storage, read> e$i: array<W4>;
#end
#if POS
@group(0) @binding($POSAT) var<storage, read> pos: array<vec4f>;
#end
@group(0) @binding($PARAMSAT) var<uniform> p: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lid: u32) {
  let n = (wg.z * 65535u + wg.x) * 64u + lid;
  let D4 = p.d4;
  let r = n / D4;
  let i = n % D4;
  if (r >= p.rows) { return; }
  var v = vec4f(0);
  let token = min(rows[r].token, p.vocab - 1u);
  if (token < p.first || token - p.first >= $PIECES * p.pieceRows) { return; }
  let at = ((token - p.first) % p.pieceRows) * D4 + i;
  switch (i32((token - p.first) / p.pieceRows)) {
    #for i $PIECES
    case $i: { v = w4(e$i[at]); }
    #end
    default: {}
  }
  v *= p.scale;
#if POS
  v += pos[min(rows[r].pos, p.context - 1u) * D4 + i];
#end
  y[n] = v;
}
