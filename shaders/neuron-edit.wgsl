// What edits of single neurons make of them, in place: x + strength·(f(x) − x), f(x) = value (set), x + value (add), x·value (scale). Edits of one
// neuron act in list order. Rows to which no edit applies are left untouched, to the bit.
// SLOPE 1: x is a gradient, and each edit's slope is what it is multiplied by: set 0, add 1, scale value, at the edit's strength.
// Shapes: x [rows, stride]. A record's unit0 is the operation, its units the neuron. Grid: one workgroup of 64 a row.
#include row.wgsl
struct Params { first: u32, count: u32, stride: u32, pad0: u32 }
@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@group(0) @binding(1) var<storage, read> rows: array<Row>;
@group(0) @binding(2) var<storage, read> edits: array<u32>;
@group(0) @binding(3) var<uniform> p: Params;
#include edit-head.wgsl

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lid: u32) {
  let r = wg.x;
  for (var n = 0u; n < p.count; n++) {
    let e = readEdit(p.first + n * EDIT_WORDS);
    // All edits of a neuron are one thread's.
    if (e.units % 64u != lid || !applies(e, r)) { continue; }
    let value = number(e.dial);
    let strength = number(e.dial + 1u);
    if (strength == 0.0) { continue; }
    let at = r * p.stride + e.units;
    let old = x[at];
#if SLOPE
    var now = 0.0;
    if (e.unit0 == 1u) { now = old; }
#else
    var now = value;
    if (e.unit0 == 1u) { now = old + value; }
#end
    if (e.unit0 == 2u) { now = old * value; }
    x[at] = select(old + strength * (now - old), now, strength == 1.0);
  }
}
