/**
 * A kept dictionary onto the GPU. Matrices keep their stored type and are laid out as the hook's rows are, so that the encoder reads a hook's buffer in
 * place; everything that follows a product (bias, what subtracting b_dec amounts to, threshold, gain) becomes four numbers a latent.
 */
import { LabError, throwIfAborted } from '../errors';
import type { DictionaryRecord, StoredTensor } from '../contract';
import type { Pool } from '../gpu/commands';
import type { Gpu } from '../gpu/device';
import { asFloats, BYTES, TYPES, type TensorReader } from '../gpu/stored';
import type { Lying } from '../kernels/dictionary';
import { pad4, pieces } from '../kernels/grid';
import type { WeightMatrix } from '../kernels/linear';
import type { DictionarySpec } from './spec';

/** A dictionary that runs can use. Its buffers' names begin with `name` and a dot. */
export interface LoadedDictionary {
  id: string;
  /** For plans: short, and no other loaded dictionary's. */
  name: string;
  spec: DictionarySpec;
  input: Lying;
  output: Lying;
  encoder: WeightMatrix;
  decoder: WeightMatrix;
  skip: WeightMatrix | undefined;
  /** Buffers: four numbers a latent, b_dec as the output lies. */
  params: string;
  bias: string;
  /** ‖W_dec‖ of every latent. */
  decoderNorms: Float64Array;
}

/** Latents of a position that come back from an encoding, at most. */
export const ENCODE_ROOM = 1024;
/** topk lists all that it has, whatever its k. */
export const roomOf = ({ spec }: { spec: Pick<DictionarySpec, 'latents' | 'k'> }): number =>
  Math.min(spec.latents, Math.max(ENCODE_ROOM, spec.k ?? 0));

/** Bytes on their way to the GPU at once. */
const PIECE = 8 << 20;

export interface LoadCall {
  gpu: Gpu;
  /** Where its buffers go. */
  pool: Pool;
  name: string;
  record: DictionaryRecord;
  reader: TensorReader;
  /** How the model's rows lie at hookIn and hookOut. */
  input: Lying;
  output: Lying;
  /** Of the norm at hookIn, unfolded, for a dictionary that reads what leaves it. */
  norm?: { gain: Float32Array; bias?: Float32Array };
  signal?: AbortSignal;
}

/** A buffer of plain rows: what most hooks are. */
export const plainly = (d: number): Lying => ({ d, width: d, stride: pad4(d), words: pad4(d) });

/** The word at which number `i` of a vector lies. */
export const wordOf = ({ width, stride }: Lying, i: number): number => Math.floor(i / width) * stride + (i % width);

export async function loadDictionary(call: LoadCall): Promise<LoadedDictionary> {
  const { gpu, pool, name, record, input, output } = call;
  const { spec } = record;
  if (input.d !== spec.dIn || output.d !== spec.dOut)
    throw new LabError(
      'dictionary-misfit',
      `“${record.name}” reads ${spec.dIn} numbers at ${spec.hookIn} and writes ${spec.dOut} at ${spec.hookOut}; this model has ${input.d} and ${output.d} there.`,
      'Use it with the model it was trained on, or correct its hooks.',
    );
  const limit = Math.min(gpu.limits.maxStorageBufferBindingSize, gpu.limits.maxBufferSize);
  const { contract, latents } = spec;
  const norm = contract.normGain ? call.norm : undefined;
  if (contract.normGain && !norm)
    throw new LabError(
      'dictionary-misfit',
      `${spec.hookIn} has no gain that “${record.name}” could read.`,
      'Correct its contract or its hook.',
    );
  // What a gain is folded into is no longer what was rounded: f32.
  const matrix = (part: string, tensor: StoredTensor, rows: number, words: number, folded = false): WeightMatrix => {
    const dtype = folded ? 'f32' : TYPES[tensor.dtype];
    return { n: rows, k: words, dtype, pieces: pieces(`${name}.${part}`, rows, words * (dtype === 'f32' ? 4 : 2), limit) };
  };
  /** w ⊙ x̂ + b read by a row r: (w ⊙ r)·x̂ + b·r. */
  const gained = (numbers: Float32Array): Float32Array => (norm ? numbers.map((each, i) => each * (norm.gain[i] ?? 1)) : numbers);
  try {
    const vectors = await readVectors(call);
    const encoder = matrix('enc', tensorOf(record, 'W_enc'), latents, input.words, norm !== undefined);
    const decoder = matrix('dec', tensorOf(record, 'W_dec'), latents, output.words);
    const skip = spec.skip ? matrix('skip', tensorOf(record, 'W_skip'), spec.dOut, input.words, norm !== undefined) : undefined;
    // (s·x − b_dec)·W = s·(x·W) − b_dec·W: the second part is a constant of each latent, and no dispatch.
    const shift = new Float64Array(latents);
    const bDec = vectors.get('b_dec') ?? new Float32Array(spec.dOut);
    await upload(call, 'W_enc', encoder, input, (row, numbers) => {
      shift[row] = (contract.subtractBDec ? dot(numbers, bDec) : 0) - (norm?.bias ? dot(numbers, norm.bias) : 0);
      return gained(numbers);
    });
    const decoderNorms = new Float64Array(latents);
    await upload(call, 'W_dec', decoder, output, (row, numbers) => {
      decoderNorms[row] = Math.sqrt(dot(numbers, numbers));
      return numbers;
    });
    const bias = new Float32Array(output.words);
    bDec.forEach((each, i) => (bias[wordOf(output, i)] = each));
    if (skip) {
      // Its outputs lie one after the other, as a projection writes them.
      if (output.words !== pad4(spec.dOut))
        throw new LabError(
          'dictionary-unsupported',
          'A skip connection to a hook of heads cannot be run.',
          'Use it at a hook of the stream.',
        );
      await upload(call, 'W_skip', skip, input, (row, numbers) => {
        if (norm?.bias) bias[row] = (bias[row] ?? 0) + dot(numbers, norm.bias);
        return gained(numbers);
      });
    }
    const gain = decoderNorms.map((norm) => (contract.rescaleByDecoderNorm && norm > 0 ? norm : 1));
    const params = paramsOf(spec, vectors, shift, gain);
    gpu.write(pool.need(`${name}.params`, params.byteLength), 0, params);
    gpu.write(pool.need(`${name}.bias`, bias.byteLength), 0, bias);
    await gpu.device.queue.onSubmittedWorkDone();
    await gpu.check();
    return {
      id: record.id,
      name,
      spec,
      input,
      output,
      encoder,
      decoder,
      skip,
      params: `${name}.params`,
      bias: `${name}.bias`,
      decoderNorms,
    };
  } catch (thrown) {
    freeDictionary(pool, name);
    throw thrown;
  }
}

/** (bias, threshold or e^r_mag, bias of the magnitude, gain) of each latent: shaders/lib/latent.wgsl. */
function paramsOf(
  spec: DictionarySpec,
  vectors: ReadonlyMap<string, Float32Array>,
  shift: Float64Array,
  gain: Float64Array,
): Float32Array<ArrayBuffer> {
  const of = (name: string, i: number): number => vectors.get(name)?.[i] ?? 0;
  const params = new Float32Array(4 * spec.latents);
  for (let i = 0; i < spec.latents; i++) {
    const b = shift[i] ?? 0;
    if (spec.activation === 'gated') {
      const magnitude = Math.exp(of('r_mag', i));
      params.set([of('b_gate', i) - b, magnitude, of('b_mag', i) - b * magnitude, gain[i] ?? 1], 4 * i);
    } else params.set([of('b_enc', i) - b, of('threshold', i), 0, gain[i] ?? 1], 4 * i);
  }
  return params;
}

function tensorOf(record: DictionaryRecord, name: string): StoredTensor {
  const found = record.tensors.find((each) => each.name === name);
  if (!found)
    throw new LabError('tensor-missing', `The kept dictionary has no tensor “${name}”.`, 'Remove it from the shelf and drop it again.');
  return found;
}

const MATRICES = ['W_enc', 'W_dec', 'W_skip'];

async function readVectors({ record, reader }: LoadCall): Promise<Map<string, Float32Array>> {
  const vectors = new Map<string, Float32Array>();
  for (const tensor of record.tensors) {
    if (MATRICES.includes(tensor.name)) continue;
    const bytes = new Uint8Array(tensor.bytes);
    await reader.read(tensor.file, tensor.offset, bytes);
    vectors.set(tensor.name, asFloats(bytes, tensor.dtype));
  }
  return vectors;
}

function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] ?? 0) * (b[i] ?? 0);
  return sum;
}

/** Rows as stored into the matrix's pieces, padded as the hook's rows are. `each` sees every row's numbers on the way, and gives back what an f32 matrix holds. */
async function upload(
  { gpu, pool, record, reader, signal }: LoadCall,
  name: string,
  matrix: WeightMatrix,
  lying: Lying,
  each: (row: number, numbers: Float32Array) => Float32Array,
): Promise<void> {
  const tensor = tensorOf(record, name);
  const folded = matrix.dtype === 'f32';
  const size = folded ? 4 : BYTES[tensor.dtype];
  const from = lying.d * BYTES[tensor.dtype];
  const to = lying.words * size;
  const many = Math.max(1, Math.floor(PIECE / to));
  for (const piece of matrix.pieces) {
    const buffer = pool.need(piece.buffer, piece.rows * to);
    for (let at = 0; at < piece.rows; at += many) {
      throwIfAborted(signal);
      const rows = Math.min(many, piece.rows - at);
      const bytes = new Uint8Array(rows * from);
      await reader.read(tensor.file, tensor.offset + (piece.row0 + at) * from, bytes);
      const numbers = asFloats(bytes, tensor.dtype);
      const made = folded ? new Float32Array(rows * lying.d) : undefined;
      for (let r = 0; r < rows; r++) {
        const row = each(piece.row0 + at + r, numbers.subarray(r * lying.d, (r + 1) * lying.d));
        made?.set(row, r * lying.d);
      }
      const raw = made ? new Uint8Array(made.buffer) : bytes;
      const padded = lying.words === lying.d ? raw : spaced(raw, rows, size, lying);
      gpu.write(buffer, at * to, padded);
      await gpu.device.queue.onSubmittedWorkDone();
    }
    await gpu.check();
  }
}

/** Units of `width` numbers moved to `stride` apart, zeros between. */
function spaced(bytes: Uint8Array<ArrayBuffer>, rows: number, size: number, { d, width, stride, words }: Lying): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(rows * words * size);
  for (let r = 0; r < rows; r++)
    for (let i = 0; i < d; i += width)
      out.set(bytes.subarray((r * d + i) * size, (r * d + i + width) * size), (r * words + (i / width) * stride) * size);
  return out;
}

export function freeDictionary(pool: Pool, name: string): void {
  pool.drop(`${name}.`);
}
