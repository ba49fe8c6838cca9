// Four weights as stored: f16 pairs in two words. unpack2x16float is core WGSL: no shader-f16 needed, arithmetic stays f32.
alias W4 = vec2u;
fn w4(v: W4) -> vec4f { return vec4f(unpack2x16float(v.x), unpack2x16float(v.y)); }
