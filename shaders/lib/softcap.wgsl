// cap·tanh(x/cap): bends what is large, leaves what is small. The argument is clamped: tanh of a large number is NaN on several drivers.
fn softcap(x: f32, cap: f32) -> f32 { return cap * tanh(clamp(x / cap, -15.0, 15.0)); }
