/**
 * The model that is measured: GPT-2's architecture with weights from a hash, so that nothing is downloaded and every machine has the same
 * bits. Given once as a Hugging Face folder (for our engine, through its own import) and once as plain tensors (for the ONNX graph).
 */
import type { OpenedFile } from '../workers/contract';
import { MemoryFile } from './memory-file';

export interface Shape {
  name: string;
  layers: number;
  width: number;
  heads: number;
  vocab: number;
  context: number;
}
export const GPT2_SMALL: Shape = { name: 'GPT-2 small', layers: 12, width: 768, heads: 12, vocab: 50257, context: 1024 };
export const SMALL: Shape = { name: 'small', layers: 4, width: 128, heads: 4, vocab: 2000, context: 128 };

export interface Weight {
  name: string;
  shape: readonly number[];
  data: Float32Array<ArrayBuffer>;
}

/** Murmur3's finaliser over a counter: uniform in [−1, 1), the same everywhere. */
function fill(data: Float32Array, seed: number, size: number, centre: number): void {
  const scale = size / 2 ** 31;
  for (let i = 0; i < data.length; i++) {
    let h = Math.imul(i ^ seed, 0x85ebca6b);
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
    h = Math.imul(h ^ (h >>> 16), 0x27d4eb2f);
    data[i] = centre + (h ^ (h >>> 15)) * scale;
  }
}

/**
 * Every tensor of the model, in GPT-2's names and layouts (projections stored [in, out]). Sizes keep activations near 1: a projection's
 * entries have a standard deviation of about 1/√in; queries and keys twice that, so that attention is not flat.
 */
export function weightsOf({ layers, width, vocab, context }: Shape): Weight[] {
  const out: Weight[] = [];
  const add = (name: string, shape: readonly number[], size: number, centre = 0): void => {
    const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
    fill(data, Math.imul(out.length + 1, 0x9e3779b1), size, centre);
    out.push({ name, shape, data });
  };
  const projection = (name: string, from: number, to: number, gain: number): void => {
    add(`${name}.weight`, [from, to], (gain * Math.sqrt(3)) / Math.sqrt(from));
    add(`${name}.bias`, [to], 0.02);
  };
  const norm = (name: string): void => {
    add(`${name}.weight`, [width], 0.2, 1);
    add(`${name}.bias`, [width], 0.02);
  };
  add('wte.weight', [vocab, width], 0.5);
  add('wpe.weight', [context, width], 0.1);
  for (let layer = 0; layer < layers; layer++) {
    norm(`h.${layer}.ln_1`);
    projection(`h.${layer}.attn.c_attn`, width, 3 * width, 2);
    projection(`h.${layer}.attn.c_proj`, width, width, 0.5);
    norm(`h.${layer}.ln_2`);
    projection(`h.${layer}.mlp.c_fc`, width, 4 * width, 1);
    projection(`h.${layer}.mlp.c_proj`, 4 * width, width, 0.5);
  }
  norm('ln_f');
  return out;
}

export const bytesOf = (weights: readonly Weight[]): number => weights.reduce((sum, { data }) => sum + data.byteLength, 0);

/** The weights as one safetensors file. The parts are handed over as they are: 500 MB are not copied to join them. */
export function safetensors(weights: readonly Weight[]): File {
  const header: Record<string, { dtype: 'F32'; shape: readonly number[]; data_offsets: [number, number] }> = {};
  let at = 0;
  for (const { name, shape, data } of weights) {
    header[name] = { dtype: 'F32', shape, data_offsets: [at, at + data.byteLength] };
    at += data.byteLength;
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(text.length), true);
  const bytes = weights.map(({ data }) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  return new MemoryFile([length, text, ...bytes], 'model.safetensors');
}

/** A tokeniser of two tokens: the engine works in ids, but a model's folder must have one. */
const TOKENIZER = {
  version: '1.0',
  added_tokens: [{ id: 0, content: '<s>', special: true, normalized: false, single_word: false, lstrip: false, rstrip: false }],
  normalizer: null,
  pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
  post_processor: null,
  decoder: { type: 'ByteLevel' },
  model: { type: 'BPE', unk_token: null, vocab: { '<s>': 0, a: 1 }, merges: [] },
};

/** The model as a dropped folder. */
export function folderOf(shape: Shape, weights: readonly Weight[]): OpenedFile[] {
  const config = {
    model_type: 'gpt2',
    n_layer: shape.layers,
    n_embd: shape.width,
    n_head: shape.heads,
    vocab_size: shape.vocab,
    n_positions: shape.context,
    activation_function: 'gelu_new',
    layer_norm_epsilon: 1e-5,
    tie_word_embeddings: true,
    bos_token_id: 0,
  };
  const json = (name: string, value: object): OpenedFile => ({ path: `bench/${name}`, file: new File([JSON.stringify(value)], name) });
  return [json('config.json', config), json('tokenizer.json', TOKENIZER), { path: 'bench/model.safetensors', file: safetensors(weights) }];
}

/** `length` token ids spread over the vocabulary. */
export const promptOf = (shape: Shape, length: number): number[] =>
  Array.from({ length }, (_, i) => (Math.imul(i + 1, 0x9e3779b1) >>> 0) % shape.vocab);
