// From a product with the encoder to a latent's activation. p = x̂·W_enc[i], scale and bias already folded by what a latent brings:
//   l = (bias, threshold or e^r_mag, bias of the magnitude, gain)
//   relu, topk  relu((s·p + bias)·gain)          topk keeps its k largest afterwards, of equal ones the lowest index
//   jumprelu    pre·[pre > threshold], pre = relu((s·p + bias)·gain)
//   gated       [s·p + bias > 0]·relu(s·p·e^r_mag + bias_mag)
// gain: ‖W_dec‖ where activations are rescaled by the decoder's norm, else 1; a decoding divides by it.
fn latent(product: f32, l: vec4f) -> f32 {
#if ACT == gated
  return select(0.0, max(0.0, product * l.y + l.z), product + l.x > 0.0);
#else
  let pre = max(0.0, (product + l.x) * l.w);
#if ACT == jumprelu
  return select(0.0, pre, pre > l.y);
#else
  return pre;
#end
#end
}
