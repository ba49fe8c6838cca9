// gelu_new: x/2·(1 + tanh(√(2/π)(x + 0.044715x³))). The argument is clamped: tanh of a large number is NaN on several drivers.
// gelu: x/2·(1 + erf(x/√2)), erf by its own series below 2 and by its continued fraction above (both to f32 accuracy).
fn gelu_new(x: f32) -> f32 {
  return 0.5 * x * (1.0 + tanh(clamp(0.7978845608028654 * (x + 0.044715 * x * x * x), -15.0, 15.0)));
}
fn erf(x: f32) -> f32 {
  let a = abs(x);
  var y = 1.0;
  if (a < 2.0) {
    // erf(a) = 2/√π · e^(−a²) · Σ 2ⁿ a^(2n+1) / (2n+1)!!: all terms positive, so nothing cancels.
    var term = a;
    var sum = a;
    for (var n = 1; n < 28; n++) {
      term *= 2.0 * a * a / f32(2 * n + 1);
      sum += term;
    }
    y = 1.1283791670955126 * exp(-a * a) * sum;
  } else if (a < 4.0) {
    // erfc(a) = e^(−a²)/√π · 1/(a + ½/(a + 1/(a + 3⁄2/(a + …))))
    var f = a;
    for (var n = 24; n > 0; n--) { f = a + 0.5 * f32(n) / f; }
    y = 1.0 - exp(-a * a) * 0.5641895835477563 / f;
  }
  return select(y, -y, x < 0.0);
}
fn gelu(x: f32) -> f32 { return 0.5 * x * (1.0 + erf(x * 0.7071067811865476)); }
fn silu(x: f32) -> f32 { return x / (1.0 + exp(-clamp(x, -80.0, 80.0))); }
fn relu(x: f32) -> f32 { return max(x, 0.0); }
