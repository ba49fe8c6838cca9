// $NAME(v, lid): the sum over a workgroup of $SIZE of one number a thread, as a tree, so in the same order every time.
// Called by the whole workgroup together.
var<workgroup> part_$NAME: array<f32, $SIZE>;
fn $NAME(v: f32, lid: u32) -> f32 {
  workgroupBarrier();
  part_$NAME[lid] = v;
  for (var h = u32($SIZE) / 2u; h > 0u; h >>= 1u) {
    workgroupBarrier();
    if (lid < h) { part_$NAME[lid] += part_$NAME[lid + h]; }
  }
  workgroupBarrier();
  return part_$NAME[0];
}
