// The slopes of lib/activation.wgsl's functions.
// gelu_new': ½(1 + t) + ½x(1 − t²)·√(2/π)(1 + 3·0.044715x²), t the tanh. gelu': Φ(x) + x·e^(−x²/2)/√(2π). silu': σ(1 + x(1 − σ)). relu': 1 above 0, 0 at 0.
fn d_gelu_new(x: f32) -> f32 {
  let t = tanh(clamp(0.7978845608028654 * (x + 0.044715 * x * x * x), -15.0, 15.0));
  return 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * 0.7978845608028654 * (1.0 + 0.134145 * x * x);
}
fn d_gelu(x: f32) -> f32 {
  return 0.5 * (1.0 + erf(x * 0.7071067811865476)) + x * exp(-0.5 * min(x * x, 160.0)) * 0.3989422804014327;
}
fn d_silu(x: f32) -> f32 {
  let s = 1.0 / (1.0 + exp(-clamp(x, -80.0, 80.0)));
  return s * (1.0 + x * (1.0 - s));
}
fn d_relu(x: f32) -> f32 { return select(0.0, 1.0, x > 0.0); }
