/** Writes small safetensors files and model folders for tests, valid unless a test breaks them on purpose. */
import type { OpenedFile } from '../../workers/contract';

export interface Given {
  name: string;
  dtype: string;
  shape: number[];
  data: Uint8Array<ArrayBuffer>;
}
export type RawHeader = Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }>;

export function f32(name: string, shape: number[], value: (i: number) => number = (i) => Math.sin(i + name.length)): Given {
  const n = shape.reduce((a, b) => a * b, 1);
  return { name, dtype: 'F32', shape, data: new Uint8Array(Float32Array.from({ length: n }, (_, i) => value(i)).buffer) };
}
export function two(name: string, dtype: 'F16' | 'BF16', shape: number[]): Given {
  return { name, dtype, shape, data: new Uint8Array(2 * shape.reduce((a, b) => a * b, 1)).map((_, i) => i % 50) };
}

/** A file from header text and data, the header length being what it is unless told otherwise. */
export function rawFile(header: string, data: Uint8Array<ArrayBuffer>, announced?: bigint): Uint8Array<ArrayBuffer> {
  const text = new TextEncoder().encode(header);
  const bytes = new Uint8Array(8 + text.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, announced ?? BigInt(text.length), true);
  bytes.set(text, 8);
  bytes.set(data, 8 + text.length);
  return bytes;
}

/** A safetensors file; `edit` may change its header before it is written. */
export function safetensors(tensors: readonly Given[], edit: (header: RawHeader) => void = () => undefined): Uint8Array<ArrayBuffer> {
  const header: RawHeader = {};
  let at = 0;
  for (const { name, dtype, shape, data } of tensors) {
    header[name] = { dtype, shape, data_offsets: [at, at + data.length] };
    at += data.length;
  }
  const data = new Uint8Array(at);
  at = 0;
  for (const each of tensors) {
    data.set(each.data, at);
    at += each.data.length;
  }
  edit(header);
  return rawFile(JSON.stringify({ __metadata__: { format: 'pt' }, ...header }), data);
}

export const opened = (path: string, content: Uint8Array<ArrayBuffer> | string | object): OpenedFile => {
  const part = typeof content === 'string' || content instanceof Uint8Array ? content : JSON.stringify(content);
  return { path, file: new File([part], path.split('/').pop() ?? path) };
};

/** A tokeniser of seven tokens and 256 bytes' worth of nothing: enough to be one. */
export const TOKENIZER = {
  version: '1.0',
  added_tokens: [{ id: 0, content: '<s>', special: true, normalized: false, single_word: false, lstrip: false, rstrip: false }],
  normalizer: null,
  pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
  post_processor: null,
  decoder: { type: 'ByteLevel' },
  model: {
    type: 'BPE',
    unk_token: null,
    vocab: { '<s>': 0, a: 1, b: 2, Ġ: 3, ab: 4, Ġa: 5, â: 6 },
    merges: ['a b', 'Ġ a'],
  },
};

export const GPT2_CONFIG = { model_type: 'gpt2', n_embd: 6, n_head: 2, n_layer: 2, n_positions: 9, vocab_size: 11, bos_token_id: 0 };

/** Every tensor of GPT2_CONFIG, under `prefix`. */
export function gpt2Tensors(prefix = ''): Given[] {
  const [D, M] = [6, 24];
  const layer = (i: number): Given[] =>
    (
      [
        ['ln_1.weight', [D]],
        ['ln_1.bias', [D]],
        ['attn.c_attn.weight', [D, 3 * D]],
        ['attn.c_attn.bias', [3 * D]],
        ['attn.c_proj.weight', [D, D]],
        ['attn.c_proj.bias', [D]],
        ['ln_2.weight', [D]],
        ['ln_2.bias', [D]],
        ['mlp.c_fc.weight', [D, M]],
        ['mlp.c_fc.bias', [M]],
        ['mlp.c_proj.weight', [M, D]],
        ['mlp.c_proj.bias', [D]],
      ] as [string, number[]][]
    ).map(([name, shape]) => f32(`${prefix}h.${i}.${name}`, shape));
  return [
    f32(`${prefix}wte.weight`, [11, D]),
    f32(`${prefix}wpe.weight`, [9, D]),
    ...layer(0),
    ...layer(1),
    f32(`${prefix}ln_f.weight`, [D]),
    f32(`${prefix}ln_f.bias`, [D]),
  ];
}

export interface Folder {
  config?: object | string;
  tokenizer?: object | string;
  weights?: Uint8Array<ArrayBuffer>;
  more?: OpenedFile[];
}
/** The tiny GPT-2 as dropped in a folder, with parts of it exchanged. */
export function gpt2Folder(
  folder = 'tiny',
  { config = GPT2_CONFIG, tokenizer = TOKENIZER, weights, more = [] }: Folder = {},
): OpenedFile[] {
  const at = folder ? `${folder}/` : '';
  return [
    opened(`${at}config.json`, config),
    opened(`${at}tokenizer.json`, tokenizer),
    opened(`${at}model.safetensors`, weights ?? safetensors(gpt2Tensors())),
    ...more,
  ];
}
export const without = (files: readonly OpenedFile[], name: string): OpenedFile[] => files.filter((each) => !each.path.endsWith(name));
