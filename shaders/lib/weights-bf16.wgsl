// Four weights as stored: bf16 pairs in two words. A bf16 is the upper half of an f32, so unpacking is exact.
alias W4 = vec2u;
fn w4(v: W4) -> vec4f {
  return vec4f(bitcast<f32>(v.x << 16u), bitcast<f32>(v.x & 0xffff0000u), bitcast<f32>(v.y << 16u), bitcast<f32>(v.y & 0xffff0000u));
}
