// What an activation is ranked by, in the order of magnitudes; 0 where it rests.
fn rank(a: f32) -> u32 {
#if ACT == signed
  return bitcast<u32>(a) & 0x7fffffffu;
#else
  return select(0u, bitcast<u32>(a), a > 0.0);
#end
}
