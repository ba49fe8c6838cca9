/**
 * A dictionary as data: what kind it is, where it attaches, and the conventions it was trained under (its contract). A wrong convention is silently
 * wrong, so every one of them is a field here, shown to the person and open to be overridden; nothing about a dictionary is implied by where it came from.
 *
 *   x̂ = (normalised x) − b_dec·[subtractBDec]            pre = x̂ W_enc + b_enc
 *   a  = relu(pre) | relu(pre)·[pre > θ] | the k largest of pre, then relu | [x̂W + b_gate > 0]·relu(x̂W·e^r_mag + b_mag)
 *   y  = denormalised(a W_dec + b_dec) (+ x W_skipᵀ)
 *
 * Sources: SAELens v6 (sae_lens/saes/*.py), Gao et al. 2024, Rajamanoharan et al. 2024; ../shared/reference/maths.md C.5.
 */
import type { Hook } from '../api';
import { LabError } from '../errors';

/** BatchTopK is read as its threshold (jumprelu); Matryoshka is whichever of these its inner activation is. */
export type Activation = 'relu' | 'jumprelu' | 'topk' | 'gated';

export type Normalisation =
  /** as it comes */
  | 'none'
  /** (x − mean) / (std + 1e-5) of each row, std unbiased; undone after decoding, but by a transcoder, which writes elsewhere */
  | 'layer_norm'
  /** x·scale, undone after decoding; `scale` is of the dataset it was trained on */
  | 'scale';

/**
 * Which residual stream it was trained on. Centred: of a model whose writing weights were centred (TransformerLens's default processing); each row's mean is
 * taken off before encoding and put back after decoding, which changes nothing where the model in use is centred itself.
 */
export type Residual = 'raw' | 'centred';

export interface Contract {
  residual: Residual;
  normalisation: Normalisation;
  /** Of `scale`; 1 otherwise. */
  scale: number;
  /** Is b_dec subtracted before encoding? Transcoders never do. */
  subtractBDec: boolean;
  /** Pre-activations are multiplied by ‖W_dec‖ before top-k, and divided before decoding. */
  rescaleByDecoderNorm: boolean;
  /** hook_z: heads side by side are one vector of dIn. */
  reshape: 'none' | 'hook_z';
  /** Was a BOS put before its training texts? */
  prependBos: boolean;
  /**
   * hookIn is a norm's hook_normalized, and the dictionary reads what leaves that norm: gain multiplied, bias added (what the MLP itself reads).
   * The same as W_enc·diag(gain), b_enc + W_enc·bias, W_skip·diag(gain) and y + W_skip·bias on the bare hook, so it costs nothing once a model is known. False where absent.
   */
  normGain?: boolean;
}

export interface DictionarySpec {
  /** As a person would call it: “JumpReLU”, “TopK (Matryoshka)”, “ReLU transcoder” … */
  kind: string;
  activation: Activation;
  /** Of topk. */
  k?: number;
  hookIn: Hook;
  /** Where its output stands in the model: hookIn itself, but for a transcoder. */
  hookOut: Hook;
  dIn: number;
  dOut: number;
  latents: number;
  skip: boolean;
  contract: Contract;
}

/**
 * Canonical tensors, by name. Latents are rows, so that an encoding is a matrix-vector product and a decoding adds up rows.
 * M = latents.
 */
export const SHAPES: Readonly<Record<string, (spec: DictionarySpec) => readonly number[]>> = {
  W_enc: ({ latents, dIn }) => [latents, dIn],
  W_dec: ({ latents, dOut }) => [latents, dOut],
  b_dec: ({ dOut }) => [dOut],
  /** all but gated */
  b_enc: ({ latents }) => [latents],
  /** jumprelu */
  threshold: ({ latents }) => [latents],
  /** gated */
  b_gate: ({ latents }) => [latents],
  b_mag: ({ latents }) => [latents],
  r_mag: ({ latents }) => [latents],
  /** skip transcoders: y += x W_skipᵀ */
  W_skip: ({ dOut, dIn }) => [dOut, dIn],
};

export function tensorNames({ activation, skip }: Pick<DictionarySpec, 'activation' | 'skip'>): string[] {
  const own: Record<Activation, string[]> = {
    relu: ['b_enc'],
    topk: ['b_enc'],
    jumprelu: ['b_enc', 'threshold'],
    gated: ['b_gate', 'b_mag', 'r_mag'],
  };
  return ['W_enc', 'W_dec', 'b_dec', ...own[activation], ...(skip ? ['W_skip'] : [])];
}

/** Transcoders read one place and write another. */
export const isTranscoder = ({ hookIn, hookOut }: Pick<DictionarySpec, 'hookIn' | 'hookOut'>): boolean => hookIn !== hookOut;

/** `latent-range` where a dictionary has no such latent. */
export function checkLatent({ latents }: Pick<DictionarySpec, 'latents'>, latent: unknown): void {
  if (typeof latent !== 'number' || !Number.isInteger(latent) || latent < 0 || latent >= latents)
    throw new LabError('latent-range', `This dictionary has no latent ${String(latent)}; it has ${latents}.`, 'Latents count from 0.');
}
