/**
 * Just enough of PyTorch's checkpoints (a zip of a pickle and one file a storage) and of NumPy's archives to read the fixtures with, and on purpose
 * not the readers that the lab ships. Pickle's opcodes: CPython's Lib/pickletools.py; the tensors' arguments: torch/_utils.py, _rebuild_tensor_v2.
 */
import { unzipSync } from 'fflate';
import type { Tensor } from '../../../../workers/api';

export type Loaded = Map<string, unknown>;

type Decode = (view: DataView, i: number) => number;
const STORAGES: Record<string, Decode> = {
  FloatStorage: (view, i) => view.getFloat32(4 * i, true),
  IntStorage: (view, i) => view.getInt32(4 * i, true),
  LongStorage: (view, i) => Number(view.getBigInt64(8 * i, true)),
  BFloat16Storage: (view, i) => {
    const wide = new DataView(new ArrayBuffer(4));
    wide.setUint32(0, view.getUint16(2 * i, true) * 65536);
    return wide.getFloat32(0);
  },
};

interface Storage {
  view: DataView;
  decode: Decode;
}

const isTensor = (value: unknown): value is Tensor => typeof value === 'object' && value !== null && 'shape' in value && 'data' in value;

/** _rebuild_tensor_v2(storage, offset, size, stride, …): strides as they were saved, which need not be row-major. */
function rebuilt([storage, offset, shape, stride]: unknown[]): Tensor {
  const { view, decode } = storage as Storage;
  const [size, step] = [shape as number[], stride as number[]];
  const data = new Float32Array(size.reduce((product, n) => product * n, 1));
  for (let i = 0; i < data.length; i++) {
    let [left, place] = [i, offset as number];
    for (let axis = size.length - 1; axis >= 0; axis--) {
      place += (left % (size[axis] ?? 1)) * (step[axis] ?? 0);
      left = Math.floor(left / (size[axis] ?? 1));
    }
    data[i] = decode(view, place);
  }
  return { shape: size, data };
}

/** Runs a pickle's opcodes, those that torch.save writes, and refuses others. */
function unpickle(bytes: Uint8Array, storage: (kind: string, key: string) => Storage): unknown {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const text = (start: number, end: number) => new TextDecoder().decode(bytes.subarray(start, end));
  const [stack, marks, memo] = [[] as unknown[], [] as number[], new Map<number, unknown>()];
  const toMark = (): unknown[] => stack.splice(marks.pop() ?? 0);
  const take = (n: number): unknown[] => stack.splice(stack.length - n);
  const setAll = (pairs: unknown[]): void => {
    const into = stack.at(-1) as Loaded;
    for (let i = 0; i < pairs.length; i += 2) into.set(String(pairs[i]), pairs[i + 1]);
  };
  const line = (from: number): number => bytes.indexOf(10, from);
  for (let at = 0; ;) {
    const op = String.fromCharCode(bytes[at++] ?? 0);
    if (op === '.') return stack.pop();
    else if (op === '\x80') at += 1;
    else if (op === '}') stack.push(new Map());
    else if (op === ')') stack.push([]);
    else if (op === '(') marks.push(stack.length);
    else if (op === '\x89') stack.push(false);
    else if (op === 'K') stack.push(view.getUint8(at++));
    else if (op === 'M') stack.push(view.getUint16((at += 2) - 2, true));
    else if (op === 't') stack.push(toMark());
    else if (op === '\x85' || op === '\x86') stack.push(take(op === '\x85' ? 1 : 2));
    else if (op === 'q') memo.set(view.getUint8(at++), stack.at(-1));
    else if (op === 'h') stack.push(memo.get(view.getUint8(at++)));
    else if (op === 'u') setAll(toMark());
    else if (op === 's') setAll(take(2));
    // BUILD gives an OrderedDict its attributes (a module's version numbers), which hold nothing learned.
    else if (op === 'b') stack.pop();
    else if (op === 'X') {
      const end = at + 4 + view.getUint32(at, true);
      stack.push(text(at + 4, end));
      at = end;
    } else if (op === 'c') {
      const [first, second] = [line(at), line(line(at) + 1)];
      stack.push(`${text(at, first)}.${text(first + 1, second)}`);
      at = second + 1;
    } else if (op === 'Q') {
      const [, kind, key] = stack.pop() as [string, string, string];
      stack.push(storage(kind, key));
    } else if (op === 'R') {
      const [name, args] = take(2) as [string, unknown[]];
      stack.push(name === 'torch._utils._rebuild_tensor_v2' ? rebuilt(args) : new Map());
    } else throw new Error(`pickle opcode 0x${op.charCodeAt(0).toString(16)}`);
  }
}

/** A checkpoint's dictionary: tensors, and what stands beside them. */
export function readTorch(bytes: Uint8Array): Loaded {
  const files = unzipSync(bytes);
  const pickle = Object.keys(files).find((name) => name.endsWith('/data.pkl')) ?? '';
  const root = pickle.slice(0, -'data.pkl'.length);
  const found = unpickle(files[pickle] ?? new Uint8Array(), (kind, key) => {
    const data = files[`${root}data/${key}`];
    const decode = STORAGES[kind.replace('torch.', '')];
    if (!data || !decode) throw new Error(`storage ${key} of ${kind}`);
    return { view: new DataView(data.buffer, data.byteOffset, data.byteLength), decode };
  });
  return found as Loaded;
}

export const tensorsOf = (loaded: Loaded): Map<string, Tensor> =>
  new Map([...loaded].filter((entry): entry is [string, Tensor] => isTensor(entry[1])));

/** Little-endian float32 arrays in C order, which is what Gemma Scope's are. */
export function readNpz(bytes: Uint8Array): Map<string, Tensor> {
  const out = new Map<string, Tensor>();
  for (const [file, data] of Object.entries(unzipSync(bytes))) {
    const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
    const start = 10 + view.getUint16(8, true);
    const header = new TextDecoder().decode(data.subarray(10, start));
    if (!header.includes("'<f4'") || !header.includes("'fortran_order': False")) throw new Error(`${file}: ${header}`);
    const shape = [...(/\(([^)]*)\)/.exec(header)?.[1] ?? '').matchAll(/\d+/g)].map(Number);
    const count = shape.reduce((product, n) => product * n, 1);
    out.set(file.replace(/\.npy$/, ''), {
      shape,
      data: Float32Array.from({ length: count }, (_, i) => view.getFloat32(start + 4 * i, true)),
    });
  }
  return out;
}
