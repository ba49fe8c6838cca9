/** A small random dictionary of any kind: what the engine loads, and the same numbers as the float64 twin wants them. */
import type { DictionaryRecord, StoredDtype, StoredTensor } from '../../workers/contract';
import { SHAPES, tensorNames, type Activation, type Contract, type DictionarySpec } from '../../workers/dictionary/spec';
import type { TensorReader } from '../../workers/gpu/stored';
import type { Dictionary } from '../reference/dictionary';
import { numbers, rounded, stored } from './numbers';

export interface RandomDictionary {
  record: DictionaryRecord;
  reader: TensorReader & { close(): void };
  /** For the twin: as stored, rounding included. */
  twin: Dictionary;
}

export interface Wanted {
  activation: Activation;
  dIn: number;
  dOut?: number;
  latents: number;
  k?: number;
  hookIn: string;
  hookOut?: string;
  skip?: boolean;
  dtype?: StoredDtype;
  contract?: Partial<Contract>;
  seed?: number;
}

const KERNEL = { F32: 'f32', F16: 'f16', BF16: 'bf16' } as const;

/** Biases below 0, so that some latents rest; thresholds about where a third of the others stay. */
function valuesOf(name: string, size: number, seed: number, dIn: number): Float32Array<ArrayBuffer> {
  if (name.startsWith('W_')) return numbers(size, seed, 1.5 / Math.sqrt(dIn));
  const values = numbers(size, seed, 0.4);
  if (name === 'threshold') return values.map((value) => Math.abs(value) + 0.2);
  return name === 'b_enc' || name === 'b_gate' ? values.map((value) => value - 0.3) : values;
}

export function randomDictionary(wanted: Wanted): RandomDictionary {
  const { activation, dIn, dOut = dIn, latents, k, hookIn, hookOut = hookIn, skip = false, dtype = 'F32', seed = 1 } = wanted;
  const contract: Contract = {
    residual: 'raw',
    normalisation: 'none',
    scale: 1,
    subtractBDec: hookIn === hookOut,
    rescaleByDecoderNorm: false,
    reshape: 'none',
    prependBos: true,
    ...wanted.contract,
  };
  const spec: DictionarySpec = {
    kind: activation,
    activation,
    hookIn,
    hookOut,
    dIn,
    dOut,
    latents,
    skip,
    contract,
    ...(k === undefined ? {} : { k }),
  };
  const tensors: StoredTensor[] = [];
  const twin: Record<string, Float64Array> = {};
  const parts: Uint8Array[] = [];
  let offset = 0;
  tensorNames(spec).forEach((name, i) => {
    const shape = [...(SHAPES[name]?.(spec) ?? [])];
    const size = shape.reduce((a, b) => a * b, 1);
    const type = name.startsWith('W_') ? dtype : 'F32';
    const values = valuesOf(name, size, 100 * seed + i, dIn);
    const bytes = size * (type === 'F32' ? 4 : 2);
    twin[name] = Float64Array.from(values, (value) => rounded(value, KERNEL[type]));
    parts.push(new Uint8Array(stored(values, KERNEL[type]).buffer, 0, bytes));
    tensors.push({ name, file: 0, dtype: type, shape, offset, bytes });
    offset += bytes;
  });
  const all = new Uint8Array(offset);
  parts.forEach((part, i) => all.set(part, tensors[i]?.offset ?? 0));
  return {
    twin: { spec, tensors: twin },
    reader: { read: (_file, from, into) => into.set(all.subarray(from, from + into.length)), close: () => undefined },
    record: {
      id: `random-${seed}`,
      name: `random ${activation} ${seed}`,
      format: 'test',
      spec,
      stored: 'memory',
      files: [],
      tensors,
      promised: {},
      addedAt: 0,
    },
  };
}
