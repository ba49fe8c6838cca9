// Four weights as stored: f32.
alias W4 = vec4f;
fn w4(v: W4) -> vec4f { return v; }
