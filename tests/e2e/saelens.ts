/** A small random dictionary in SAELens's form, as a person drops it: cfg.json beside sae_weights.safetensors. */
import { noise } from '../support/numbers';
import { f32, safetensors } from '../unit/safetensors-writer';
import type { DroppedFile } from './model';

export interface Made {
  name: string;
  hook: string;
  dIn: number;
  latents: number;
  k: number;
  model: string;
}

/** TopK, so that some latents are active whatever the stream is like; encoder and decoder are one matrix of rows of about length 1. */
export function saelens({ name, hook, dIn, latents, k, model }: Made): DroppedFile[] {
  const cfg = {
    architecture: 'topk',
    k,
    d_in: dIn,
    d_sae: latents,
    dtype: 'float32',
    device: 'cpu',
    apply_b_dec_to_input: true,
    normalize_activations: 'none',
    reshape_activations: 'none',
    metadata: { sae_lens_version: '6.0.0', hook_name: hook, model_name: model, neuronpedia_id: name, prepend_bos: true },
  };
  const weight = (latent: number, d: number) => noise(latent * dIn + d, 5) * Math.sqrt(3 / dIn);
  const weights = safetensors([
    f32('W_enc', [dIn, latents], (i) => weight(i % latents, Math.floor(i / latents))),
    f32('W_dec', [latents, dIn], (i) => weight(Math.floor(i / dIn), i % dIn)),
    f32('b_enc', [latents], () => 0),
    f32('b_dec', [dIn], (i) => 0.1 * noise(i, 9)),
  ]);
  return [
    { name: 'cfg.json', data: Buffer.from(JSON.stringify(cfg)).toString('base64') },
    { name: 'sae_weights.safetensors', data: Buffer.from(weights).toString('base64') },
  ];
}
