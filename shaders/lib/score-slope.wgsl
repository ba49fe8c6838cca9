// What a gradient at a score becomes at the product q·k: times the scale, and where scores are capped times 1 − (s/c)², the slope of c·tanh(u/c) at s = c·tanh(u/c).
fn slope(s: f32) -> f32 {
  if (p.cap > 0.0) { return p.scale * (1.0 - (s / p.cap) * (s / p.cap)); }
  return p.scale;
}
