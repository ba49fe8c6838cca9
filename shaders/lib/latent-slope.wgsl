// What a latent's activation gains for each unit of the product with its row of the encoder (lib/latent.wgsl): nothing while it rests.
fn latentSlope(a: f32, l: vec4f) -> f32 {
#if ACT == gated
  return select(0.0, l.y, a > 0.0);
#else
  return select(0.0, l.w, a > 0.0);
#end
}
